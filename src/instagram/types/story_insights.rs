//! How a story fared, told once when it expires. Source: Graph API, "Webhooks
//! Reference: instagram, `story_insights`". A value below five is sent as −1.

use std::borrow::Cow;

use entity::columns::columns_of;

use super::{EventType, Plan, Table, Thread, row};
use crate::instagram::event::{Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Story insights.
pub static TYPE: EventType = EventType {
    name: "story_insights",
    priority: 9,
    claims: |item| item.field.as_deref() == Some("story_insights"),
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| Plan::one(&TABLE, Cow::Borrowed(&event.data), Thread::None),
};

/// Story insights, a row a telling.
pub static TABLE: Table = Table {
    name: "instagram_story_insights_aggregated",
    columns: columns_of::<entity::story_insight::Entity>,
    key: &["account_id", "media_id", "timestamp"],
    merge: &[],
    blanked: &[],
    told_by: &[],
};

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let media = item.id(&["media_id"]);
    let media = media.ok_or(Malformed {
        event_type: TYPE.name,
        missing: "value.media_id",
    })?;
    let parts = [
        Part::Lead(Some(&media)),
        Part::Next(item.entry_time.as_deref()),
    ];
    // Of two insights of one story, entry.time tells which is which: also of their rows.
    let told_at = item
        .entry_time
        .as_deref()
        .and_then(time::read)
        .unwrap_or_else(|| item.occurred_at());
    // Unknown is not 0: a metric that is missing or −1 has no value.
    let metric = |name: &str| item.number(&[name]).filter(|value| *value >= 0);
    Ok(Meaning {
        event_id: event_id(TYPE.name, &parts),
        object_type: "story_insight".to_owned(),
        data: row! {
            "media_id": column_id(&media),
            "impressions": metric("impressions"),
            "reach": metric("reach"),
            "taps_forward": metric("taps_forward"),
            "taps_back": metric("taps_back"),
            "exits": metric("exits"),
            "replies": metric("replies"),
            "timestamp": time::canonical(told_at),
        },
        object_id: Some(media),
        sender_ig_id: None,
        sender_username: None,
        recipient_ig_id: None,
        occurred_at: item.occurred_at(),
    })
}
