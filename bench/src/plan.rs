//! How much is measured.

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often, for a median.
    pub runs: usize,
    /// Events of one measurement, where their number is free.
    pub events: usize,
    /// Little of all: to see whether it works.
    pub is_quick: bool,
}

impl Plan {
    /// For what takes minutes: at most `most` times.
    #[must_use]
    pub fn runs_at_most(&self, most: usize) -> usize {
        self.runs.min(most)
    }
}

/// A count as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn count(number: u64) -> f64 {
    number as f64
}

/// A length as a figure.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub fn size(number: usize) -> f64 {
    number as f64
}

/// So many of something that goes on at `rate` a second for `seconds`.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are above zero and far below 2^32"
)]
pub fn number(rate: f64, seconds: f64) -> usize {
    (rate * seconds).max(1.0) as usize
}
