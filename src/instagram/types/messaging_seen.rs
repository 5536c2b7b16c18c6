//! A read receipt: everything up to a message was read. Source: Messenger
//! Platform, "Webhooks for Instagram Messaging: `messaging_seen`".

use std::borrow::Cow;

use entity::columns::columns_of;

use super::{EventType, Plan, Table, Thread, row};
use crate::instagram::event::{Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Read receipts.
pub static TYPE: EventType = EventType {
    name: "messaging_seen",
    priority: 8,
    claims: |item| item.is_messaging("read", &["messaging_seen"]),
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| {
        let outbound = event.sender_ig_id.as_deref() == Some(event.ig_account_id.as_str());
        Plan::one(&TABLE, Cow::Borrowed(&event.data), Thread::of(outbound))
    },
};

/// The name of the table.
pub const TABLE_NAME: &str = "instagram_messaging_seen";

/// Read receipts. An older one names no message but a watermark, in
/// milliseconds: then `last_message_id` is that number, of digits only, as no
/// message id is.
pub static TABLE: Table = Table {
    name: TABLE_NAME,
    columns: columns_of::<entity::messaging_seen::Entity>,
    key: &["account_id", "last_message_id", "reader_ig_id", "timestamp"],
    merge: &[],
    blanked: &[],
    told_by: &[],
};

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let (mid, watermark) = (item.id(&["read", "mid"]), item.id(&["read", "watermark"]));
    let lead = match (&mid, &watermark) {
        (Some(mid), _) if is_number(mid) => vec![Part::Estranged(mid)],
        (Some(mid), _) => vec![Part::Lead(Some(mid))],
        (None, Some(watermark)) if is_number(watermark) => vec![Part::Next(Some(watermark))],
        // Not what a watermark is: it says that the mid is missing, so that no mid reads like it.
        (None, Some(watermark)) => vec![Part::Next(None), Part::Next(Some(watermark))],
        (None, None) => {
            return Err(Malformed {
                event_type: TYPE.name,
                missing: "read.mid or read.watermark",
            });
        }
    };
    let (sender, timestamp) = (item.sender(), item.timestamp());
    let parts = [
        lead,
        vec![
            Part::Next(sender.as_deref()),
            Part::Next(timestamp.as_deref()),
        ],
    ]
    .concat();
    let id = event_id(TYPE.name, &parts);
    let last_message = mid.or(watermark);
    Ok(Meaning {
        event_id: id,
        object_type: TYPE.name.to_owned(),
        data: row! {
            "last_message_id": last_message.as_deref().map(column_id),
            // Part of the row's key, which cannot do with an unknown.
            "reader_ig_id": column_id(sender.as_deref().unwrap_or_default()),
            "recipient_ig_id": item.recipient().as_deref().map(column_id),
            "timestamp": time::canonical(item.occurred_at()),
        },
        object_id: last_message,
        sender_ig_id: sender,
        sender_username: None,
        recipient_ig_id: item.recipient(),
        occurred_at: item.occurred_at(),
    })
}

/// A mid that reads like a watermark must not make its id.
fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
