//! The publisher: reads the journal, understands its deliveries, and puts one
//! message an event on its subject. It acknowledges the journal after the events
//! are acknowledged, so a crash only reads again, and every event has the same
//! receipt then.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use ractor::ActorProcessingErr;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::instagram::understand::{Reading, give_up, whole_delivery};
use crate::instagram::{Delivery, Event, types};
use crate::journal;
use crate::stream::Connection;
use crate::stream::bulk::{Freshness, PublishError, publish_all};
use crate::stream::consumer::Pull;
use crate::stream::message::Outgoing;
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::TypeMetrics;

/// The actor's name.
pub const NAME: &str = "publisher";

/// What one turn takes from the journal.
const FETCH_MESSAGES: usize = 16;
const FETCH_BYTES: usize = 16 * 1024 * 1024;
const FETCH_WAIT: Duration = Duration::from_secs(1);
/// What is understood and published at once. One batch of `JetStream`'s.
const CHUNK_EVENTS: usize = 1000;
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// A message of the journal that cannot be read waits for a program that can.
const UNREADABLE_PAUSE: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The publisher as a supervised child.
#[must_use]
pub fn child(
    connection: &Connection,
    journal: &Pull,
    board: &Board,
    stopping: &CancellationToken,
) -> Child {
    let (connection, journal) = (connection.clone(), journal.clone());
    let (board, stopping) = (board.clone(), stopping.clone());
    worker(NAME, move || Publisher {
        connection: connection.clone(),
        journal: journal.clone(),
        board: board.clone(),
        stopping: stopping.clone(),
        pause: FIRST_PAUSE,
        metrics: HashMap::new(),
    })
}

struct Publisher {
    connection: Connection,
    journal: Pull,
    board: Board,
    stopping: CancellationToken,
    pause: Duration,
    metrics: HashMap<&'static str, TypeMetrics>,
}

impl Worker for Publisher {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let bytes = FETCH_BYTES.max(2 * self.connection.max_payload());
        match self.journal.fetch(FETCH_MESSAGES, bytes, FETCH_WAIT).await {
            Ok(messages) if messages.is_empty() => self.well(),
            Ok(messages) => return self.publish(messages).await,
            Err(error) => self.rest(&error).await,
        }
        Ok(Turn::Again)
    }
}

impl Publisher {
    async fn publish(&mut self, messages: Vec<Message>) -> Result<Turn, ActorProcessingErr> {
        let (read, deliveries) = unpacked(messages).await;
        let max_payload = self.connection.max_payload();
        let mut chunk = Chunk::default();
        let mut events = 0;
        for delivery in &deliveries {
            let reading = Reading::of(delivery);
            for event in understood(&reading) {
                chunk.add(event, max_payload)?;
                events += 1;
                if chunk.is_full() {
                    if self.send(&chunk, &read).await.is_err() {
                        return Ok(Turn::Done);
                    }
                    chunk = Chunk::default();
                    // More is to come, which takes its time.
                    keep_taken(&read).await;
                }
            }
        }
        if self.send(&chunk, &read).await.is_err() {
            return Ok(Turn::Done);
        }
        for message in &read {
            if let Err(error) = message.ack().await {
                warn!(%error, "an acknowledgement to the journal could not be sent; it will be read again");
            }
        }
        info!(deliveries = deliveries.len(), events, "published");
        Ok(Turn::Again)
    }

    /// Publishes until all is acknowledged: the journal keeps what waits
    /// meanwhile, and tells nobody else of what is under way. An error means that
    /// the service stops: the journal is read again at the next start.
    async fn send(&mut self, chunk: &Chunk, read: &[Message]) -> Result<(), PublishError> {
        let mut freshness = freshness(read);
        while let Err(error) = publish_all(&self.connection, &chunk.messages, freshness).await {
            if let PublishError::Full(_) = error {
                error!(%error, "the events wait in the journal");
            }
            freshness = Freshness::Repeated;
            self.rest(&error).await;
            if self.stopping.is_cancelled() {
                return Err(error);
            }
            keep_taken(read).await;
        }
        self.count(chunk);
        self.well();
        Ok(())
    }

    /// Nothing is wrong with the events: NATS is away, or full.
    async fn rest(&mut self, error: &impl std::fmt::Display) {
        warn!(%error, pause_ms = self.pause.as_millis(), "the publisher waits for NATS");
        self.board.paused(NAME, &error.to_string());
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.stopping.cancelled() => {}
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        self.board.running(NAME);
    }

    fn count(&mut self, chunk: &Chunk) {
        for (name, number) in &chunk.received {
            self.metrics
                .entry(name)
                .or_insert_with(|| TypeMetrics::new(name))
                .received
                .increment(*number);
        }
    }
}

/// The events that are published at once, and no more are held: a single
/// delivery can have as many as it has bytes.
#[derive(Default)]
struct Chunk {
    messages: Vec<Outgoing>,
    bytes: usize,
    /// How many events there are of each type.
    received: HashMap<&'static str, u64>,
}

impl Chunk {
    fn add(&mut self, mut event: Event, max_payload: usize) -> Result<(), serde_json::Error> {
        let message = fitting(&mut event, max_payload)?;
        self.bytes += message.weight();
        self.messages.push(message);
        let event_type = types::by_name(&event.event_type).unwrap_or(&types::UNKNOWN);
        *self.received.entry(event_type.name).or_default() += 1;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= CHUNK_EVENTS || self.bytes >= CHUNK_BYTES
    }
}

/// The deliveries in those messages that can be read, with these; the others go
/// back.
async fn unpacked(messages: Vec<Message>) -> (Vec<Message>, Vec<Delivery>) {
    let (mut read, mut deliveries) = (Vec::new(), Vec::new());
    for message in messages {
        match journal::unpack(&message.payload) {
            Ok(unpacked) => {
                deliveries.extend(unpacked);
                read.push(message);
            }
            Err(error) => put_back(&message, &error).await,
        }
    }
    (read, deliveries)
}

/// The server hands out again what nothing is heard of.
async fn keep_taken(read: &[Message]) {
    for message in read {
        let _ = message.ack_with(AckKind::Progress).await;
    }
}

/// What was fetched before may have been published before.
fn freshness(read: &[Message]) -> Freshness {
    let is_first = |message: &Message| message.info().is_ok_and(|info| info.delivered == 1);
    if read.iter().all(is_first) {
        Freshness::Fresh
    } else {
        Freshness::Repeated
    }
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

/// The events of a delivery, understood as they are asked for. What cannot be
/// understood without a panic ends with one event, the whole delivery, which ends
/// dead: the journal goes on.
pub(crate) fn understood<'a>(reading: &'a Reading<'_>) -> impl Iterator<Item = Event> + Send + 'a {
    let mut events = Some(reading.events());
    std::iter::from_fn(move || {
        let going_on = events.as_mut()?;
        let next = catch_unwind(AssertUnwindSafe(|| going_on.next()));
        next.unwrap_or_else(|_| {
            events = None;
            let delivery = reading.delivery();
            error!(delivery_id = %delivery.id, "a delivery cannot be understood; it is kept whole as a dead letter");
            let raw = String::from_utf8_lossy(&delivery.body).into_owned();
            Some(whole_delivery(delivery, RawValue::from_string(raw).ok()))
        })
    })
}

async fn put_back(message: &Message, error: &journal::JournalError) {
    error!(%error, "a message of the journal cannot be read; it stays there");
    let _ = message.ack_with(AckKind::Nak(Some(UNREADABLE_PAUSE))).await;
}
