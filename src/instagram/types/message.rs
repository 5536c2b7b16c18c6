//! A message: told, edited, unsent; in either direction. Source: Messenger
//! Platform, "Webhooks for Instagram Messaging".
//!
//! The three tellings of one message have three event ids and one row. Only the
//! message itself has a `message_type`; an edit or an unsend that comes before
//! it leaves a row without one.

use std::borrow::Cow;

use entity::columns::columns_of;
use serde_json::{Map, Value};

use super::{EventType, Merge, Plan, Table, Thread, Write, row};
use crate::instagram::event::{Event, Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Messages.
pub static TYPE: EventType = EventType {
    name: "message",
    priority: 1,
    claims: |item| {
        item.is_messaging("message", &["messages", "message_echoes"])
            || item.is_messaging("message_edit", &["message_edit"])
    },
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| Plan {
        writes: vec![Write {
            table: &TABLE,
            row: Cow::Borrowed(&event.data),
            is_whole: event.data.contains_key("message_type"),
        }],
        thread: thread(event, &event.data),
    },
};

/// The name of the table.
pub const TABLE_NAME: &str = "messages";

/// Messages, whatever became of them.
pub static TABLE: Table = Table {
    name: TABLE_NAME,
    columns: columns_of::<entity::message::Entity>,
    key: &["account_id", "id"],
    merge: &[
        ("conversation_id", Merge::Original),
        ("sender_ig_id", Merge::Original),
        ("recipient_ig_id", Merge::Original),
        ("direction", Merge::Original),
        ("text", Merge::HighestEdit),
        ("attachments", Merge::Original),
        ("reply_to_mid", Merge::Original),
        ("reply_to_story", Merge::Original),
        ("quick_reply_payload", Merge::Original),
        ("is_echo", Merge::Either),
        ("is_deleted", Merge::Either),
        ("is_unsupported", Merge::Either),
        ("edited_count", Merge::Greatest),
        ("timestamp", Merge::Original),
        ("raw_data", Merge::Original),
        ("message_type", Merge::Original),
    ],
    blanked: &[
        "text",
        "attachments",
        "reply_to_story",
        "quick_reply_payload",
        "raw_data",
    ],
    told_by: &["message", "story_mention"],
};

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    if item.at(&["message_edit"]).is_some() {
        return edited(item);
    }
    let mid = mid(item, TYPE.name)?;
    if item.flag(&["message", "is_deleted"]) {
        return Ok(told(
            item,
            &mid,
            &[Part::Word("deleted")],
            deleted(item, &mid),
        ));
    }
    Ok(told(item, &mid, &[], original(item, &mid)))
}

fn edited(item: &Item) -> Result<Meaning, Malformed> {
    let mid = item.id(&["message_edit", "mid"]).ok_or(Malformed {
        event_type: TYPE.name,
        missing: "message_edit.mid",
    })?;
    let edit = item.text(&["message_edit", "num_edit"]);
    let word = event_id("edit", &[Part::Next(edit.as_deref())]).replacen("edit_", "edit", 1);
    let text = item.text(&["message_edit", "text"]);
    let mut data = outline(item, &mid);
    // An edit that brings no text tells nothing: it must not outrank one that does.
    let count = if text.is_some() {
        item.number(&["message_edit", "num_edit"])
    } else {
        None
    };
    data.extend(
        row! { "text": text, "edited_count": count.unwrap_or(0).clamp(0, i64::from(i32::MAX)) },
    );
    Ok(told(item, &mid, &[Part::Word(&word)], data))
}

/// The id of a message or story mention.
pub fn mid(item: &Item, event_type: &'static str) -> Result<String, Malformed> {
    item.id(&["message", "mid"]).ok_or(Malformed {
        event_type,
        missing: "message.mid",
    })
}

fn told(item: &Item, mid: &str, word: &[Part<'_>], data: Map<String, Value>) -> Meaning {
    let sender = item.sender();
    let parts = [
        &[Part::Lead(Some(mid)), sender_part(sender.as_deref())],
        word,
    ]
    .concat();
    Meaning {
        event_id: event_id(TYPE.name, &parts),
        object_type: TYPE.name.to_owned(),
        object_id: Some(mid.to_owned()),
        sender_ig_id: sender,
        sender_username: None,
        recipient_ig_id: item.recipient(),
        occurred_at: item.occurred_at(),
        data,
    }
}

/// A sender called `deleted` or `edit…` must not read like the word that ends
/// the id of an unsend or an edit.
fn sender_part(sender: Option<&str>) -> Part<'_> {
    match sender {
        Some(sender) if sender == "deleted" || sender.starts_with("edit") => {
            Part::Estranged(sender)
        }
        sender => Part::Next(sender),
    }
}

/// What every telling of a message says.
fn outline(item: &Item, mid: &str) -> Map<String, Value> {
    let column = |id: Option<String>| id.as_deref().map(column_id);
    let (sender, recipient) = (column(item.sender()), column(item.recipient()));
    let is_echo =
        item.flag(&["message", "is_echo"]) || item.field.as_deref() == Some("message_echoes");
    let outbound = is_echo
        || item.flag(&["message", "is_self"])
        || sender.as_deref() == Some(item.account.as_str());
    let known = sender.is_some() || is_echo;
    row! {
        "id": column_id(mid),
        "sender_ig_id": sender,
        "recipient_ig_id": recipient,
        "direction": known.then_some(if outbound { "outbound" } else { "inbound" }),
        "is_echo": is_echo,
        "is_deleted": false,
        "is_unsupported": false,
        "edited_count": 0,
        "timestamp": time::canonical(item.occurred_at()),
    }
}

fn deleted(item: &Item, mid: &str) -> Map<String, Value> {
    let mut data = outline(item, mid);
    data.extend(row! { "is_deleted": true });
    data
}

/// The row of the message itself.
pub fn original(item: &Item, mid: &str) -> Map<String, Value> {
    let mut data = outline(item, mid);
    let reply_to_story = item.document(&["message", "reply_to", "story"]);
    data.extend(row! {
        "message_type": message_type(item),
        "text": item.text(&["message", "text"]),
        "attachments": item.document(&["message", "attachments"]),
        "reply_to_mid": item.id(&["message", "reply_to", "mid"]).as_deref().map(column_id),
        "reply_to_story": reply_to_story,
        "quick_reply_payload": item.text(&["message", "quick_reply", "payload"]),
        "is_unsupported": item.flag(&["message", "is_unsupported"]),
    });
    data
}

fn message_type(item: &Item) -> String {
    let first = item
        .at(&["message", "attachments"])
        .and_then(|list| list.get(0))
        .and_then(|first| first.get("type"));
    match first.and_then(Value::as_str) {
        Some(kind) => kind.to_owned(),
        None if item.flag(&["message", "is_unsupported"]) => "unsupported".to_owned(),
        None => "text".to_owned(),
    }
}

/// Whether the account sent the message of `row`.
pub fn thread(event: &Event, row: &Map<String, Value>) -> Thread {
    let sent = row.get("direction").and_then(Value::as_str) == Some("outbound");
    Thread::of(sent || event.sender_ig_id.as_deref() == Some(event.ig_account_id.as_str()))
}
