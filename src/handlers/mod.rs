//! The handlers: one actor, ten times. Each takes batches of its type's events,
//! stores them, tells of it, and acknowledges, in this order, so that a crash
//! anywhere only does again what does not matter twice.

mod announcements;
mod counts;
mod intake;

use std::fmt::Display;
use std::iter::repeat;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use futures::FutureExt;
use futures::future::BoxFuture;
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::instagram::EventType;
use crate::store::error::Blame;
use crate::store::{Incoming, Occasion, Outcome, Store, StoreError};
use crate::stream::Connection;
use crate::stream::bulk::{Freshness, publish_all};
use crate::stream::erase::delete_sequences;
use crate::stream::names::EVENTS;
use crate::supervisor::{Board, Child, Turn, Worker, worker};

use announcements::Announcements;
use counts::Counts;
use intake::UNSUSPECTED_DELIVERIES;
pub use intake::{Batch, Intake, Unsettled, tell};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the database may take over a batch, before the handler shows that it
/// waits and tries again. TCP alone takes a quarter of an hour to notice that
/// the other side is gone.
const STORED_WITHIN: Duration = Duration::from_mins(1);

/// How often in a row an error that may be an event's is taken for the world's:
/// with the pauses between, about ten seconds.
const PATIENCE: u32 = 8;

/// What `handlers.*` says.
#[derive(Debug, Clone)]
pub struct HandlerSettings {
    /// How often an event is tried.
    pub max_attempts: u32,
    /// The pause before the second attempt, the third, …; the last one repeats.
    pub backoff: Vec<Duration>,
    /// How many events a batch holds at most.
    pub batch_size: usize,
}

/// What every handler works with.
#[derive(Clone)]
pub struct Tools {
    /// The connection to NATS.
    pub connection: Connection,
    /// The database.
    pub store: Store,
    /// Where a pause is shown.
    pub board: Board,
    /// What `handlers.*` says.
    pub settings: HandlerSettings,
    /// Set when the service stops: nobody waits for the world any more.
    pub stopping: CancellationToken,
}

/// The handler of a type as a supervised child. Its name is the type's.
#[must_use]
pub fn child(event_type: &'static EventType, intake: &Intake, tools: &Tools) -> Child {
    let (intake, tools) = (intake.clone(), tools.clone());
    worker(event_type.name, move || Handler {
        event_type,
        intake: intake.clone(),
        tools: tools.clone(),
        pause: FIRST_PAUSE,
        counts: Counts::new(event_type.name),
    })
}

struct Handler {
    event_type: &'static EventType,
    intake: Intake,
    tools: Tools,
    pause: Duration,
    counts: Counts,
}

/// Why a batch is not through.
enum Unfinished {
    /// The service stops.
    Stopping,
    /// The handler has to be started again.
    Failed(ActorProcessingErr),
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Unfinished {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What was stored after all is found stored the next time: a receipt has one row.
async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORED_WITHIN, work)
        .await
        .unwrap_or(Err(StoreError::TooLate(STORED_WITHIN)))
}

impl Worker for Handler {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        if self.tools.stopping.is_cancelled() && !self.tools.connection.is_connected() {
            // Nothing can be taken, and finding that out takes seconds.
            return Ok(Turn::Done);
        }
        let size = self.tools.settings.batch_size;
        let finished = match self.intake.take(size).await {
            Ok(batch) if batch.events.is_empty() => {
                self.well();
                Ok(())
            }
            Ok(batch) => self.process_parts(batch).await,
            Err(error) => self.rest(&error, &[]).await,
        };
        match finished {
            Ok(()) => Ok(Turn::Again),
            Err(Unfinished::Stopping) => Ok(Turn::Done),
            Err(Unfinished::Failed(error)) => Err(error),
        }
    }
}

