//! A mention in a caption or in a comment. Source: Instagram Platform,
//! "Mentions". It says neither who nor when.

use std::borrow::Cow;

use entity::columns::columns_of;
use serde_json::{Map, Value};

use super::{EventType, Plan, Table, Thread, row};
use crate::instagram::event::{Event, Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Mentions.
pub static TYPE: EventType = EventType {
    name: "mention",
    priority: 5,
    claims: |item| item.field.as_deref() == Some("mentions"),
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| {
        Plan::one(
            &TABLE,
            Cow::Owned(own_row(event, &event.data)),
            Thread::None,
        )
    },
};

/// The name of the table.
pub const TABLE_NAME: &str = "instagram_mentions";

/// Mentions and story mentions. Its key is the event's: the first telling of it
/// is all there is to know.
pub static TABLE: Table = Table {
    name: TABLE_NAME,
    columns: columns_of::<entity::mention::Entity>,
    key: &["account_id", "id"],
    merge: &[],
    blanked: &[],
    told_by: &[],
};

/// The row under the id of its event, which stays what it was when it came.
pub fn own_row(event: &Event, data: &Map<String, Value>) -> Map<String, Value> {
    let mut row = data.clone();
    if !row.is_empty() {
        row.insert("id".to_owned(), Value::from(event.event_id.as_str()));
    }
    row
}

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let (media, comment) = (item.id(&["media_id"]), item.id(&["comment_id"]));
    if media.is_none() && comment.is_none() {
        return Err(Malformed {
            event_type: TYPE.name,
            missing: "value.media_id or value.comment_id",
        });
    }
    let sender = item.id(&["from", "id"]);
    let parts = [
        Part::Lead(media.as_deref()),
        Part::Next(comment.as_deref()),
        Part::Next(sender.as_deref()),
    ];
    let event_id = event_id(TYPE.name, &parts);
    let column = |id: &Option<String>| id.as_deref().map(column_id);
    Ok(Meaning {
        data: row! {
            "id": event_id,
            "media_id": column(&media),
            "comment_id": column(&comment),
            "timestamp": time::canonical(item.occurred_at()),
            "mentioned_in": if comment.is_some() { "comment" } else { "post" },
            "from_id": column(&sender),
            "from_username": item.text(&["from", "username"]),
        },
        event_id,
        object_type: TYPE.name.to_owned(),
        object_id: comment.or(media),
        sender_ig_id: sender,
        sender_username: item.text(&["from", "username"]),
        recipient_ig_id: None,
        occurred_at: item.occurred_at(),
    })
}
