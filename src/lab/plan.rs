//! What the traffic is to be like.

use std::ops::RangeInclusive;

use super::kind::Kind;

/// What the traffic is like.
#[derive(Debug, Clone)]
pub struct TrafficPlan {
    /// Decides everything that the other fields leave open.
    pub seed: u64,
    /// When the first delivery happens, in milliseconds since 1970.
    pub start_ms: u64,
    /// The time from one delivery to the next, in microseconds.
    pub step_micros: u64,
    /// The types to send; all of them if empty.
    pub kinds: Vec<Kind>,
    /// How many accounts take part; at least one does.
    pub accounts: usize,
    /// How many items a delivery has.
    pub batch: RangeInclusive<usize>,
    /// Percent of the deliveries that tell an earlier one again.
    pub duplicates: f64,
    /// Percent of the deliveries that are invalid in some way.
    pub invalid: f64,
}

impl Default for TrafficPlan {
    fn default() -> Self {
        Self {
            seed: 0,
            start_ms: 0,
            step_micros: 20_000,
            kinds: Kind::ALL.to_vec(),
            accounts: 3,
            batch: 1..=3,
            duplicates: 5.0,
            invalid: 1.0,
        }
    }
}