impl Handler {
    /// What a batch is not through with goes back at once: without a word it
    /// would come again only after the consumer's acknowledgement wait.
    async fn process_parts(&mut self, batch: Batch) -> Result<(), Unfinished> {
        let mut parts = batch.parts().into_iter();
        while let Some(part) = parts.next() {
            let processed = AssertUnwindSafe(self.process(&part)).catch_unwind().await;
            if matches!(processed, Ok(Ok(()))) {
                continue;
            }
            let rest = parts.flat_map(|part| part.messages);
            let back: Vec<Unsettled> = part.messages.into_iter().chain(rest).collect();
            tell(&back, repeat(again_after(FIRST_PAUSE))).await;
            return processed.unwrap_or_else(|panic| {
                self.counts.panicked();
                resume_unwind(panic)
            });
        }
        Ok(())
    }

    async fn process(&mut self, batch: &Batch) -> Result<(), Unfinished> {
        let started = Instant::now();
        let outcomes = if let Some(outcome) = self.given_up(batch).await? {
            vec![outcome]
        } else {
            let (events, messages) = (&batch.events, &batch.messages);
            self.store(events, messages, PATIENCE).await?
        };
        let stored_in = started.elapsed();
        let max_payload = self.tools.connection.max_payload();
        self.take_out_erased(batch, &outcomes).await?;
        let announcements = announcements::of(batch, &outcomes, max_payload)?;
        self.announce(announcements, &batch.messages).await?;
        self.settle(&batch.messages, &outcomes).await;
        self.counts.add(&batch.events, &outcomes, stored_in);
        self.well();
        Ok(())
    }

