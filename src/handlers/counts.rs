//! What is counted and logged of a batch: one line a batch, and one for each
//! event that failed for good.

use std::time::Duration;

use chrono::Utc;
use tracing::{error, info, warn};

use crate::store::{Incoming, Outcome, StoreError};
use crate::telemetry::metrics::{ErrorType, TypeMetrics};

pub(super) struct Counts {
    event_type: &'static str,
    metrics: TypeMetrics,
}

impl Counts {
    pub(super) fn new(event_type: &'static str) -> Self {
        Self {
            event_type,
            metrics: TypeMetrics::new(event_type),
        }
    }

    /// An attempt at an event failed.
    pub(super) fn failed(&self, incoming: &Incoming, error: &StoreError) {
        let receipt_id = incoming.event.receipt_id;
        warn!(event_type = self.event_type, %receipt_id, %error, "an event could not be stored");
        self.metrics.failed(ErrorType::Rejected);
    }

    /// A stored event could not be written again: its rows are as they were.
    pub(super) fn not_replayed(&self, incoming: &Incoming, reason: &str) {
        let receipt_id = incoming.event.receipt_id;
        error!(
            event_type = self.event_type,
            %receipt_id,
            reason,
            "an event could not be replayed: its rows stay as they were"
        );
    }

    /// The handler panicked over a batch.
    pub(super) fn panicked(&self) {
        self.metrics.failed(ErrorType::Panic);
    }

    /// A batch is through. What an earlier delivery by `JetStream` had stored
    /// was counted then.
    pub(super) fn add(&self, events: &[Incoming], outcomes: &[Outcome], stored_in: Duration) {
        let [
            mut stored,
            mut duplicates,
            mut unassigned,
            mut dead,
            mut retries,
            mut replayed,
            mut erased,
        ] = [0; 7];
        for (incoming, outcome) in events.iter().zip(outcomes) {
            match outcome {
                Outcome::Stored { again: false, .. } => {
                    stored += 1;
                    self.record_end_to_end(incoming);
                }
                Outcome::Duplicate => duplicates += 1,
                Outcome::Unassigned => unassigned += 1,
                Outcome::Retry { .. } => retries += 1,
                Outcome::Dead {
                    error, attempts, ..
                } => {
                    dead += 1;
                    self.died(incoming, error, *attempts);
                }
                // Counted when it came.
                Outcome::Replayed => replayed += 1,
                Outcome::Erased => erased += 1,
                Outcome::Stored { again: true, .. } | Outcome::Discarded => {}
            }
        }
        self.metrics.processed.increment(stored + duplicates);
        self.metrics.duplicates.increment(duplicates);
        self.metrics.dead_letters.increment(dead);
        self.metrics.retries.increment(retries);
        self.metrics
            .processing
            .record_many(stored_in.as_secs_f64(), events.len());
        let (event_type, events, ms) = (self.event_type, events.len(), stored_in.as_millis());
        info!(
            event_type,
            events, stored, duplicates, unassigned, dead, retries, replayed, erased, ms, "stored"
        );
    }

    fn record_end_to_end(&self, incoming: &Incoming) {
        let since = (Utc::now() - incoming.event.received_at)
            .to_std()
            .unwrap_or_default();
        self.metrics.end_to_end.record(since.as_secs_f64());
    }

    fn died(&self, incoming: &Incoming, error: &str, attempts: u32) {
        let receipt_id = incoming.event.receipt_id;
        error!(event_type = self.event_type, %receipt_id, attempts, error, "an event failed for good");
        if incoming.event.malformed().is_some() {
            self.metrics.failed(ErrorType::Malformed);
        }
    }
}
