//! An event as a message: `CloudEvents` 1.0 in binary mode, and back.
//!
//! Source: `CloudEvents` "NATS Protocol Binding" (attributes as headers with the
//! prefix `ce-`), W3C "Trace Context" (`traceparent`).

use std::borrow::Cow;

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use serde_json::Value;
use uuid::Uuid;

use super::names::{Announcement, MESSAGE_ID, PLACE};
use crate::instagram::identity::subject_token;
use crate::instagram::{Event, time};

/// Room for headers and subject beside a body, in bytes, when a message is
/// measured against the server's `max_payload`.
const HEADERS_BYTES: usize = 4 * 1024;

/// A message ready to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// Its headers, `Nats-Msg-Id` among them.
    pub headers: Headers,
    /// Its body.
    pub body: Bytes,
}

/// Why a message is no event.
#[derive(Debug, thiserror::Error)]
#[error("the message at sequence {sequence} of {subject} is no event: {reason}")]
pub struct NotAnEvent {
    /// Its subject.
    pub subject: String,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// What is wrong with it.
    pub reason: serde_json::Error,
}

impl Outgoing {
    /// The event as it came.
    pub fn event(event: &Event, max_payload: usize) -> Result<Self, serde_json::Error> {
        Self::announcing(
            Announcement::Event,
            event.receipt_id.to_string(),
            event,
            &serde_json::Map::new(),
            max_payload,
        )
    }

    /// `announcement` of `event`: `message_id` for the header that recognises it when
    /// it is sent again, `more` beside the event's own fields. Goes without `raw`
    /// when it would be over `max_payload` bytes.
    pub fn announcing(
        announcement: Announcement,
        message_id: String,
        event: &Event,
        more: &serde_json::Map<String, Value>,
        max_payload: usize,
    ) -> Result<Self, serde_json::Error> {
        let mut body = body(event, more)?;
        if body.len() + HEADERS_BYTES > max_payload {
            let mut without_raw = event.clone();
            without_raw.omit_raw();
            body = self::body(&without_raw, more)?;
        }
        Ok(Self::with_body(announcement, message_id, event, body))
    }

    /// `announcement` of `event` with that body.
    #[must_use]
    pub fn with_body(
        announcement: Announcement,
        message_id: String,
        event: &Event,
        body: Vec<u8>,
    ) -> Self {
        Self {
            subject: announcement.subject(&event.event_type, &event.ig_account_id),
            headers: headers(announcement, message_id, event),
            body: Bytes::from(body),
        }
    }

    /// What the server counts against its limits, about, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.body.len() + self.subject.len() + 512
    }
}

fn body(
    event: &Event,
    more: &serde_json::Map<String, Value>,
) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(event)?;
    if more.is_empty() {
        return Ok(body);
    }
    Ok(joined(&body, more, usize::MAX)?.unwrap_or(body))
}

/// The object `body` with the fields of `more` at its end. By hand: Serde cannot flatten a raw value, and what was
/// written once need not be written again. `None` where it is no object, or would be over `max_payload` bytes.
pub(super) fn joined(
    body: &[u8],
    more: &serde_json::Map<String, Value>,
    max_payload: usize,
) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let Some(open) = body.trim_ascii_end().strip_suffix(b"}") else {
        return Ok(None);
    };
    let mut joined = Vec::with_capacity(body.len() + 256);
    joined.extend_from_slice(open);
    joined.push(b',');
    joined.extend_from_slice(&serde_json::to_vec(more)?[1..]);
    let fits = joined.len().saturating_add(HEADERS_BYTES) <= max_payload;
    Ok(fits.then_some(joined))
}

/// The headers of a message that goes out. The client's own are made from them as they are sent: each of those is a
/// table with a list a name, too much to be made for every message and copied for every try.
#[derive(Debug, Clone, Default)]
pub struct Headers(Vec<(&'static str, Cow<'static, str>)>);

impl Headers {
    /// The one that recognises a message that is sent again.
    #[must_use]
    pub fn of_message(message_id: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![(MESSAGE_ID, message_id.into())])
    }

    /// Adds one; `value` breaks no header.
    pub fn add(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.0.push((name, value.into()));
    }

    /// As the client takes them, with `more`.
    #[must_use]
    pub fn to_map(&self, more: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        let own = self.0.iter().map(|(name, value)| (*name, &**value));
        for (name, value) in own.chain(more.iter().copied()) {
            map.insert(HeaderName::from_static(name), value);
        }
        map
    }
}

/// None of these can hold what breaks a header: ids are printable ASCII by
/// construction, everything else is ours.
fn headers(announcement: Announcement, message_id: String, event: &Event) -> Headers {
    let mut headers = Headers(Vec::with_capacity(9));
    headers.add("ce-specversion", "1.0");
    headers.add("ce-id", event.event_id.clone());
    headers.add("ce-type", announcement.ce_type(&event.event_type));
    headers.add(
        "ce-source",
        format!("/instagram/{}", subject_token(&event.ig_account_id)),
    );
    headers.add("ce-time", time::canonical(event.occurred_at));
    headers.add("content-type", "application/json");
    headers.add(
        "traceparent",
        traceparent(event.delivery_id, event.receipt_id),
    );
    if !event.place.is_empty() {
        headers.add(PLACE, event.place.clone());
    }
    headers.add(MESSAGE_ID, message_id);
    headers
}

/// One trace a delivery, one span an item; the same again when the journal is
/// read again.
fn traceparent(delivery_id: Uuid, receipt_id: Uuid) -> String {
    let span = receipt_id.simple().to_string();
    format!("00-{}-{}-01", delivery_id.simple(), &span[16..])
}

/// Reads an event from a message.
pub fn read_event(message: &async_nats::Message, sequence: u64) -> Result<Event, NotAnEvent> {
    let mut event: Event =
        serde_json::from_slice(&message.payload).map_err(|reason| NotAnEvent {
            subject: message.subject.to_string(),
            sequence,
            reason,
        })?;
    let place = message
        .headers
        .as_ref()
        .and_then(|headers| headers.get(PLACE));
    event.place = place.map(ToString::to_string).unwrap_or_default();
    Ok(event)
}
