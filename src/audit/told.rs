//! What the headers of an event's message tell.

use async_nats::HeaderMap;
use async_nats::jetstream::Message;
use uuid::Uuid;

use super::difference::{Difference, Wrong};
use crate::store::erased::Erased;
use crate::stream::names::MESSAGE_ID;

/// A message, without its body.
pub(super) struct Told {
    pub(super) sequence: u64,
    /// `None` where somebody else wrote it.
    pub(super) receipt: Option<Uuid>,
    subject: async_nats::Subject,
    headers: HeaderMap,
}

impl Told {
    pub(super) fn of(message: Message) -> Self {
        let sequence = message.info().map_or(0, |info| info.stream_sequence);
        let (message, _) = message.split();
        let headers = message.headers.unwrap_or_default();
        let receipt = headers.get(MESSAGE_ID);
        Self {
            sequence,
            receipt: receipt.and_then(|id| Uuid::parse_str(id.as_str()).ok()),
            subject: message.subject,
            headers,
        }
    }

    /// `instagram.events.{type}.{account}`
    pub(super) fn event_type(&self) -> &str {
        self.subject.split('.').nth(2).unwrap_or_default()
    }

    fn account(&self) -> &str {
        self.subject.split('.').nth(3).unwrap_or_default()
    }

    pub(super) fn is_erased(&self, erased: &Erased) -> bool {
        self.receipt
            .is_some_and(|receipt| erased.covers_token(self.account(), receipt))
    }

    /// The trace is the delivery's.
    fn delivery_id(&self) -> Option<Uuid> {
        let traceparent = self.headers.get("traceparent")?;
        Uuid::parse_str(traceparent.as_str().split('-').nth(1)?).ok()
    }

    pub(super) fn missing(&self) -> Difference {
        let event_id = self.headers.get("ce-id");
        Difference {
            wrong: Wrong::Missing,
            receipt: self.receipt,
            event_type: self.event_type().to_owned(),
            ig_account_id: self.account().to_owned(),
            event_id: event_id.map(ToString::to_string).unwrap_or_default(),
            delivery_id: self.delivery_id(),
            stream_sequence: Some(self.sequence),
        }
    }
}
