//! What is remembered of single receipts, up to a bound.

use std::collections::HashSet;

use uuid::Uuid;

use super::difference::{Difference, NAMED};

/// So many receipts are remembered to tell copies apart. There are copies only after crashes longer than
/// the streams' window; beyond this number one may be counted twice.
const REMEMBERED: usize = 500_000;

/// Differences by name, as many as are named.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) differences: Vec<Difference>,
    pub(super) unnamed: u64,
}

impl Named {
    pub(super) fn add(&mut self, difference: Difference) {
        if self.differences.len() < NAMED {
            self.differences.push(difference);
        } else {
            self.unnamed += 1;
        }
    }

    /// So many more, of which no more is known.
    pub(super) fn add_unnamed(&mut self, more: u64) {
        self.unnamed += more;
    }

    /// Whether the receipt is named already, or is among those that are not.
    pub(super) fn may_have(&self, receipt: Uuid) -> bool {
        let is_it = |difference: &Difference| difference.receipt == Some(receipt);
        self.unnamed > 0 || self.differences.iter().any(is_it)
    }

    pub(super) fn append(&mut self, other: Self) {
        self.unnamed += other.unnamed;
        for difference in other.differences {
            self.add(difference);
        }
    }
}

/// Tells receipts from their copies.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<Uuid>);

impl Seen {
    /// Whether it is seen for the first time.
    pub(super) fn is_new(&mut self, receipt: Uuid) -> bool {
        if self.0.len() < REMEMBERED {
            self.0.insert(receipt)
        } else {
            !self.0.contains(&receipt)
        }
    }
}
