//! A comment on a post, a reel, a story or an ad. Source: Instagram Platform,
//! "Webhook Notification Examples: comments". It has no time of its own.

use std::borrow::Cow;

use entity::columns::columns_of;
use serde_json::{Map, Value};

use super::{EventType, Merge, Plan, Table, Thread, row};
use crate::instagram::event::{Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Comments.
pub static TYPE: EventType = EventType {
    name: "comment",
    priority: 2,
    claims: |item| item.field.as_deref() == Some("comments"),
    understand: |item| meaning(item, "comment", "comment", false),
    tables: &[&TABLE],
    plan: |event| Plan::one(&TABLE, Cow::Borrowed(&event.data), Thread::None),
};

/// Comments and live comments.
pub static TABLE: Table = Table {
    name: "instagram_comments",
    columns: columns_of::<entity::comment::Entity>,
    key: &["account_id", "id"],
    merge: &[
        ("text", Merge::Newer),
        ("from_id", Merge::Newer),
        ("from_username", Merge::Newer),
        ("media_id", Merge::Newer),
        ("media_product_type", Merge::Newer),
        ("ad_id", Merge::Newer),
        ("parent_id", Merge::Newer),
        ("raw_data", Merge::Newer),
        ("is_live", Merge::Either),
        ("timestamp", Merge::Newer),
    ],
    blanked: &[],
    told_by: &["comment", "live_comment"],
};

/// A comment or a live comment.
pub fn meaning(
    item: &Item,
    event_type: &'static str,
    object_type: &str,
    is_live: bool,
) -> Result<Meaning, Malformed> {
    let id = item.id(&["id"]).or_else(|| item.id(&["comment_id"]));
    let id = id.ok_or(Malformed {
        event_type,
        missing: "value.id or value.comment_id",
    })?;
    let from = item.id(&["from", "id"]);
    Ok(Meaning {
        event_id: event_id(
            event_type,
            &[Part::Lead(Some(&id)), Part::Next(from.as_deref())],
        ),
        object_type: object_type.to_owned(),
        data: data(item, &id, is_live),
        object_id: Some(id),
        sender_ig_id: from,
        sender_username: item.text(&["from", "username"]),
        recipient_ig_id: None,
        occurred_at: item.occurred_at(),
    })
}

fn data(item: &Item, id: &str, is_live: bool) -> Map<String, Value> {
    let id_at = |path: &[&str]| item.id(path).as_deref().map(column_id);
    row! {
        "id": column_id(id),
        "text": item.text(&["text"]),
        "timestamp": time::canonical(item.occurred_at()),
        "from_id": id_at(&["from", "id"]),
        "from_username": item.text(&["from", "username"]),
        // Under an ad `media.id` is the ad's copy; the post is the original.
        "media_id": id_at(&["media", "original_media_id"]).or_else(|| id_at(&["media", "id"])),
        "media_product_type": item.text(&["media", "media_product_type"]),
        "ad_id": id_at(&["media", "ad_id"]),
        "parent_id": id_at(&["parent_id"]),
        "is_live": is_live,
    }
}
