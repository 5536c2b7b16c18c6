//! What people do to messages besides writing: reactions, taps on buttons, read receipts.

use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    attachments::referral,
    cast::{Account, Sent},
    content::Pen,
    draft::{Draft, Drafts},
    messages::{Scene, draft, envelope, late_message},
    shapes::{Postback, Reaction, Read},
};

/// In so many percent of the cases the message itself comes later.
const LATE_PERCENT: u32 = 4;

/// The names Instagram gives to reactions; those without an emoji here come with any.
const REACTIONS: &[(&str, &str)] = &[
    ("love", "❤"),
    ("love", "❤️"),
    ("haha", "😆"),
    ("laugh", "😂"),
    ("wow", "😮"),
    ("sad", "😢"),
    ("angry", "😠"),
    ("like", "👍🏽"),
    ("dislike", "👎🏿"),
    ("other", ""),
    ("star_struck", "🤩"),
];

pub(super) fn reaction(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Drafts {
    let scene = Scene::new(pen, account, now_ms);
    let person = account.person(pen);
    let late = late_message(pen, &scene, person, LATE_PERCENT);
    let sent = person.earlier_or_unheard(pen, now_ms, late.is_some(), |sent| !sent.unsent);
    let (mid, ms) = (
        Arc::clone(&sent.mid),
        sent.next_event_ms(now_ms, scene.apart_ms),
    );
    let taken_back = sent.reacted && pen.chance(50);
    sent.reacted = !taken_back;
    let action = if taken_back { "unreact" } else { "react" };
    let (name, emoji) = match pen.pick(REACTIONS) {
        (name, "") => (name, pen.emoji()),
        both => both,
    };
    let at = pen.timestamp(ms, scene.is_sample);
    let event_id = format!("message_reactions_{mid}_{}_{action}_{at}", person.id);
    let mut item = envelope(pen, &person.id, &scene.account, at);
    item.reaction = Some(Reaction {
        mid: Some(&mid),
        action,
        reaction: (!taken_back).then_some(name),
        emoji: (!taken_back).then_some(emoji),
    });
    let json = pen.json(&item);
    (draft("message_reactions", event_id, json), late)
}

pub(super) fn postback(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let scene = Scene::new(pen, account, now_ms);
    let person = account.person(pen);
    let ms = person.next_event_ms(now_ms, scene.apart_ms);
    let at = pen.timestamp(ms, scene.is_sample);
    let long = "{\"step\":1}".repeat(300);
    let (title, payload) = match pen.below(100) {
        0..30 => ("What are your opening hours?", Some("ICEBREAKER_HOURS")),
        30..60 => ("¿Dónde está mi pedido? 📦", Some("ORDER/STATUS")),
        60..80 => ("عرض المنتجات", Some("CATALOG")),
        80..83 => ("a flow that keeps its state here", Some(long.as_str())),
        _ => ("Talk to a person", None),
    };
    let referral = pen.chance(10).then(|| referral(pen));
    let is_self = pen.chance(2);
    let (mid, referral) = if pen.chance(5) {
        (None, None)
    } else {
        (Some(pen.mid()), referral)
    };
    let lead = mid.as_deref().map_or_else(
        || format!("-_{at}_{}", digest(title, payload)),
        str::to_owned,
    );
    let event_id = format!("messaging_postbacks_{lead}_{}", person.id);
    let mut item = envelope(pen, &person.id, &scene.account, at);
    item.is_self = is_self;
    item.postback = Some(Postback {
        mid: mid.as_deref(),
        title: Some(title),
        payload,
        referral,
    });
    draft("messaging_postbacks", event_id, pen.json(&item))
}

/// What stands for the missing id of a tap: the SHA-256 of its compact JSON, keys sorted.
fn digest(title: &str, payload: Option<&str>) -> String {
    let title = Value::from(title);
    let tap = match payload {
        Some(payload) => format!(r#"{{"payload":{},"title":{title}}}"#, json!(payload)),
        None => format!(r#"{{"title":{title}}}"#),
    };
    hex::encode(Sha256::digest(tap))
}

pub(super) fn seen(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Drafts {
    let scene = Scene::new(pen, account, now_ms);
    let person = account.person(pen);
    if pen.chance(3) {
        // An old API version: read up to a moment.
        let ms = person.next_event_ms(now_ms, scene.apart_ms);
        let at = pen.timestamp(ms, scene.is_sample);
        let watermark = ms.saturating_sub(1_500);
        let event_id = format!("messaging_seen_{watermark}_{}_{at}", person.id);
        let mut item = envelope(pen, &person.id, &scene.account, at);
        item.read = Some(Read {
            mid: None,
            watermark: Some(pen.number(watermark)),
        });
        return (draft("messaging_seen", event_id, pen.json(&item)), None);
    }
    let late = late_message(pen, &scene, person, LATE_PERCENT);
    let is_read = |sent: &Sent| sent.by_account && !sent.unsent;
    let sent = person.earlier_or_unheard(pen, now_ms, late.is_some(), is_read);
    let (mid, ms) = (
        Arc::clone(&sent.mid),
        sent.next_event_ms(now_ms, scene.apart_ms),
    );
    let at = pen.timestamp(ms, scene.is_sample);
    let event_id = format!("messaging_seen_{mid}_{}_{at}", person.id);
    let mut item = envelope(pen, &person.id, &scene.account, at);
    item.read = Some(Read {
        mid: Some(&mid),
        watermark: None,
    });
    (draft("messaging_seen", event_id, pen.json(&item)), late)
}
