//! What is of none of the types, and what claims to be of one and is not: kept
//! in the generic log as it came.

use serde_json::Map;

use super::{EventType, Plan, row};
use crate::instagram::event::{self, MALFORMED_KEY, Malformed, Meaning};
use crate::instagram::identity::{Part, digest, event_id};
use crate::instagram::item::Item;

/// The type of all that is of no other type. It claims nothing: it is what is
/// left.
pub static UNKNOWN: EventType = EventType {
    name: event::UNKNOWN,
    priority: 9,
    claims: |_| false,
    understand: |item| Ok(meaning(item, None)),
    tables: &[],
    plan: |_| Plan::default(),
};

/// What can be said of such an item, and why it is malformed if it is.
pub fn meaning(item: &Item, malformed: Option<&Malformed>) -> Meaning {
    let digest = digest(&item.canonical());
    let parts = [Part::Word(&digest), Part::Next(item.entry_time.as_deref())];
    Meaning {
        event_id: event_id(UNKNOWN.name, &parts),
        object_type: item.kind().unwrap_or(UNKNOWN.name).to_owned(),
        object_id: None,
        sender_ig_id: item.sender().or_else(|| item.id(&["from", "id"])),
        sender_username: item.text(&["from", "username"]),
        recipient_ig_id: item.recipient(),
        occurred_at: item.occurred_at(),
        data: malformed.map_or_else(
            Map::new,
            |malformed| row! { MALFORMED_KEY: malformed.to_string() },
        ),
    }
}
