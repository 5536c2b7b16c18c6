//! A click on an icebreaker or a button. Source: Messenger Platform, "Webhooks
//! for Instagram Messaging: `messaging_postbacks`".

use std::borrow::Cow;

use entity::columns::columns_of;

use super::{EventType, Merge, Plan, Table, Thread, row};
use crate::instagram::event::{Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, digest, event_id};
use crate::instagram::item::Item;
use crate::instagram::{json, time};

/// Postbacks.
pub static TYPE: EventType = EventType {
    name: "messaging_postbacks",
    priority: 1,
    claims: |item| item.is_messaging("postback", &["messaging_postbacks"]),
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| {
        let is_self = event
            .data
            .get("is_self")
            .and_then(serde_json::Value::as_bool)
            == Some(true);
        Plan::one(&TABLE, Cow::Borrowed(&event.data), Thread::of(is_self))
    },
};

/// Postbacks.
pub static TABLE: Table = Table {
    name: "instagram_messaging_postbacks",
    columns: columns_of::<entity::messaging_postback::Entity>,
    key: &["account_id", "message_id", "sender_ig_id"],
    // Whoever has dealt with it sets it.
    merge: &[("processed", Merge::Either)],
    blanked: &[],
    told_by: &[],
};

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let mid = item.id(&["postback", "mid"]);
    let (title, payload) = (
        item.text(&["postback", "title"]),
        item.text(&["postback", "payload"]),
    );
    if mid.is_none() && title.is_none() && payload.is_none() {
        return Err(Malformed {
            event_type: TYPE.name,
            missing: "postback.mid, postback.title and postback.payload",
        });
    }
    let sender = item.sender();
    let stand_in = mid.is_none().then(|| StandIn::of(item));
    let lead = match (&mid, &stand_in) {
        (None, Some(stand_in)) => stand_in.parts().to_vec(),
        (mid, _) => vec![Part::Lead(mid.as_deref())],
    };
    let parts = [lead, vec![Part::Next(sender.as_deref())]].concat();
    let message_id = mid
        .clone()
        .or_else(|| stand_in.as_ref().map(StandIn::message_id))
        .unwrap_or_default();
    Ok(Meaning {
        event_id: event_id(TYPE.name, &parts),
        object_type: "messaging_postback".to_owned(),
        data: row! {
            "message_id": column_id(&message_id),
            // Part of the row's key, which cannot do with an unknown.
            "sender_ig_id": column_id(sender.as_deref().unwrap_or_default()),
            "recipient_ig_id": item.recipient().as_deref().map(column_id),
            "is_self": item.flag(&["is_self"]) || item.flag(&["postback", "is_self"]),
            "postback_title": title,
            "postback_payload": payload,
            "timestamp": time::canonical(item.occurred_at()),
            "processed": false,
        },
        object_id: mid,
        sender_ig_id: sender,
        sender_username: None,
        recipient_ig_id: item.recipient(),
        occurred_at: item.occurred_at(),
    })
}

/// Old API versions send no mid: the time and what was clicked stand in for it.
struct StandIn {
    timestamp: Option<String>,
    digest: String,
}

impl StandIn {
    fn of(item: &Item) -> Self {
        let clicked = item
            .at(&["postback"])
            .map(json::canonical)
            .unwrap_or_default();
        Self {
            timestamp: item.timestamp(),
            digest: digest(&clicked),
        }
    }

    /// Begins with the missing mid, so that no mid reads like it.
    fn parts(&self) -> [Part<'_>; 3] {
        [
            Part::Next(None),
            Part::Next(self.timestamp.as_deref()),
            Part::Word(&self.digest),
        ]
    }

    fn message_id(&self) -> String {
        event_id("-", &self.parts()[1..])
    }
}
