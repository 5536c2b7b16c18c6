//! What is told of an event after its rows are committed.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::message::{Outgoing, joined};
use super::names::{Announcement, REPLAY};
use crate::instagram::Event;

/// `instagram.stored.*`: the event, as `told` in the body of its message, its account and its rows.
pub fn stored(
    event: &Event,
    told: &[u8],
    account_id: Uuid,
    rows: &impl serde::Serialize,
    max_payload: usize,
) -> Result<Outgoing, serde_json::Error> {
    let more = object(json!({ "account_id": account_id, "rows": rows }));
    let message_id = format!("stored:{}", event.receipt_id);
    if let Some(body) = joined(told, &more, max_payload)? {
        let announced = Outgoing::with_body(Announcement::Stored, message_id, event, body);
        return Ok(announced);
    }
    Outgoing::announcing(Announcement::Stored, message_id, event, &more, max_payload)
}

/// `instagram.dead_letters.*`: the event, why it failed, how often it was tried,
/// and its how-manieth death this is.
pub fn dead_letter(
    event: &Event,
    error: &str,
    attempts: u32,
    deaths: u32,
    max_payload: usize,
) -> Result<Outgoing, serde_json::Error> {
    let more = object(json!({ "error": error, "attempts": attempts, "deaths": deaths }));
    let message_id = format!("dead:{}:{deaths}", event.receipt_id);
    Outgoing::announcing(
        Announcement::DeadLetter,
        message_id,
        event,
        &more,
        max_payload,
    )
}

/// `instagram.reprocess.*`: the event, to be processed once more. `occasion` says
/// why: for the same one it goes once within the stream's duplicate window.
pub fn reprocess(
    event: &Event,
    occasion: &str,
    max_payload: usize,
) -> Result<Outgoing, serde_json::Error> {
    let message_id = format!("reprocess:{}:{occasion}", event.receipt_id);
    Outgoing::announcing(
        Announcement::Reprocess,
        message_id,
        event,
        &Map::new(),
        max_payload,
    )
}

/// The same for an event that is stored, whose typed rows are to be written again:
/// nothing of it is told any more. `run` is the replay's own.
pub fn replay(event: &Event, run: Uuid, max_payload: usize) -> Result<Outgoing, serde_json::Error> {
    let mut message = reprocess(event, &format!("replay-{run}"), max_payload)?;
    message.headers.add(REPLAY, run.to_string());
    Ok(message)
}

/// Whether a message of `instagram.reprocess.*` is one of a replay.
#[must_use]
pub fn is_replay(message: &async_nats::Message) -> bool {
    let headers = message.headers.as_ref();
    headers.is_some_and(|headers| headers.get(REPLAY).is_some())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
