//! The handlers: one actor, ten times. Each takes batches of its type's events,
//! stores them, tells of it, and acknowledges, in this order, so that a crash
//! anywhere only does again what does not matter twice.

mod intake;
mod telling;

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::future::BoxFuture;
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::instagram::EventType;
use crate::store::error::Blame;
use crate::store::{Incoming, Outcome, Store, StoreError};
use crate::stream::Connection;
use crate::stream::bulk::publish_all;
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::{ErrorType, TypeMetrics};

pub use intake::{Intake, Taken};

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
        metrics: TypeMetrics::new(event_type.name),
    })
}

struct Handler {
    event_type: &'static EventType,
    intake: Intake,
    tools: Tools,
    pause: Duration,
    metrics: TypeMetrics,
}

/// Why a batch is not through: the service stops.
struct Stopping;

impl Worker for Handler {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        match self
            .intake
            .take(&self.tools.connection, self.tools.settings.batch_size)
            .await
        {
            Ok(batch) if batch.is_empty() => self.well(),
            Ok(batch) => {
                if self.process(batch).await?.is_err() {
                    return Ok(Turn::Done);
                }
            }
            Err(error) => {
                let _ = self.rest(&error, &[]).await;
            }
        }
        Ok(Turn::Again)
    }
}

impl Handler {
    /// Without an acknowledgement `JetStream` delivers the batch again.
    async fn process(
        &mut self,
        batch: Vec<Taken>,
    ) -> Result<Result<(), Stopping>, ActorProcessingErr> {
        let started = Instant::now();
        let incoming: Vec<Incoming> = batch.iter().map(|taken| taken.incoming.clone()).collect();
        let Ok(outcomes) = self.store(&incoming, &batch).await else {
            return Ok(Err(Stopping));
        };
        let stored_in = started.elapsed();
        let max_payload = self.tools.connection.max_payload();
        let (messages, freshness) = telling::messages(&batch, &outcomes, max_payload)?;
        while let Err(error) = publish_all(&self.tools.connection, &messages, freshness).await {
            if self.rest(&error, &batch).await.is_err() {
                return Ok(Err(Stopping));
            }
        }
        self.well();
        self.acknowledge(&batch, &outcomes).await;
        self.count(&batch, &outcomes, stored_in);
        Ok(Ok(()))
    }

    /// Stores the batch. The world's errors pause the handler and count no
    /// attempt; an event's own is looked for by halving the batch, so that it
    /// takes none of the others with it.
    fn store<'a>(
        &'a mut self,
        incoming: &'a [Incoming],
        batch: &'a [Taken],
    ) -> BoxFuture<'a, Result<Vec<Outcome>, Stopping>> {
        Box::pin(async move {
            loop {
                let error = match self.tools.store.store(self.event_type, incoming).await {
                    Ok(outcomes) => return Ok(outcomes),
                    Err(error) => error,
                };
                match (error.blame(), incoming) {
                    (Blame::World, _) => self.rest(&error, batch).await?,
                    (Blame::Event, [event]) => {
                        return Ok(vec![self.failed(event, &error, batch).await?]);
                    }
                    (Blame::Event, events) => {
                        let (first, second) = events.split_at(events.len() / 2);
                        let mut outcomes = self.store(first, batch).await?;
                        outcomes.extend(self.store(second, batch).await?);
                        return Ok(outcomes);
                    }
                }
            }
        })
    }

    async fn failed(
        &mut self,
        event: &Incoming,
        error: &StoreError,
        batch: &[Taken],
    ) -> Result<Outcome, Stopping> {
        self.metrics.failed(ErrorType::Rejected);
        warn!(event_type = self.event_type.name, receipt_id = %event.event.receipt_id, %error, "an event could not be stored");
        loop {
            match self
                .tools
                .store
                .record_failure(event, error, self.tools.settings.max_attempts)
                .await
            {
                Ok(outcome) => return Ok(outcome),
                Err(error) => self.rest(&error, batch).await?,
            }
        }
    }

    /// Waits for the world, longer each time, and keeps the batch meanwhile.
    async fn rest(
        &mut self,
        error: &(impl std::fmt::Display + Sync),
        batch: &[Taken],
    ) -> Result<(), Stopping> {
        warn!(event_type = self.event_type.name, %error, pause_ms = self.pause.as_millis(), "a handler waits");
        self.tools
            .board
            .paused(self.event_type.name, &error.to_string());
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.tools.stopping.cancelled() => return Err(Stopping),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        for taken in batch {
            taken.keep().await;
        }
        Ok(())
    }

    fn well(&mut self) {
        self.pause = FIRST_PAUSE;
        self.tools.board.running(self.event_type.name);
    }

    async fn acknowledge(&self, batch: &[Taken], outcomes: &[Outcome]) {
        for (taken, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Outcome::Retry { attempts } => taken.put_back(self.backoff(*attempts)).await,
                _ => taken.acknowledge().await,
            }
        }
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let backoff = &self.tools.settings.backoff;
        let nth = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        backoff
            .get(nth)
            .or(backoff.last())
            .copied()
            .unwrap_or_default()
    }

    fn count(&self, batch: &[Taken], outcomes: &[Outcome], stored_in: Duration) {
        let now = Utc::now();
        let (mut processed, mut duplicates, mut dead, mut retries) = (0, 0, 0, 0);
        for (taken, outcome) in batch.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { again: false, .. } => {
                    processed += 1;
                    let since = (now - taken.incoming.event.received_at)
                        .to_std()
                        .unwrap_or_default();
                    self.metrics.end_to_end.record(since.as_secs_f64());
                }
                Outcome::Duplicate => duplicates += 1,
                Outcome::Dead { .. } => dead += 1,
                Outcome::Retry { .. } => retries += 1,
                _ => {}
            }
        }
        self.metrics.processed.increment(processed + duplicates);
        self.metrics.duplicates.increment(duplicates);
        self.metrics.dead_letters.increment(dead);
        self.metrics.retries.increment(retries);
        self.metrics
            .processing
            .record_many(stored_in.as_secs_f64(), batch.len());
        self.log(
            batch,
            outcomes,
            [processed, duplicates, dead, retries],
            stored_in,
        );
    }

    fn log(&self, batch: &[Taken], outcomes: &[Outcome], counts: [u64; 4], stored_in: Duration) {
        let [stored, duplicates, dead, retries] = counts;
        let event_type = self.event_type.name;
        info!(
            event_type,
            events = batch.len(),
            stored,
            duplicates,
            dead,
            retries,
            ms = stored_in.as_millis(),
            "stored"
        );
        for (taken, outcome) in batch.iter().zip(outcomes) {
            if let Outcome::Dead {
                error, attempts, ..
            } = outcome
            {
                error!(event_type, receipt_id = %taken.incoming.event.receipt_id, attempts, error, "an event failed for good");
            }
        }
    }
}
