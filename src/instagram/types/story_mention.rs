//! A story in which the account is mentioned: a message whose attachment has
//! the type `story_mention`. It is a mention and a message of its conversation,
//! so it has a row in both tables; `data.message` is the second one.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::message::{self, thread};
use super::{EventType, Plan, Write, mention, row};
use crate::instagram::event::{Event, Malformed, Meaning};
use crate::instagram::identity::{self, Part, column_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Story mentions.
pub static TYPE: EventType = EventType {
    name: "story_mention",
    priority: 3,
    claims: |item| {
        let attachments = item
            .at(&["message", "attachments"])
            .and_then(Value::as_array);
        let mentions = |attachment: &Value| {
            attachment.get("type").and_then(Value::as_str) == Some("story_mention")
        };
        item.is_messaging("message", &[])
            && attachments.is_some_and(|list| list.iter().any(mentions))
            && !item.flag(&["message", "is_deleted"])
    },
    understand: meaning,
    tables: &[&message::TABLE, &mention::TABLE],
    plan,
};

/// The key in `data` under which the row in `messages` travels.
const MESSAGE_KEY: &str = "message";

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let mid = message::mid(item, TYPE.name)?;
    let sender = item.sender();
    let event_id = event_id(&mid, sender.as_deref());
    Ok(Meaning {
        data: row! {
            "id": event_id,
            "media_id": Value::Null,
            "comment_id": Value::Null,
            "timestamp": time::canonical(item.occurred_at()),
            "mentioned_in": "story",
            "from_id": sender.as_deref().map(column_id),
            "from_username": Value::Null,
            MESSAGE_KEY: message::original(item, &mid),
        },
        event_id,
        object_type: "story".to_owned(),
        object_id: Some(mid),
        sender_ig_id: sender,
        sender_username: None,
        recipient_ig_id: item.recipient(),
        occurred_at: item.occurred_at(),
    })
}

/// The id of the story mention with this message's id, which is its mention's
/// too.
#[must_use]
pub fn event_id(mid: &str, sender: Option<&str>) -> String {
    identity::event_id(TYPE.name, &[Part::Lead(Some(mid)), Part::Next(sender)])
}

fn plan(event: &Event) -> Plan<'_> {
    let mut mention = event.data.clone();
    let message: Map<String, Value> = match mention.remove(MESSAGE_KEY) {
        Some(Value::Object(message)) => message,
        _ => Map::new(),
    };
    let thread = thread(event, &message);
    let mut writes = vec![Write {
        table: &mention::TABLE,
        row: Cow::Owned(mention::own_row(event, &mention)),
        is_whole: true,
    }];
    if !message.is_empty() {
        writes.push(Write {
            table: &message::TABLE,
            row: Cow::Owned(message),
            is_whole: true,
        });
    }
    Plan { writes, thread }
}
