//! What was sent, what was answered, and how fast.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    delivery::Delivery,
    expectation::Expectation,
    post::{Answer, Verdict},
};

/// How many deliveries that went wrong are described; the others are only counted.
const DESCRIBED: usize = 5;
/// The longest time to an answer that the histogram tells apart, in microseconds.
const LONGEST_MICROS: u64 = 60_000_000;

/// The outcome of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Deliveries posted.
    pub deliveries: u64,
    /// Events in them.
    pub events: u64,
    /// Deliveries posted more than once, since the outcome was not known or was a 5xx.
    pub retried: u64,
    /// Deliveries that were never answered for good.
    pub failed: u64,
    /// Deliveries answered otherwise than they must be.
    pub unexpected: u64,
    /// What happened to the first few of those.
    pub complaints: Vec<String>,
    /// Why the run ended before it was done, if it did.
    pub stopped: Option<String>,
    /// Per event type; `none` are deliveries without a readable item.
    pub types: BTreeMap<&'static str, TypeCount>,
    /// How many deliveries got which HTTP status in the end.
    pub statuses: BTreeMap<u16, u64>,
    /// How long the run took, in seconds.
    pub seconds: f64,
    /// Deliveries answered a second.
    pub deliveries_per_second: f64,
    /// Time from posting to the answer, retries not counted in, in milliseconds.
    pub latency_ms: Latency,
}

/// How many events of a type were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TypeCount {
    /// All of them.
    pub sent: u64,
    /// Those that had been sent before.
    pub repeated: u64,
}

/// The distribution of the times to an answer, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of the answers took no longer.
    pub p50: f64,
    /// 99 % took no longer. Both are exact to one percent.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Summary {
    /// True if every delivery was answered as it must be.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failed == 0 && self.unexpected == 0
    }
}

/// What one connection has seen; merged at the end, so that connections share nothing.
pub(super) struct Tally {
    deliveries: u64,
    events: u64,
    retried: u64,
    failed: u64,
    unexpected: u64,
    complaints: Vec<String>,
    types: BTreeMap<&'static str, TypeCount>,
    statuses: BTreeMap<u16, u64>,
    latency: Histogram<u32>,
}

impl Tally {
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            deliveries: 0,
            events: 0,
            retried: 0,
            failed: 0,
            unexpected: 0,
            complaints: Vec::new(),
            types: BTreeMap::new(),
            statuses: BTreeMap::new(),
            latency: Histogram::new_with_bounds(1, LONGEST_MICROS, 2)?,
        })
    }

    pub(super) fn count(&mut self, delivery: &Delivery, answer: &Answer) {
        self.deliveries += 1;
        self.retried += u64::from(answer.retried);
        for told in &delivery.events {
            self.count_event(told.event_type, told.expectation);
        }
        if let Some(status) = answer.status {
            *self.statuses.entry(status).or_default() += 1;
            let micros = u64::try_from(answer.latency.as_micros()).unwrap_or(u64::MAX);
            self.latency.saturating_record(micros.max(1));
        }
        match answer.verdict(delivery.status) {
            Verdict::AsExpected => return,
            Verdict::Unexpected => self.unexpected += 1,
            Verdict::Failed => self.failed += 1,
        }
        if self.complaints.len() < DESCRIBED {
            self.complaints.push(complaint(delivery, answer));
        }
    }

    fn count_event(&mut self, event_type: Option<&'static str>, expectation: Expectation) {
        self.events += u64::from(event_type.is_some());
        let count = self.types.entry(event_type.unwrap_or("none")).or_default();
        count.sent += 1;
        count.repeated += u64::from(expectation == Expectation::Duplicate);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.events += other.events;
        self.retried += other.retried;
        self.failed += other.failed;
        self.unexpected += other.unexpected;
        let room = DESCRIBED.saturating_sub(self.complaints.len());
        self.complaints
            .extend(other.complaints.into_iter().take(room));
        for (event_type, more) in other.types {
            let count = self.types.entry(event_type).or_default();
            count.sent += more.sent;
            count.repeated += more.repeated;
        }
        for (status, more) in other.statuses {
            *self.statuses.entry(status).or_default() += more;
        }
        // Both have the same bounds, so nothing is out of range.
        let _ = self.latency.add(other.latency);
    }

    #[allow(clippy::cast_precision_loss)] // counts of deliveries, far below 2^52
    pub(super) fn summary(self, elapsed: Duration, stopped: Option<String>) -> Summary {
        let seconds = elapsed.as_secs_f64();
        let answered: u64 = self.statuses.values().sum();
        let millis = |micros: u64| micros as f64 / 1_000.0;
        Summary {
            deliveries: self.deliveries,
            events: self.events,
            retried: self.retried,
            failed: self.failed,
            unexpected: self.unexpected,
            complaints: self.complaints,
            stopped,
            types: self.types,
            statuses: self.statuses,
            seconds,
            deliveries_per_second: answered as f64 / seconds.max(f64::EPSILON),
            latency_ms: Latency {
                p50: millis(self.latency.value_at_quantile(0.5)),
                p99: millis(self.latency.value_at_quantile(0.99)),
                max: millis(self.latency.max()),
            },
        }
    }
}

fn complaint(delivery: &Delivery, answer: &Answer) -> String {
    let (number, expected) = (delivery.number, delivery.status);
    match (answer.status, &answer.error) {
        (Some(status), _) => {
            format!("delivery {number}: answered {status} instead of {expected}")
        }
        (None, Some(error)) => format!("delivery {number}: {error}"),
        (None, None) => format!("delivery {number}: no answer"),
    }
}
