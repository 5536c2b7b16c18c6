//! The messages that are published at once.

use std::collections::HashMap;

use tracing::error;

use crate::instagram::understand::{Reading, give_up, whole_delivery};
use crate::instagram::{Delivery, Event, types};
use crate::stream::message::Outgoing;

/// One batch of `JetStream`'s.
const CHUNK_EVENTS: usize = 1000;
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// The events that are published at once, and no more are held: a single
/// delivery can have as many as it has bytes.
#[derive(Default)]
pub(super) struct Chunk {
    /// Their messages.
    pub(super) messages: Vec<Outgoing>,
    bytes: usize,
    /// How many events there are of each type.
    pub(super) received: HashMap<&'static str, u64>,
}

impl Chunk {
    /// The one event of a delivery that cannot be understood, for `reason`.
    pub(super) fn of_whole(
        delivery: &Delivery,
        reason: &str,
        max_payload: usize,
    ) -> Result<Self, serde_json::Error> {
        let mut chunk = Self::default();
        chunk.add(whole_delivery(delivery, reason), max_payload)?;
        Ok(chunk)
    }

    pub(super) fn add(
        &mut self,
        mut event: Event,
        max_payload: usize,
    ) -> Result<(), serde_json::Error> {
        let message = fitting(&mut event, max_payload)?;
        self.bytes += message.weight();
        self.messages.push(message);
        let event_type = types::by_name(&event.event_type).unwrap_or(&types::UNKNOWN);
        *self.received.entry(event_type.name).or_default() += 1;
        Ok(())
    }

    pub(super) fn append(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.messages.extend(other.messages);
        for (event_type, number) in other.received {
            *self.received.entry(event_type).or_default() += number;
        }
    }

    /// Whether `other` would make it larger than a chunk is to be.
    pub(super) fn has_room_for(&self, other: &Self) -> bool {
        self.messages.len() + other.messages.len() <= CHUNK_EVENTS
            && self.bytes + other.bytes <= CHUNK_BYTES
    }

    pub(super) fn is_full(&self) -> bool {
        self.messages.len() >= CHUNK_EVENTS || self.bytes >= CHUNK_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// A delivery all of whose items were understood.
pub(super) enum Understood {
    /// These are its events.
    All(Chunk),
    /// It has more than a chunk holds: they are to be understood once more, and
    /// published as they come.
    Many,
}

/// Understands every item, and keeps their events as long as they fit a chunk.
/// `each` is called after each of them.
pub(super) fn understand(
    reading: &Reading<'_>,
    max_payload: usize,
    each: impl Fn(),
) -> Result<Understood, serde_json::Error> {
    let mut kept = Chunk::default();
    let mut is_whole = true;
    for event in reading.events() {
        each();
        if kept.is_full() {
            is_whole = false;
            kept = Chunk::default();
        }
        kept.add(event, max_payload)?;
    }
    Ok(if is_whole {
        Understood::All(kept)
    } else {
        Understood::Many
    })
}

/// The event's message. What the server could never take, though its delivery
/// fitted, ends dead without its content: the journal has it, and goes on.
pub(crate) fn fitting(
    event: &mut Event,
    max_payload: usize,
) -> Result<Outgoing, serde_json::Error> {
    let message = Outgoing::event(event, max_payload)?;
    if message.weight() <= max_payload {
        return Ok(message);
    }
    error!(receipt_id = %event.receipt_id, "an event is larger than the server's `max_payload`");
    give_up(event, "an event larger than the server's `max_payload`");
    Outgoing::event(event, max_payload)
}
