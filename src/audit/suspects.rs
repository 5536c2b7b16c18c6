//! Rows without a message, until it is sure that their receipts have no other.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::difference::{Difference, Wrong};
use super::named::Named;
use crate::store::ledger::Told;

/// So many are looked into; beyond that it is no matter of single copies any more.
const LOOKED_INTO: usize = 50_000;

#[derive(Debug, Default)]
pub(super) struct Suspects {
    rows: BTreeMap<Uuid, (Told, String)>,
    more: u64,
}

impl Suspects {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn add(&mut self, row: Told, status: &str) {
        if self.rows.len() < LOOKED_INTO {
            self.rows.insert(row.receipt, (row, status.to_owned()));
        } else {
            self.more += 1;
        }
    }

    /// The receipt has a message after all: returns the status of its row.
    pub(super) fn clear(&mut self, receipt: Uuid) -> Option<String> {
        self.rows.remove(&receipt).map(|(_, status)| status)
    }

    /// Names what is left, and returns how many these are.
    pub(super) fn name(&mut self, event_type: &str, named: &mut Named) -> u64 {
        let rows = std::mem::take(&mut self.rows);
        let surplus = rows.len() as u64 + self.more;
        for (row, _) in rows.into_values() {
            named.add(Difference {
                wrong: Wrong::Surplus,
                receipt: Some(row.receipt),
                event_type: event_type.to_owned(),
                ig_account_id: row.ig_account_id,
                event_id: row.event_id,
                delivery_id: Some(row.delivery_id),
                stream_sequence: row.sequence,
            });
        }
        named.add_unnamed(self.more);
        surplus
    }
}
