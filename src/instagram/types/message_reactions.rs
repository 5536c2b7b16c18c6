//! A reaction to a message, or its withdrawal. Source: Messenger Platform,
//! "Webhooks for Instagram Messaging: `message_reactions`".

use std::borrow::Cow;

use entity::columns::columns_of;

use super::{EventType, Plan, Table, Thread, row};
use crate::instagram::event::{Malformed, Meaning};
use crate::instagram::identity::{Part, column_id, event_id};
use crate::instagram::item::Item;
use crate::instagram::time;

/// Reactions.
pub static TYPE: EventType = EventType {
    name: "message_reactions",
    priority: 5,
    claims: |item| item.is_messaging("reaction", &["message_reactions"]),
    understand: meaning,
    tables: &[&TABLE],
    plan: |event| {
        let outbound = event.sender_ig_id.as_deref() == Some(event.ig_account_id.as_str());
        Plan::one(&TABLE, Cow::Borrowed(&event.data), Thread::of(outbound))
    },
};

/// Reactions: react, unreact, react again are three rows.
pub static TABLE: Table = Table {
    name: "instagram_message_reactions",
    columns: columns_of::<entity::message_reaction::Entity>,
    key: &[
        "account_id",
        "message_id",
        "sender_ig_id",
        "timestamp",
        "action",
    ],
    merge: &[],
    blanked: &[],
    told_by: &[],
};

/// The words that the column `action` takes.
const ACTIONS: [&str; 2] = ["react", "unreact"];

fn meaning(item: &Item) -> Result<Meaning, Malformed> {
    let malformed = |missing| Malformed {
        event_type: TYPE.name,
        missing,
    };
    let mid = item
        .id(&["reaction", "mid"])
        .ok_or(malformed("reaction.mid"))?;
    let action = item
        .id(&["reaction", "action"])
        .filter(|action| ACTIONS.contains(&action.as_str()));
    let action = action.ok_or(malformed("reaction.action (react or unreact)"))?;
    let (sender, recipient, timestamp) = (item.sender(), item.recipient(), item.timestamp());
    let parts = [
        Part::Lead(Some(&mid)),
        Part::Next(sender.as_deref()),
        Part::Next(Some(&action)),
        Part::Next(timestamp.as_deref()),
    ];
    Ok(Meaning {
        event_id: event_id(TYPE.name, &parts),
        object_type: "message_reaction".to_owned(),
        data: row! {
            "message_id": column_id(&mid),
            // Part of the row's key, which cannot do with an unknown.
            "sender_ig_id": column_id(sender.as_deref().unwrap_or_default()),
            "recipient_ig_id": recipient.as_deref().map(column_id),
            "action": action,
            "reaction_type": item.text(&["reaction", "reaction"]),
            "emoji": item.text(&["reaction", "emoji"]),
            "timestamp": time::canonical(item.occurred_at()),
        },
        object_id: Some(mid),
        sender_ig_id: sender,
        sender_username: None,
        recipient_ig_id: recipient,
        occurred_at: item.occurred_at(),
    })
}