    /// The attempt at a suspect is written down before it is made: if this one
    /// ends the process, too, it is counted. `Some` when there were enough.
    async fn given_up(&mut self, batch: &Batch) -> Result<Option<Outcome>, Unfinished> {
        let most = self.tools.settings.max_attempts;
        loop {
            let [event] = batch.events.as_slice() else {
                return Ok(None);
            };
            if !batch.is_suspect {
                return Ok(None);
            }
            if event.occasion == Occasion::Replay {
                // It is stored: no attempt of it is counted in its row.
                return Ok(self.replay_given_up(event, &batch.messages));
            }
            match self.tools.store.begin_attempt(event, most).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.rest(&error, &batch.messages).await?,
            }
        }
    }

    /// A replay that may be what ends its handler each time is not made for ever.
    fn replay_given_up(&self, event: &Incoming, messages: &[Unsettled]) -> Option<Outcome> {
        let most = UNSUSPECTED_DELIVERIES + i64::from(self.tools.settings.max_attempts);
        let is_over = messages.iter().any(|message| message.deliveries > most);
        is_over.then(|| {
            let reason = "its handler ended each time it tried";
            self.counts.not_replayed(event, reason);
            Outcome::Replayed
        })
    }

    /// Stores the events. The world's errors pause the handler and count no
    /// attempt; an event's own is looked for by halving, so that it takes none of
    /// the others with it. What looks like the world's is taken for an event's when
    /// it came `patience` times in a row and the database is well otherwise.
    fn store<'a>(
        &'a mut self,
        events: &'a [Incoming],
        messages: &'a [Unsettled],
        patience: u32,
    ) -> BoxFuture<'a, Result<Vec<Outcome>, Unfinished>> {
        Box::pin(async move {
            let mut unclear = 0;
            loop {
                let error = match in_time(self.attempt(events)).await {
                    Ok(outcomes) => return Ok(outcomes),
                    Err(error) => error,
                };
                let blame = error.blame();
                unclear += u32::from(blame == Blame::Unclear);
                let is_worlds = match blame {
                    Blame::World => true,
                    Blame::Event => false,
                    Blame::Unclear => unclear < patience || !self.database_is_well(events).await,
                };
                match events {
                    _ if is_worlds => self.rest(&error, messages).await?,
                    [event] => return Ok(vec![self.failed(event, &error, messages).await?]),
                    events => {
                        let (first, second) = events.split_at(events.len() / 2);
                        let patience = if blame == Blame::Unclear { 1 } else { patience };
                        let mut outcomes = self.store(first, messages, patience).await?;
                        outcomes.extend(self.store(second, messages, patience).await?);
                        return Ok(outcomes);
                    }
                }
            }
        })
    }

    async fn database_is_well(&self, events: &[Incoming]) -> bool {
        let probed = in_time(self.tools.store.probe(self.event_type, events)).await;
        if let Err(error) = &probed {
            debug!(event_type = self.event_type.name, %error, "the database is not well");
        }
        probed.is_ok()
    }

    async fn attempt(&self, events: &[Incoming]) -> Result<Vec<Outcome>, StoreError> {
        #[cfg(debug_assertions)]
        crate::fault::in_handler(self.event_type.name, events).await?;
        self.tools.store.store(self.event_type, events).await
    }

    async fn failed(
        &mut self,
        event: &Incoming,
        error: &StoreError,
        messages: &[Unsettled],
    ) -> Result<Outcome, Unfinished> {
        self.counts.failed(event, error);
        if event.occasion == Occasion::Replay {
            self.counts.not_replayed(event, &error.to_string());
            return Ok(Outcome::Replayed);
        }
        let most = self.tools.settings.max_attempts;
        loop {
            match in_time(self.tools.store.record_failure(event, error, most)).await {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.rest(&error, messages).await?,
            }
        }
    }

    /// What was erased with its account is in the stream again after the journal was read again.
    async fn take_out_erased(
        &mut self,
        batch: &Batch,
        outcomes: &[Outcome],
    ) -> Result<(), Unfinished> {
        let erased = batch.erased(outcomes);
        if erased.is_empty() {
            return Ok(());
        }
        let context = self.tools.connection.consume.clone();
        while let Err(error) = delete_sequences(&context, EVENTS, &erased).await {
            self.rest(&error, &batch.messages).await?;
        }
        Ok(())
    }

    /// Announces what became of the batch until all of it is acknowledged.
    async fn announce(
        &mut self,
        Announcements {
            stored,
            freshness,
            dead,
        }: Announcements,
        messages: &[Unsettled],
    ) -> Result<(), Unfinished> {
        // Each kind has a stream of its own: a batch goes to one.
        for (announced, mut freshness) in [(stored, freshness), (dead, Freshness::Repeated)] {
            let connection = &self.tools.connection.clone();
            while let Err(error) = publish_all(connection, &announced, freshness).await {
                freshness = Freshness::Repeated;
                self.rest(&error, messages).await?;
            }
        }
        Ok(())
    }

    /// Waits for the world, longer each time, and keeps the messages meanwhile.
    async fn rest(
        &mut self,
        error: &(impl Display + Sync),
        messages: &[Unsettled],
    ) -> Result<(), Unfinished> {
        let event_type = self.event_type.name;
        warn!(event_type, %error, pause_ms = self.pause.as_millis(), "a handler waits");
        self.tools.board.paused(event_type, &error.to_string());
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.tools.stopping.cancelled() => return Err(Unfinished::Stopping),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.tools.connection.is_connected() {
            tell(messages, repeat(AckKind::Progress)).await;
        }
        Ok(())
    }

    fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        self.tools.board.running(self.event_type.name);
    }

    async fn settle(&self, messages: &[Unsettled], outcomes: &[Outcome]) {
        let told = |outcome: &Outcome| match outcome {
            Outcome::Retry { attempts } => again_after(self.backoff(*attempts)),
            _ => AckKind::Ack,
        };
        let told: Vec<AckKind> = outcomes.iter().map(told).collect();
        tell(messages, told.into_iter()).await;
    }

    /// The pause after so many attempts; the last one configured repeats.
    fn backoff(&self, attempts: u32) -> Duration {
        let backoff = &self.tools.settings.backoff;
        let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        backoff
            .get(nth)
            .or(backoff.last())
            .copied()
            .unwrap_or_default()
    }
}

/// The message comes again after a pause.
fn again_after(pause: Duration) -> AckKind {
    AckKind::Nak(Some(pause))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_database_that_never_answers_is_not_waited_for() {
        let error = in_time::<()>(std::future::pending()).await.unwrap_err();
        assert!(matches!(error, StoreError::TooLate(_)), "{error}");
    }
}
