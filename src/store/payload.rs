//! What the generic row keeps of what was received: the item, or, where the
//! message had to leave it behind, what the message had of it.

use std::borrow::Cow;

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::instagram::delivery::Origin;
use crate::instagram::understand::reread;
use crate::instagram::{Event, json as text};

/// The key of a payload that stands for an item which was left behind.
const OMITTED: &str = "igstream_raw_omitted";

/// The payload of an event's row, as JSON.
pub(super) fn of(event: &Event) -> Option<Cow<'_, str>> {
    let kept = || {
        let kept = json!({ "recipient_ig_id": event.recipient_ig_id, "data": event.data });
        json!({ OMITTED: kept }).to_string()
    };
    match &event.raw {
        Some(raw) => Some(Cow::Borrowed(raw.get())),
        None => event.raw_omitted.then(kept).map(Cow::Owned),
    }
}

/// Gives an event, of which only its row is left, what its payload keeps of it.
pub(super) fn restore(event: &mut Event, payload: &str, origin: Option<&str>) {
    if let Some(kept) = omitted(payload) {
        return restore_kept(event, &kept);
    }
    let whole = text::unpacked(payload).into_owned();
    event.raw = RawValue::from_string(whole).ok();
    reread(event, Origin::by_name(origin.unwrap_or_default()));
}

/// What is kept of an item that was left behind, if the payload stands for one.
fn omitted(payload: &str) -> Option<Map<String, Value>> {
    if !payload.contains(OMITTED) {
        return None;
    }
    let payload: Value = serde_json::from_str(payload).ok()?;
    payload.get(OMITTED)?.as_object().cloned()
}

fn restore_kept(event: &mut Event, kept: &Map<String, Value>) {
    event.raw_omitted = true;
    event.recipient_ig_id = kept
        .get("recipient_ig_id")
        .and_then(Value::as_str)
        .map(str::to_owned);
    if let Some(Value::Object(data)) = kept.get("data") {
        event.data.clone_from(data);
    }
}
