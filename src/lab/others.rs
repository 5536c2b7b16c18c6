//! What is of none of the nine types: kept as it came. No two are alike, since the service tells
//! them by a digest: each has an id of its own somewhere.

use serde_json::{Value, json};

use super::{cast::Account, content::Pen, draft::Draft, kind::Place};

/// What an item is about, by the key that says so in a messaging item, and the field under which
/// a change brings it.
type Told = (&'static str, &'static str, Value);

pub(super) fn other(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    match pen.below(100) {
        0..60 => messaging(pen, account, now_ms),
        60..90 => change(pen, account, now_ms),
        _ => bare(pen),
    }
}

fn draft(pen: &Pen, field: &'static str, place: Place, value: &Value) -> Draft {
    Draft {
        event_id: None,
        field,
        place,
        json: pen.json(value),
    }
}

fn messaging(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let (key, field, what) = messaging_told(pen);
    let person = account.person(pen).id.clone();
    let mut item = json!({
        "sender": { "id": pen.written(&person) },
        "recipient": { "id": &*account.id },
        "timestamp": pen.timestamp(now_ms, account.is_sample),
    });
    item[key] = what;
    draft(pen, field, Place::Messaging, &item)
}

fn messaging_told(pen: &mut Pen) -> Told {
    let (id, app) = (pen.id(), 263_902_037_430_900_u64);
    match pen.below(10) {
        0..3 => (
            "referral",
            "messaging_referral",
            json!({ "ref": format!("spring_{id}"), "source": "SHORTLINK", "type": "OPEN_THREAD" }),
        ),
        3 => (
            "optin",
            "messaging_optins",
            json!({ "ref": "checkbox", "user_ref": id }),
        ),
        4 => (
            "optin",
            "messaging_optins",
            json!({
                "type": "notification_messages", "notification_messages_token": id,
                "notification_messages_frequency": "DAILY", "title": pen.text(),
            }),
        ),
        5 => (
            pen.pick(&["pass_thread_control", "request_thread_control"]),
            "messaging_handover",
            json!({ "new_owner_app_id": app, "requested_owner_app_id": app, "metadata": id }),
        ),
        6 => (
            "take_thread_control",
            "messaging_handover",
            json!({ "previous_owner_app_id": app, "metadata": id }),
        ),
        7 => (
            "app_roles",
            "messaging_handover",
            json!({ "123456789": ["primary_receiver"], "metadata": id }),
        ),
        8 => (
            "response_feedback",
            "response_feedback",
            json!({ "feedback": "Good response", "mid": &*pen.mid() }),
        ),
        _ => (
            "policy_enforcement",
            "messaging_policy_enforcement",
            json!({ "action": "warning", "reason": format!("case {id}: {}", pen.text()) }),
        ),
    }
}

fn change(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let (id, media) = (pen.id(), account.post(pen).to_owned());
    let person = account.person(pen);
    let from = json!({ "id": pen.written(&person.id), "username": person.username });
    let (field, value) = match pen.below(10) {
        0 => ("follow", json!({ "from": from, "follow_id": id })),
        1 => (
            "share_to_story",
            json!({ "media_id": media, "share_id": id }),
        ),
        2 => (
            "story_reactions",
            json!({ "from": from, "media_id": media, "reaction": { "emoji": pen.emoji() }, "id": id }),
        ),
        3 => (
            "story_poll_response",
            json!({ "from": from, "poll_id": id, "option": pen.text() }),
        ),
        4 => (
            "comment_poll_response",
            json!({ "from": from, "comment_id": id, "vote": 1 }),
        ),
        5 => ("agent_messages", json!({ "agent": id, "text": pen.text() })),
        6 => (
            "creator_marketplace_invited_creator_onboarding",
            json!({ "brand_id": id, "creator": from, "timestamp": pen.timestamp(now_ms, account.is_sample) }),
        ),
        7 => (
            "message_context",
            json!({ "context": [{ "id": id }], "timestamp": now_ms }),
        ),
        8 => ("standby", Value::String(format!("{} {id}", pen.text()))),
        // Not invented yet.
        _ => (
            "collaborative_collections",
            json!({ "id": id, "rate": 1e-3, "of": [null, true, [from]] }),
        ),
    };
    draft(pen, field, Place::Changes, &value)
}

/// An entry without a list.
fn bare(pen: &mut Pen) -> Draft {
    let uid = pen.id();
    let value = if pen.chance(70) {
        json!({ "uid": uid, "changed_fields": [pen.pick(&["media", "username", "biography"])] })
    } else {
        json!({ "uid": uid })
    };
    draft(pen, "", Place::Bare, &value)
}
