//! Handles of the series, looked up once and used on the hot paths.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{
    ACCEPT_DURATION, ACTOR_RESTARTS, ARCHIVE_FAILURES, DEAD_LETTERS, DELIVERIES, DUPLICATES,
    DURABILITY_INFO, END_TO_END_DURATION, EVENT_TYPE, EVENTS_PROCESSED, EVENTS_RECEIVED, ErrorType,
    OLDEST_PENDING, Outcome, PROCESSING_DURATION, PROCESSING_FAILURES, QUEUE_DEPTH,
    RETENTION_DELETED, RETRIES, Retained, STREAM_BYTES, STREAM_MAX_BYTES,
};
use crate::config::Durability;

/// The handles of the receiver.
#[derive(Clone)]
pub struct AcceptMetrics {
    outcomes: Vec<Counter>,
    duration: Histogram,
}

impl AcceptMetrics {
    /// Looks the handles up in the installed recorder.
    #[must_use]
    pub fn new() -> Self {
        let outcome = |outcome: &Outcome| counter!(DELIVERIES, "outcome" => outcome.as_str());
        Self {
            outcomes: Outcome::ALL.iter().map(outcome).collect(),
            duration: histogram!(ACCEPT_DURATION),
        }
    }

    /// Counts a delivery; the time since its arrival goes into the histogram if it was accepted.
    pub fn finished(&self, outcome: Outcome, elapsed: Duration) {
        if let Some(counter) = self.outcomes.get(outcome as usize) {
            counter.increment(1);
        }
        if outcome == Outcome::Accepted {
            self.duration.record(elapsed);
        }
    }
}

impl Default for AcceptMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The handles of one event type, for its handler and for the publisher.
#[derive(Clone)]
pub struct TypeMetrics {
    /// Events received.
    pub received: Counter,
    /// Events told before.
    pub duplicates: Counter,
    /// Events whose rows are committed.
    pub processed: Counter,
    /// Attempts after one that failed.
    pub retries: Counter,
    /// Events that failed for good.
    pub dead_letters: Counter,
    /// Seconds from fetched to committed; takes a [`Duration`].
    pub processing: Histogram,
    /// Seconds from received to committed; takes a [`Duration`].
    pub end_to_end: Histogram,
    failures: Vec<Counter>,
}

impl TypeMetrics {
    /// Looks the handles of this type up in the installed recorder.
    #[must_use]
    pub fn new(event_type: &'static str) -> Self {
        let failure = |error: &ErrorType| counter!(PROCESSING_FAILURES, EVENT_TYPE => event_type, "error_type" => error.as_str());
        Self {
            received: counter!(EVENTS_RECEIVED, EVENT_TYPE => event_type),
            duplicates: counter!(DUPLICATES, EVENT_TYPE => event_type),
            processed: counter!(EVENTS_PROCESSED, EVENT_TYPE => event_type),
            retries: counter!(RETRIES, EVENT_TYPE => event_type),
            dead_letters: counter!(DEAD_LETTERS, EVENT_TYPE => event_type),
            processing: histogram!(PROCESSING_DURATION, EVENT_TYPE => event_type),
            end_to_end: histogram!(END_TO_END_DURATION, EVENT_TYPE => event_type),
            failures: ErrorType::ALL.iter().map(failure).collect(),
        }
    }

    /// Counts an attempt that failed.
    pub fn failed(&self, error: ErrorType) {
        if let Some(counter) = self.failures.get(error as usize) {
            counter.increment(1);
        }
    }
}

/// The handles of one queue: an event type, or [`JOURNAL`](super::JOURNAL).
#[derive(Clone)]
pub struct QueueMetrics {
    depth: Gauge,
    oldest_pending: Gauge,
}

impl QueueMetrics {
    /// Looks the handles up; the series are there from now on, so take them with the first sample.
    #[must_use]
    pub fn new(event_type: &'static str) -> Self {
        Self {
            depth: gauge!(QUEUE_DEPTH, EVENT_TYPE => event_type),
            oldest_pending: gauge!(OLDEST_PENDING, EVENT_TYPE => event_type),
        }
    }

    /// Takes a sample over: messages waiting or not acknowledged, and the age of the oldest (zero if none).
    pub fn sampled(&self, depth: u64, oldest: Duration) {
        self.depth.set(approximate(depth));
        self.oldest_pending.set(oldest.as_secs_f64());
    }
}

/// The handles of one stream.
#[derive(Clone)]
pub struct StreamMetrics {
    bytes: Gauge,
    max_bytes: Gauge,
}

impl StreamMetrics {
    /// Looks the handles up; the series are there from now on, so take them with the first sample.
    #[must_use]
    pub fn new(stream: &'static str) -> Self {
        Self {
            bytes: gauge!(STREAM_BYTES, "stream" => stream),
            max_bytes: gauge!(STREAM_MAX_BYTES, "stream" => stream),
        }
    }

    /// Takes a sample over: bytes in the stream, and its limit.
    pub fn sampled(&self, bytes: u64, max_bytes: u64) {
        self.bytes.set(approximate(bytes));
        self.max_bytes.set(approximate(max_bytes));
    }
}

/// A gauge holds a float: exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn approximate(number: u64) -> f64 {
    number as f64
}

/// Says what a 200 means on each server, once at start: the level does not change while the service runs.
pub fn set_durability(level: Durability) {
    gauge!(DURABILITY_INFO, "level" => level.as_str()).set(1.0);
}

/// The counter of an actor's restarts; taking it makes its series.
pub fn actor_restarts(actor: &'static str) -> Counter {
    counter!(ACTOR_RESTARTS, "actor" => actor)
}

/// The counter of rows that retention deleted.
pub fn retention_deleted(kind: Retained) -> Counter {
    counter!(RETENTION_DELETED, "kind" => kind.as_str())
}

/// The counter of looks that ended since the archive could not be written.
pub fn archive_failures() -> Counter {
    counter!(ARCHIVE_FAILURES)
}
