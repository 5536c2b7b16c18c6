//! What a replay did, or would do.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::store::preview::Difference;
use crate::store::replayable::Left;

/// So many differences are kept one by one.
const SHOWN: usize = 40;
/// So many deliveries are named one by one.
const NAMED: usize = 100;

/// What a replay did; in a dry run, what it would do.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ReplayReport)]
pub struct Report {
    /// Whether nothing was sent.
    pub dry_run: bool,
    /// How many events of each type were sent to their handlers.
    pub sent: BTreeMap<String, u64>,
    /// How many events of each type, which nobody had, were published.
    pub published: BTreeMap<String, u64>,
    /// How many were left alone, and why.
    pub left: BTreeMap<Left, u64>,
    /// What was read of the journal.
    pub deliveries: Option<Deliveries>,
    /// What would change, in a dry run.
    pub changes: Option<Changes>,
    /// Rows of what was received before then may be gone from the generic log, by retention. How many these were,
    /// nobody knows any more.
    pub may_lack_before: Option<DateTime<Utc>>,
}

/// What was read of the journal.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ReplayDeliveries)]
pub struct Deliveries {
    /// Deliveries of the time asked for.
    pub read: u64,
    /// Those of them that were taken unchecked: the secret that made their signature
    /// is not configured any more.
    pub unchecked: u64,
    /// Those of them whose signature does not hold: not taken.
    pub refused: u64,
    /// The first hundred of these.
    pub refused_ids: Vec<Uuid>,
    /// Messages of the journal that cannot be read.
    pub unreadable_messages: u64,
}

/// What would change in the typed rows.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = ReplayChanges)]
pub struct Changes {
    /// Some differences, one by one.
    pub shown: Vec<Difference>,
    /// All of them counted, by table and column; `row` counts whole rows.
    pub by_column: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// Events whose rows the database would refuse.
    pub refused: u64,
}

impl Report {
    /// Whether all that was asked for could be done.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let journal = self.deliveries.as_ref();
        let is_read = journal.is_none_or(|it| it.refused == 0 && it.unreadable_messages == 0);
        let would_be_taken = self.changes.as_ref().is_none_or(|it| it.refused == 0);
        is_read && would_be_taken
    }

    pub(super) fn leave(&mut self, left: Left) {
        *self.left.entry(left).or_default() += 1;
    }
}

pub(super) fn count(counts: &mut BTreeMap<String, u64>, event_type: &str) {
    match counts.get_mut(event_type) {
        Some(count) => *count += 1,
        None => {
            counts.insert(event_type.to_owned(), 1);
        }
    }
}

impl Deliveries {
    pub(super) fn refuse(&mut self, delivery_id: Uuid) {
        self.refused += 1;
        if self.refused_ids.len() < NAMED {
            self.refused_ids.push(delivery_id);
        }
    }
}

impl Changes {
    pub(super) fn add(&mut self, differences: Vec<Difference>) {
        for difference in differences {
            let of_table = self.by_column.entry(difference.table).or_default();
            *of_table
                .entry(difference.column.unwrap_or("row"))
                .or_default() += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(difference);
            }
        }
    }
}
