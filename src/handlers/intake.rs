//! Where a handler's events come from: its type's own consumer, and what is to
//! be processed once more.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use tracing::error;

use crate::store::{Incoming, Occasion, Outcome};
use crate::stream::announce::is_replay;
use crate::stream::consumer::{FetchError, Pull, settle};
use crate::stream::message::read_event;

/// What a batch weighs at most, in bytes, if no single message is larger. It is in
/// memory several times over while it becomes rows, in each handler.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How long to wait for the first event.
const WAIT: Duration = Duration::from_secs(1);
/// How long to look whether anything is to be processed once more: what comes meanwhile waits.
const GLANCE: Duration = Duration::ZERO;
/// How often to look, in turns that found events.
const GLANCE_EVERY: u32 = 16;
/// So often an event is tried together with others.
pub(super) const UNSUSPECTED_DELIVERIES: i64 = 3;
/// What is no event waits for a program that knows what it is.
const UNREADABLE_PAUSE: Duration = Duration::from_mins(1);

/// The two consumers of a handler.
#[derive(Debug, Clone)]
pub struct Intake {
    events: Pull,
    reprocess: Pull,
    turns: u32,
}

/// Events taken, and beside each its message, which is still to be settled.
#[derive(Default)]
pub struct Batch {
    /// The events, which are shared while they are stored with those of others.
    pub events: Arc<Vec<Incoming>>,
    /// Their messages, in the same order.
    pub messages: Vec<Unsettled>,
    /// Whether this is one event that was delivered so often that it may be what
    /// ended its handler, or the whole process, each time.
    pub is_suspect: bool,
}

/// A message that is still to be acknowledged or put back.
pub struct Unsettled {
    /// How often `JetStream` has delivered it; more than once after a crash, an
    /// outage or a failed attempt.
    pub deliveries: i64,
    message: Message,
}

impl Unsettled {
    /// The event as its message tells it.
    pub(super) fn told(&self) -> &[u8] {
        &self.message.payload
    }
}

impl Batch {
    fn of(told: Vec<(Incoming, Unsettled)>, is_suspect: bool) -> Self {
        let (events, messages): (Vec<_>, Vec<_>) = told.into_iter().unzip();
        Self {
            events: Arc::new(events),
            messages,
            is_suspect,
        }
    }

    /// The events that were not delivered often, together; then each of the
    /// others alone, so that it takes none of the others with it.
    #[must_use]
    pub fn parts(self) -> Vec<Self> {
        let is_suspect = |message: &Unsettled| message.deliveries > UNSUSPECTED_DELIVERIES;
        if !self.messages.iter().any(is_suspect) {
            return vec![self];
        }
        let events = Arc::unwrap_or_clone(self.events).into_iter();
        let (alone, together): (Vec<_>, Vec<_>) = events
            .zip(self.messages)
            .partition(|(_, message)| is_suspect(message));
        let together = Some(together).filter(|told| !told.is_empty());
        let together = together.map(|told| Self::of(told, false));
        let alone = alone.into_iter().map(|told| Self::of(vec![told], true));
        together.into_iter().chain(alone).collect()
    }

    /// The sequences in `INSTAGRAM_EVENTS` of what was erased with its account.
    pub(super) fn erased(&self, outcomes: &[Outcome]) -> Vec<u64> {
        let both = self.events.iter().zip(outcomes);
        both.filter(|(_, outcome)| **outcome == Outcome::Erased)
            .filter_map(|(incoming, _)| incoming.sequence)
            .collect()
    }
}

impl Intake {
    /// Takes from the type's own consumer and from that of what is to be
    /// processed once more.
    #[must_use]
    pub fn new(events: Pull, reprocess: Pull) -> Self {
        Self {
            events,
            reprocess,
            turns: 0,
        }
    }

    /// The next batch; empty when nothing comes within a second.
    pub async fn take(&mut self, limit: usize) -> Result<Batch, FetchError> {
        self.turns = self.turns.wrapping_add(1);
        if self.turns.is_multiple_of(GLANCE_EVERY) {
            let once_more = self.reprocess.fetch(limit, BATCH_BYTES, GLANCE).await?;
            if !once_more.is_empty() {
                return Ok(read(once_more, true).await);
            }
        }
        let events = self.events.fetch(limit, BATCH_BYTES, WAIT).await?;
        if events.is_empty() {
            // Nothing is waiting: there is time to look at once.
            self.turns = GLANCE_EVERY - 1;
        }
        Ok(read(events, false).await)
    }
}

async fn read(messages: Vec<Message>, reprocess: bool) -> Batch {
    let mut told = Vec::with_capacity(messages.len());
    for message in messages {
        let (sequence, delivered) = message
            .info()
            .map_or((0, 1), |info| (info.stream_sequence, info.delivered));
        match read_event(&message, sequence) {
            Ok(event) => {
                let incoming = Incoming {
                    event,
                    sequence: (!reprocess).then_some(sequence),
                    occasion: occasion(&message, reprocess),
                };
                let message = Unsettled {
                    deliveries: delivered,
                    message,
                };
                told.push((incoming, message));
            }
            Err(error) => {
                error!(%error, "a message cannot be read; it stays where it is");
                settle(vec![(&message, AckKind::Nak(Some(UNREADABLE_PAUSE)))]).await;
            }
        }
    }
    Batch::of(told, false)
}

fn occasion(message: &Message, reprocess: bool) -> Occasion {
    match reprocess {
        false => Occasion::Told,
        true if is_replay(message) => Occasion::Replay,
        true => Occasion::OnceMore,
    }
}

/// Tells the server what becomes of messages; what it is not told of comes again.
pub async fn tell(messages: &[Unsettled], kinds: impl Iterator<Item = AckKind>) {
    let messages = messages.iter().map(|unsettled| &unsettled.message);
    let told: Vec<_> = messages.zip(kinds).collect();
    settle(told).await;
}
