//! The handlers: one actor, ten times. Each takes batches of its type's events,
//! stores them, tells of it, and acknowledges, in this order, so that a crash
//! anywhere only does again what does not matter twice.

mod announcements;
mod convoy;
mod counts;
mod intake;
mod lanes;
mod precedence;
mod storing;
mod together;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::iter::repeat;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::AckKind;
use futures::FutureExt;
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::instagram::EventType;
use crate::store::{Outcome, Store};
use crate::stream::Connection;
use crate::stream::bulk::{Freshness, publish_all};
use crate::stream::erase::delete_sequences;
use crate::stream::names::EVENTS;
use crate::supervisor::{Board, Child, worker};

use announcements::Announcements;
use counts::Counts;
pub use intake::{Batch, Intake, Unsettled, tell};
use lanes::Lanes;
pub use precedence::Precedence;
use together::Company;
pub use together::Together;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What `handlers.*` says.
#[derive(Debug, Clone)]
pub struct HandlerSettings {
    /// How often an event is tried.
    pub max_attempts: u32,
    /// The pause before the second attempt, the third, …; the last one repeats.
    pub backoff: Vec<Duration>,
    /// How many events a batch holds at most.
    pub batch_size: usize,
    /// How many batches are in hand at the same time where there is not enough of the database.
    pub at_once: usize,
    /// Who goes first, by type: 1 to 10, lower is sooner.
    pub priority: BTreeMap<String, u8>,
}

impl HandlerSettings {
    fn priority_of(&self, event_type: &EventType) -> u8 {
        let given = self.priority.get(event_type.name);
        given.copied().unwrap_or(event_type.priority)
    }
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
    /// The places at the database.
    pub precedence: Precedence,
    /// Where small batches meet.
    pub together: Arc<Together>,
    /// What `handlers.*` says.
    pub settings: HandlerSettings,
    /// Set when the service stops: nobody waits for the world any more.
    pub stopping: CancellationToken,
}

/// The handler of a type as a supervised child. Its name is the type's.
#[must_use]
pub fn child(event_type: &'static EventType, intake: &Intake, tools: &Tools) -> Child {
    let (intake, tools) = (intake.clone(), tools.clone());
    worker(event_type.name, move || {
        Lanes::new(|| Handler {
            event_type,
            priority: tools.settings.priority_of(event_type),
            intake: intake.clone(),
            tools: tools.clone(),
            pause: FIRST_PAUSE,
            company: Company::default(),
            counts: Counts::new(event_type.name),
        })
    })
}

/// One lane of a type's handler.
struct Handler {
    event_type: &'static EventType,
    priority: u8,
    intake: Intake,
    tools: Tools,
    pause: Duration,
    company: Company,
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

impl Handler {
    /// Whether the service stops and nothing can be taken: finding that out takes seconds.
    fn is_cut_off(&self) -> bool {
        self.tools.stopping.is_cancelled() && !self.tools.connection.is_connected()
    }

    /// The next batch, and whether it is as large as one may be; `None` where nothing came.
    async fn take(&mut self) -> Result<Option<(Batch, bool)>, Unfinished> {
        let most = self.tools.settings.batch_size;
        let size = self.tools.precedence.batch(self.priority, most);
        match self.intake.take(size).await {
            Ok(batch) if batch.events.is_empty() => {
                self.well();
                Ok(None)
            }
            Ok(batch) => {
                let is_full = batch.events.len() >= size;
                Ok(Some((batch, is_full)))
            }
            Err(error) => self.rest(&error, &[]).await.map(|()| None),
        }
    }

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

    /// At a place from its storing to its acknowledgement: announcing takes from the others, too. While there is
    /// enough for all, no batch is large, and nobody needs a place.
    async fn process(&mut self, batch: &Batch) -> Result<(), Unfinished> {
        let is_large = batch.events.len() >= self.tools.settings.batch_size.div_ceil(2);
        let large = is_large.then(|| self.tools.precedence.large());
        let place = if self.tools.precedence.is_short() {
            self.place(&batch.messages).await
        } else {
            None
        };
        let done = storing::at(place, self.process_here(batch)).await;
        drop(large);
        done
    }

    async fn process_here(&mut self, batch: &Batch) -> Result<(), Unfinished> {
        let started = Instant::now();
        let outcomes = if let Some(outcome) = self.given_up(batch).await? {
            vec![outcome]
        } else if let Some(outcomes) = self.store_together(batch).await {
            outcomes
        } else {
            let (events, messages) = (&batch.events, &batch.messages);
            self.store(events, messages, storing::PATIENCE).await?
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
        let is_fresh = freshness == Freshness::Fresh;
        let stored = if is_fresh && self.announce_together(&stored).await {
            Vec::new()
        } else {
            stored
        };
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
        self.keep(messages).await;
        Ok(())
    }

    /// Tells the server that the messages are worked on.
    async fn keep(&self, messages: &[Unsettled]) {
        if self.tools.connection.is_connected() {
            tell(messages, repeat(AckKind::Progress)).await;
        }
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
