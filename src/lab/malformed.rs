//! Items that lack what would identify them: they must end as dead letters of type `unknown`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    cast::Account,
    content::Pen,
    entry::{Head, Item},
    items::change_time,
    kind::{Kind, Place},
    shapes::Number,
};

/// An item of `kind` without its identity, missing or null. No two are alike, since an unknown
/// item is recognised by a digest of itself: each has an id of its own somewhere.
#[must_use]
pub fn malformed(pen: &mut Pen, account: &mut Account, kind: Kind, now_ms: u64) -> Item {
    let mut value = match kind {
        Kind::Comment => change("comments", &comment(pen, account)),
        Kind::LiveComment => change("live_comments", &comment(pen, account)),
        Kind::Mention => change("mentions", &json!({ "permalink_id": pen.id() })),
        Kind::StoryInsights => change(
            "story_insights",
            &json!({ "story_id": pen.id(), "impressions": 12, "reach": 9, "exits": -1 }),
        ),
        // What is of no type lacks nothing: a message stands in.
        Kind::Message | Kind::Unknown => {
            item(pen, account, now_ms, "message", json!({ "text": "hi" }))
        }
        Kind::StoryMention => {
            let url = pen.media_url();
            let attachment = json!({ "type": "story_mention", "payload": { "url": url } });
            let message = json!({ "attachments": [attachment] });
            item(pen, account, now_ms, "message", message)
        }
        Kind::MessageReactions => {
            let reaction = json!({ "action": "react", "reaction": "love", "emoji": "❤" });
            item(pen, account, now_ms, "reaction", reaction)
        }
        Kind::MessagingPostbacks => item(pen, account, now_ms, "postback", json!({})),
        Kind::MessagingSeen => item(pen, account, now_ms, "read", json!({})),
    };
    if pen.chance(50) {
        null_identity(&mut value, kind);
    }
    let is_change = value.get("field").is_some();
    let time = if is_change {
        change_time(pen, account, now_ms)
    } else {
        Number::Number(now_ms)
    };
    Item {
        event_type: "unknown",
        event_id: None,
        place: if is_change {
            Place::Changes
        } else {
            Place::Messaging
        },
        head: Head {
            account: Arc::clone(&account.id),
            is_number: false,
            time,
        },
        json: pen.json(&value),
    }
}

fn change(field: &str, value: &Value) -> Value {
    json!({ "field": field, "value": value })
}

fn comment(pen: &mut Pen, account: &mut Account) -> Value {
    json!({
        "from": { "id": pen.scoped_id(), "username": pen.username() },
        "media": { "id": account.post(pen), "media_product_type": "FEED" },
        "text": pen.text(),
    })
}

fn item(pen: &mut Pen, account: &Account, now_ms: u64, name: &str, content: Value) -> Value {
    let mut item = json!({
        "sender": { "id": pen.scoped_id() },
        "recipient": { "id": &*account.id },
        "timestamp": now_ms,
    });
    item[name] = content;
    item
}

/// Says outright that there is no identity.
fn null_identity(item: &mut Value, kind: Kind) {
    let (at, name) = match kind {
        Kind::Comment | Kind::LiveComment => ("value", "id"),
        Kind::Mention | Kind::StoryInsights => ("value", "media_id"),
        Kind::Message | Kind::StoryMention | Kind::Unknown => ("message", "mid"),
        Kind::MessageReactions => ("reaction", "mid"),
        Kind::MessagingPostbacks => ("postback", "mid"),
        Kind::MessagingSeen => ("read", "mid"),
    };
    item[at][name] = Value::Null;
}
