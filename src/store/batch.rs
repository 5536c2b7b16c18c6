//! The way of a batch of events of one type into the database.
//!
//! The order of the steps is the order in which two transactions may meet:
//! generic rows by their event ids, then conversations, then the rows that hang
//! on them, then the links between rows, last the accounts' counters. Everyone
//! takes locks in that order, sorted within a step, so that nobody waits for
//! someone who waits for them; and whoever gets a conversation second sees the
//! rows of whoever had it first, so that links are found from either side.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseTransaction, DbErr};
use uuid::Uuid;

use super::generic::{self, Known};
use super::unsent::Unsent;
use super::{Store, StoreError, Writing, typed};
use crate::instagram::{Event, EventType};

/// An event as it comes from its stream.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The event.
    pub event: Event,
    /// The sequence of its message in `INSTAGRAM_EVENTS`; `None` when it comes
    /// to be processed once more.
    pub sequence: Option<u64>,
    /// Whether it comes to be processed once more, though it was given up.
    pub reprocess: bool,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are there: to be told. `again` if they were there before.
    Stored {
        /// The account.
        account_id: Uuid,
        /// Its typed rows.
        rows: Vec<StoredRow>,
        /// Whether an earlier delivery by `JetStream` had stored it.
        again: bool,
    },
    /// Instagram had told it before; the row says of which it is a duplicate.
    Duplicate,
    /// Its account is not known; kept until it is.
    Unassigned,
    /// It failed and will be tried again.
    Retry {
        /// How often it has been tried.
        attempts: u32,
    },
    /// It failed for good: to be told as a dead letter.
    Dead {
        /// Why.
        error: String,
        /// How often it was tried.
        attempts: u32,
        /// Its how-manieth death this is.
        deaths: u32,
    },
    /// An operator had it discarded.
    Discarded,
}

/// A row that an event left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredRow {
    /// Its table.
    pub table: &'static str,
    /// Its id within the account.
    pub id: String,
}

impl Store {
    /// Stores a batch of events of one type, all or nothing, and says what became
    /// of each, in their order.
    pub async fn store(
        &self,
        event_type: &EventType,
        batch: &[Incoming],
    ) -> Result<Vec<Outcome>, StoreError> {
        let accounts = self
            .accounts_of(
                batch
                    .iter()
                    .map(|incoming| incoming.event.ig_account_id.as_str()),
            )
            .await?;
        let mut entries = Entries::of(batch, &accounts);
        let writing = self.begin().await?;
        self.write(&writing.transaction, event_type, &mut entries)
            .await?;
        commit(writing).await?;
        Ok(entries.outcomes(event_type, batch))
    }

    async fn write(
        &self,
        on: &DatabaseTransaction,
        event_type: &EventType,
        entries: &mut Entries<'_>,
    ) -> Result<(), StoreError> {
        let now = Utc::now();
        generic::insert(on, &mut entries.0, now).await?;
        let unsent = (!self.keep_unsent).then(|| Unsent::of(event_type, &entries.0));
        typed::write(on, event_type, &entries.0, self.keep_unsent).await?;
        if let Some(unsent) = &unsent {
            unsent.blank(on).await?;
        }
        count(on, &entries.0).await?;
        Ok(())
    }
}

async fn commit(writing: Writing<'_>) -> Result<(), DbErr> {
    writing.commit().await
}

/// A receipt of the batch, and what is known of it so far.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) event: &'a Event,
    /// The highest sequence at which the receipt came.
    pub(super) sequence: Option<u64>,
    pub(super) reprocess: bool,
    pub(super) account_id: Option<Uuid>,
    pub(super) state: State,
    /// How many rows the account was given in this transaction.
    pub(super) given: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Not yet looked at.
    New,
    /// Its row was made, or taken up again, in this transaction: its typed rows
    /// are to be written.
    Fresh,
    /// There is nothing more to do: this is what its row says.
    Settled(Known),
}

impl<'a> Entry<'a> {
    pub(super) fn new(incoming: &'a Incoming, account_id: Option<Uuid>) -> Self {
        Self {
            event: &incoming.event,
            sequence: incoming.sequence,
            reprocess: incoming.reprocess,
            account_id,
            state: State::New,
            given: 0,
        }
    }

    /// Whether its typed rows are to be written now.
    pub(super) fn is_fresh(&self) -> bool {
        self.state == State::Fresh
    }

    /// Whether its event was told before, under another receipt.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(&self.state, State::Settled(known) if known.status == generic::DUPLICATE)
    }
}

struct Entries<'a>(Vec<Entry<'a>>);

impl<'a> Entries<'a> {
    /// One entry a receipt, in the order of event ids.
    fn of(batch: &'a [Incoming], accounts: &HashMap<String, Uuid>) -> Self {
        let mut by_receipt: HashMap<Uuid, Entry<'a>> = HashMap::new();
        for incoming in batch {
            let event = &incoming.event;
            let entry = by_receipt.entry(event.receipt_id).or_insert_with(|| {
                Entry::new(incoming, accounts.get(&event.ig_account_id).copied())
            });
            entry.sequence = entry.sequence.max(incoming.sequence);
            entry.reprocess |= incoming.reprocess;
        }
        let mut entries: Vec<_> = by_receipt.into_values().collect();
        let key = |entry: &Entry<'a>| {
            (
                entry.event.ig_account_id.as_str(),
                entry.event.event_id.as_str(),
                entry.event.receipt_id,
            )
        };
        entries.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        Self(entries)
    }

    fn outcomes(&self, event_type: &EventType, batch: &[Incoming]) -> Vec<Outcome> {
        let by_receipt: HashMap<Uuid, &Entry<'_>> = self
            .0
            .iter()
            .map(|entry| (entry.event.receipt_id, entry))
            .collect();
        let outcome = |incoming: &Incoming| {
            by_receipt
                .get(&incoming.event.receipt_id)
                .map_or(Outcome::Discarded, |entry| outcome(event_type, entry))
        };
        batch.iter().map(outcome).collect()
    }
}

fn outcome(event_type: &EventType, entry: &Entry<'_>) -> Outcome {
    let stored = |again| match entry.account_id {
        Some(account_id) => Outcome::Stored {
            account_id,
            rows: typed::rows_of(event_type, entry.event),
            again,
        },
        None => Outcome::Unassigned,
    };
    match &entry.state {
        State::New => Outcome::Unassigned,
        State::Fresh => stored(false),
        State::Settled(known) => match known.status.as_str() {
            generic::STORED => stored(true),
            generic::DUPLICATE => Outcome::Duplicate,
            generic::UNASSIGNED => Outcome::Unassigned,
            generic::RETRYING => Outcome::Retry {
                attempts: known.attempts,
            },
            generic::DEAD => Outcome::Dead {
                error: known.error.clone(),
                attempts: known.attempts,
                deaths: known.deaths,
            },
            _ => Outcome::Discarded,
        },
    }
}

/// Adds what the batch brought to the counters of its accounts.
pub(super) async fn count(on: &DatabaseTransaction, entries: &[Entry<'_>]) -> Result<(), DbErr> {
    let mut counts: HashMap<Uuid, (u64, DateTime<Utc>)> = HashMap::new();
    for entry in entries.iter().filter(|entry| entry.given > 0) {
        let Some(account_id) = entry.account_id else {
            continue;
        };
        let (count, last) = counts
            .entry(account_id)
            .or_insert((0, entry.event.received_at));
        *count += entry.given;
        *last = entry.event.received_at.max(*last);
    }
    super::accounts::count_events(on, &counts).await
}
