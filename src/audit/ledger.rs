//! The ledger: numbers, and what differs by name.

use chrono::{DateTime, Utc};
use entity::webhook_event::status;
use serde::Serialize;
use utoipa::ToSchema;

use super::difference::Difference;
use super::named::Named;

/// The books of the service.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Ledger {
    /// Whether they balance: nothing is missing, surplus or lost.
    pub balances: bool,
    /// When the audit ended.
    pub audited_at: DateTime<Utc>,
    /// What waits to be published.
    pub journal: Waiting,
    /// Each type of event.
    pub types: Vec<TypeLedger>,
    /// Their sum.
    pub total: Counts,
    /// What a comparison that begins at the journal found, where it was asked for.
    pub deep: Option<Deep>,
    /// What differs; at most [`super::NAMED`].
    pub differences: Vec<Difference>,
    /// How many more differ.
    pub unnamed: u64,
}

/// The journal after the publisher's floor.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = LedgerWaiting)]
pub struct Waiting {
    /// Messages.
    pub messages: u64,
    /// The deliveries in them.
    pub deliveries: u64,
    /// Messages that this program cannot read.
    pub unreadable: u64,
}

/// The books of one type.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LedgerOfType)]
pub struct TypeLedger {
    /// The type.
    pub event_type: &'static str,
    /// The handler's acknowledgement floor: what is at or below it is compared.
    pub floor: u64,
    /// What was counted.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Up to the floor `receipts` = `rows` + `missing`, and `messages` = `receipts` + `copies`.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = LedgerCounts)]
pub struct Counts {
    /// Messages up to the floor.
    pub messages: u64,
    /// The receipts in them, each once.
    pub receipts: u64,
    /// Messages more of the same receipts.
    pub copies: u64,
    /// Their rows, by status.
    pub rows: Rows,
    /// Receipts without a row.
    pub missing: u64,
    /// Rows without a message.
    pub surplus: u64,
    /// Receipts after the floor without a row.
    pub in_flight: u64,
}

/// Rows by status.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = LedgerRows)]
pub struct Rows {
    /// Its rows are there.
    pub stored: u64,
    /// Told before.
    pub duplicate: u64,
    /// To be tried again.
    pub retrying: u64,
    /// Failed for good.
    pub dead: u64,
    /// Of an unknown account.
    pub unassigned: u64,
    /// Given up by an operator.
    pub discarded: u64,
}

/// Every item of every delivery in the journal up to the publisher's floor, understood afresh.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = LedgerDeep)]
pub struct Deep {
    /// Deliveries.
    pub deliveries: u64,
    /// Their items.
    pub items: u64,
    /// Items with a row.
    pub with_row: u64,
    /// Items whose message is after its handler's floor.
    pub in_flight: u64,
    /// Items of erased accounts, or purged from the journal meanwhile.
    pub left_out: u64,
    /// Items that have a message, acknowledged, and no row.
    pub missing: u64,
    /// Items that have neither message nor row.
    pub lost: u64,
    /// Messages of the journal that this program cannot read.
    pub unreadable: u64,
}

impl Ledger {
    /// Adds it all up.
    #[must_use]
    pub(super) fn of(
        journal: Waiting,
        types: Vec<TypeLedger>,
        deep: Option<Deep>,
        named: Named,
    ) -> Self {
        let mut total = Counts::default();
        for one in &types {
            total.add(&one.counts);
        }
        let is_whole = deep.as_ref().is_none_or(Deep::is_whole);
        Self {
            balances: total.missing == 0 && total.surplus == 0 && is_whole,
            audited_at: Utc::now(),
            journal,
            types,
            total,
            deep,
            differences: named.differences,
            unnamed: named.unnamed,
        }
    }
}

impl Deep {
    fn is_whole(&self) -> bool {
        self.missing == 0 && self.lost == 0 && self.unreadable == 0
    }
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.receipts += other.receipts;
        self.copies += other.copies;
        self.missing += other.missing;
        self.surplus += other.surplus;
        self.in_flight += other.in_flight;
        self.rows.stored += other.rows.stored;
        self.rows.duplicate += other.rows.duplicate;
        self.rows.retrying += other.rows.retrying;
        self.rows.dead += other.rows.dead;
        self.rows.unassigned += other.rows.unassigned;
        self.rows.discarded += other.rows.discarded;
    }
}

impl Rows {
    /// One more of that status. The schema knows no others.
    pub(super) fn add(&mut self, status: &str) {
        *match status {
            status::STORED => &mut self.stored,
            status::DUPLICATE => &mut self.duplicate,
            status::RETRYING => &mut self.retrying,
            status::DEAD => &mut self.dead,
            status::UNASSIGNED => &mut self.unassigned,
            _ => &mut self.discarded,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(counts: Counts, deep: Option<Deep>) -> Ledger {
        let of_type = TypeLedger {
            event_type: "comment",
            floor: 1,
            counts,
        };
        let types = vec![of_type.clone(), of_type];
        Ledger::of(Waiting::default(), types, deep, Named::default())
    }

    #[test]
    fn what_is_in_flight_balances_and_what_is_wrong_does_not() {
        let right = Counts {
            in_flight: 7,
            copies: 3,
            ..Counts::default()
        };
        let balanced = ledger(right.clone(), Some(Deep::default()));
        assert!(balanced.balances && balanced.total.in_flight == 14);
        for wrong in [
            Counts {
                missing: 1,
                ..right.clone()
            },
            Counts {
                surplus: 1,
                ..right.clone()
            },
        ] {
            assert!(!ledger(wrong, None).balances);
        }
        for wrong in [
            Deep {
                lost: 1,
                ..Deep::default()
            },
            Deep {
                missing: 1,
                ..Deep::default()
            },
            Deep {
                unreadable: 1,
                ..Deep::default()
            },
        ] {
            assert!(!ledger(right.clone(), Some(wrong)).balances);
        }
    }

    #[test]
    fn every_status_of_the_schema_has_a_column() {
        let mut rows = Rows::default();
        for status in [
            status::STORED,
            status::DUPLICATE,
            status::RETRYING,
            status::DEAD,
            status::UNASSIGNED,
            status::DISCARDED,
        ] {
            rows.add(status);
        }
        let Rows {
            stored,
            duplicate,
            retrying,
            dead,
            unassigned,
            discarded,
        } = rows;
        let counted = [stored, duplicate, retrying, dead, unassigned, discarded];
        assert_eq!(counted, [1; 6]);
    }
}
