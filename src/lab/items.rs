//! One item of each type, with the `event_id` that it must get, and the ways in which it travels.

use std::sync::Arc;

use super::{
    cast::Account,
    changes,
    content::Pen,
    draft::{Draft, Drafts, Moment},
    entry::{Head, Item},
    expectation::Expectation,
    gestures,
    kind::{Kind, Place},
    messages, others,
    shapes::Number,
};

/// A new item, and what comes of it later, in another delivery.
#[derive(Debug)]
pub struct Made {
    /// To be told now.
    pub now: Item,
    /// To be told later.
    pub later: Option<Later>,
}

/// What is told later: a message that comes after a reaction to it, a comment that is told twice.
#[derive(Debug)]
pub struct Later {
    /// Its type.
    pub kind: Kind,
    /// What must become of it.
    pub expectation: Expectation,
    /// The item.
    pub item: Item,
}

/// A new item of `kind` to `account`, that happens at `now_ms` (milliseconds since 1970).
#[must_use]
pub fn item(pen: &mut Pen, account: &mut Account, kind: Kind, now_ms: u64) -> Made {
    let at = Moment {
        ms: now_ms,
        entry_time: change_time(pen, account, now_ms),
    };
    let (now, later) = match kind {
        Kind::Comment => changes::comment(pen, account),
        Kind::LiveComment => alone(changes::live_comment(pen, account)),
        Kind::Mention => alone(changes::mention(pen)),
        Kind::StoryInsights => alone(changes::story_insights(pen, account, &at)),
        Kind::Message => messages::message(pen, account, now_ms),
        Kind::StoryMention => alone(messages::story_mention(pen, account, now_ms)),
        Kind::MessageReactions => gestures::reaction(pen, account, now_ms),
        Kind::MessagingPostbacks => alone(gestures::postback(pen, account, now_ms)),
        Kind::MessagingSeen => gestures::seen(pen, account, now_ms),
        Kind::Unknown => alone(others::other(pen, account, now_ms)),
    };
    let later = later.map(|(kind, expectation, draft)| Later {
        kind,
        expectation,
        item: in_entry(pen, account, kind, draft, &at),
    });
    Made {
        now: in_entry(pen, account, kind, now, &at),
        later,
    }
}

const fn alone(draft: Draft) -> Drafts {
    (draft, None)
}

/// The time of an entry with changes: seconds, or what Meta's samples make of them.
pub(super) fn change_time(pen: &mut Pen, account: &Account, now_ms: u64) -> Number {
    if account.is_sample {
        pen.sample_time(now_ms)
    } else {
        pen.number(now_ms / 1_000)
    }
}

fn in_entry(pen: &mut Pen, account: &Account, kind: Kind, draft: Draft, at: &Moment) -> Item {
    let place = place(pen, account, draft.place);
    let time = match place {
        Place::Changes | Place::Field => at.entry_time.clone(),
        Place::Messaging | Place::Standby | Place::Bare => Number::Number(at.ms),
    };
    Item {
        event_type: kind.name(),
        event_id: draft.event_id.map(Into::into),
        place,
        head: Head {
            account: Arc::clone(&account.id),
            is_number: pen.chance(1),
            time,
        },
        json: match place {
            Place::Changes | Place::Field => as_change(draft.field, &draft.json),
            Place::Messaging | Place::Standby | Place::Bare => draft.json,
        },
    }
}

fn place(pen: &mut Pen, account: &Account, usual: Place) -> Place {
    match (usual, pen.below(100)) {
        (Place::Bare, _) => Place::Bare,
        // The test button sends changes, whatever the field.
        _ if account.is_sample => Place::Changes,
        (Place::Changes, 0..6) | (Place::Messaging, 0) => Place::Field,
        (Place::Messaging, 1..4) => Place::Changes,
        (Place::Messaging, 4..8) => Place::Standby,
        (usual, _) => usual,
    }
}

fn as_change(field: &str, value: &[u8]) -> Vec<u8> {
    let start = format!("{{\"field\":\"{field}\",\"value\":");
    [start.as_bytes(), value, b"}"].concat()
}
