//! The way of a batch of events into the database.
//!
//! The order of the steps is the order in which two transactions may meet:
//! generic rows by their event ids, then conversations, then the rows that hang
//! on them, table by table, then the links between rows, last the accounts' counters. Everyone
//! takes locks in that order, sorted within a step, so that nobody waits for
//! someone who waits for them; and whoever gets a conversation second sees the
//! rows of whoever had it first, so that links are found from either side.

use std::borrow::Borrow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::DbErr;
use uuid::Uuid;

use super::Transaction;
use super::entry::{Entry, Incoming, Occasion, Outcome, State, unsettled};
use super::erased::Tombstones;
use super::typed::Planned;
use super::unsent::Unsent;
use super::{Store, StoreError, again, generic, typed};

impl Store {
    /// Stores a batch of events, all or nothing, and says what became of each, in
    /// their order. They may be of several types: a transaction costs the same for
    /// one as for all.
    pub async fn store<I: Borrow<Incoming>>(
        &self,
        batch: &[I],
    ) -> Result<Vec<Outcome>, StoreError> {
        let told = batch
            .iter()
            .map(I::borrow)
            // What is stored has its account, and makes none.
            .filter(|incoming| incoming.occasion != Occasion::Replay)
            .map(|incoming| incoming.event.ig_account_id.as_str());
        let accounts = self.accounts_of(told).await?;
        let mut entries = Entries::of(batch, &accounts);
        let writing = self.begin().await?;
        self.write(&writing.transaction, &mut entries).await?;
        writing.commit().await?;
        Ok(entries.outcomes(batch))
    }

    async fn write(&self, on: &Transaction, entries: &mut Entries<'_>) -> Result<(), StoreError> {
        entries.leave_out_erased(on).await?;
        if entries.0.is_empty() {
            return Ok(());
        }
        give_rows(on, &mut entries.0, Utc::now()).await?;
        let planned = Planned::of(&entries.0);
        self.write_typed(on, entries, planned).await?;
        count(on, &entries.0).await?;
        Ok(())
    }

    pub(super) async fn write_typed(
        &self,
        on: &Transaction,
        entries: &Entries<'_>,
        planned: Planned<'_>,
    ) -> Result<(), StoreError> {
        planned.write(on, self.keep_unsent).await?;
        if !self.keep_unsent {
            Unsent::of(&entries.0).blank(on).await?;
        }
        Ok(())
    }
}

/// Gives every entry its row: first tellings, then what is there already, then
/// duplicates. A second statement tells them apart, since one has one snapshot
/// and cannot see who won.
pub(super) async fn give_rows(
    on: &Transaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    generic::insert_first(on, entries, now).await?;
    again::settle_known(on, entries).await?;
    generic::insert_duplicates(on, entries, now).await?;
    again::read_others(on, entries).await?;
    match unsettled(entries).next() {
        None => Ok(()),
        Some(entry) => Err(entry.vanished()),
    }
}

pub(super) struct Entries<'a>(pub(super) Vec<Entry<'a>>);

impl<'a> Entries<'a> {
    /// One entry a receipt, in the order of event ids.
    pub(super) fn of<I: Borrow<Incoming>>(
        batch: &'a [I],
        accounts: &HashMap<String, Uuid>,
    ) -> Self {
        let mut by_receipt: HashMap<Uuid, Entry<'a>> = HashMap::new();
        for incoming in batch.iter().map(I::borrow) {
            let event = &incoming.event;
            let entry = match by_receipt.remove(&event.receipt_id) {
                Some(entry) => entry.and(incoming),
                None => Entry::new(incoming, accounts.get(&event.ig_account_id).copied()),
            };
            by_receipt.insert(event.receipt_id, entry);
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

    /// Whatever is known of a receipt: what was erased is not told as stored either.
    async fn leave_out_erased(&mut self, on: &Transaction) -> Result<(), DbErr> {
        let accounts = self
            .0
            .iter()
            .map(|entry| entry.event.ig_account_id.as_str());
        let tombstones = Tombstones::of(on, accounts).await?;
        self.0.retain_mut(|entry| tombstones.admits(entry));
        tombstones.make_way(on, &self.0).await
    }

    fn outcomes(&self, batch: &[impl Borrow<Incoming>]) -> Vec<Outcome> {
        let by_receipt: HashMap<Uuid, &Entry<'_>> = self
            .0
            .iter()
            .map(|entry| (entry.event.receipt_id, entry))
            .collect();
        let outcome = |incoming: &Incoming| {
            by_receipt
                .get(&incoming.event.receipt_id)
                .map_or(Outcome::Erased, |entry| outcome(entry, incoming.occasion))
        };
        batch.iter().map(Borrow::borrow).map(outcome).collect()
    }
}

fn outcome(entry: &Entry<'_>, occasion: Occasion) -> Outcome {
    // Told already, and not again: for a replay nothing is new.
    if occasion == Occasion::Replay {
        return Outcome::Replayed;
    }
    let told = match &entry.state {
        State::New | State::Gone => Some(Outcome::Unassigned),
        State::Fresh | State::Rewritten => None,
        State::Settled(known) => known.outcome(),
    };
    told.unwrap_or_else(|| match entry.account_id {
        Some(account_id) => Outcome::Stored {
            account_id,
            rows: typed::rows_of(entry.event_type, entry.event),
            again: entry.state != State::Fresh,
        },
        None => Outcome::Unassigned,
    })
}

/// Adds what the batch brought to the counters of its accounts.
pub(super) async fn count(on: &Transaction, entries: &[Entry<'_>]) -> Result<(), DbErr> {
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
