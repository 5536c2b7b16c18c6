//! One type: its messages against its rows, page by page.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::ledger::{Counts, TypeLedger};
use super::named::{Named, Seen};
use super::suspects::Suspects;
use super::told::Told;
use super::{AuditError, PAGE, PAGE_BYTES, Sources};
use crate::instagram::EventType;
use crate::store::erased::Erased;
use crate::store::ledger::{Place, Standing};
use crate::stream::pages::{End, Pages, Stretch, sequence_of, state};
use crate::stream::topology::ConsumerNames;

/// More than a page of messages has, so that it is asked for once.
const ROWS: usize = PAGE + PAGE / 2;
/// What clocks of several machines may differ by.
const CLOCKS: TimeDelta = TimeDelta::hours(1);

/// The ledger of `event_type`, and what of it differs.
pub(super) async fn of_type(
    sources: &Sources<'_>,
    event_type: &'static EventType,
) -> Result<(TypeLedger, Named), AuditError> {
    let names = sources
        .topology
        .consumer_names("handler", event_type.name)?;
    let floor = sources.progress(&names).await?.floor;
    let mut pass = Pass {
        sources,
        event_type: event_type.name,
        names,
        floor,
        first: None,
        counts: Counts::default(),
        named: Named::default(),
        elsewhere: Seen::default(),
        missing: Seen::default(),
        in_flight: Seen::default(),
        suspects: Suspects::default(),
    };
    pass.read().await?;
    pass.confirm().await?;
    let ledger = TypeLedger {
        event_type: event_type.name,
        floor,
        counts: pass.counts,
    };
    Ok((ledger, pass.named))
}

/// What the stream holds of a type: its own first sequence, and that of the type's first message.
struct Held {
    stream: u64,
    event_type: u64,
    /// What came before may have been purged.
    cutoff: DateTime<Utc>,
}

struct Pass<'a> {
    sources: &'a Sources<'a>,
    event_type: &'static str,
    names: ConsumerNames,
    floor: u64,
    /// The first message that was read.
    first: Option<u64>,
    counts: Counts,
    named: Named,
    /// Receipts whose row says another sequence, at which it is not counted.
    elsewhere: Seen,
    missing: Seen,
    in_flight: Seen,
    suspects: Suspects,
}

impl Pass<'_> {
    async fn read(&mut self) -> Result<(), AuditError> {
        let (context, names) = (self.sources.context, &self.names);
        let Some(state) = state(context, &names.stream).await? else {
            return Ok(());
        };
        let last = sequence_of(context, &names.stream, &names.filter, End::Last).await?;
        let mut pages = Pages::open(context, self.stretch(last.unwrap_or(0))).await?;
        let mut done = state.first_sequence.saturating_sub(1);
        loop {
            let page = pages.next(PAGE, PAGE_BYTES).await?;
            let mut told: Vec<Told> = page.into_iter().map(Told::of).collect();
            self.first = self.first.or(told.first().map(|told| told.sequence));
            let is_end = told.is_empty();
            // Behind the last message all rows up to the floor are asked for.
            let read = told.last().map_or(u64::MAX, |last| last.sequence);
            let after = told.split_off(told.partition_point(|told| told.sequence <= self.floor));
            let up_to = read.min(self.floor);
            if done < up_to {
                self.compare(told, done, up_to).await?;
                done = up_to;
            }
            if is_end {
                return Ok(());
            }
            self.count_in_flight(after).await?;
        }
    }

    fn stretch(&self, up_to: u64) -> Stretch {
        Stretch {
            stream: self.names.stream.clone(),
            filter: self.names.filter.clone(),
            after: 0,
            up_to,
            headers_only: true,
        }
    }

    /// The messages of a stretch of the stream, and the rows that say they are from there.
    async fn compare(&mut self, told: Vec<Told>, after: u64, up_to: u64) -> Result<(), AuditError> {
        let store = self.sources.store;
        let mut open: HashMap<u64, Told> =
            told.into_iter().map(|told| (told.sequence, told)).collect();
        let mut place = Place::after(after);
        loop {
            let rows = store
                .standings(self.event_type, place, up_to, ROWS as u64)
                .await?;
            let erased = store.erased().await?;
            let Some(last) = rows.last() else { break };
            place = Place::behind(last);
            let is_last = rows.len() < ROWS;
            let alone = self.pair(&mut open, rows, &erased);
            self.suspect(alone).await?;
            if is_last {
                break;
            }
        }
        self.look_up(open).await
    }

    /// Counts the rows whose message is at their sequence, and returns the others.
    fn pair(
        &mut self,
        open: &mut HashMap<u64, Told>,
        rows: Vec<Standing>,
        erased: &Erased,
    ) -> Vec<Standing> {
        let mut alone = Vec::new();
        for row in rows {
            let is_its = |told: &Told| told.receipt == Some(row.receipt);
            let Some(sequence) = row.sequence.filter(|at| open.get(at).is_some_and(is_its)) else {
                alone.push(row);
                continue;
            };
            let told = open.remove(&sequence);
            if !told.is_some_and(|told| told.is_erased(erased)) {
                self.counts.messages += 1;
                self.count_row(&row.status);
            }
        }
        alone
    }

    fn count_row(&mut self, status: &str) {
        self.counts.receipts += 1;
        self.counts.rows.add(status);
    }

    /// The messages whose row does not say that it is from there.
    async fn look_up(&mut self, open: HashMap<u64, Told>) -> Result<(), AuditError> {
        if open.is_empty() {
            return Ok(());
        }
        let mut told: Vec<Told> = open.into_values().collect();
        told.sort_unstable_by_key(|told| told.sequence);
        let rows = self.rows_of(&told).await?;
        let erased = self.sources.store.erased().await?;
        told.retain(|told| !told.is_erased(&erased));
        let mut without = Vec::new();
        for told in told {
            match told.receipt.and_then(|receipt| rows.get(&receipt)) {
                None => without.push(told),
                Some(row) => self.count_elsewhere(row),
            }
        }
        self.count_missing(without).await
    }

    async fn rows_of(&self, told: &[Told]) -> Result<HashMap<Uuid, Standing>, AuditError> {
        let receipts = told.iter().filter_map(|told| told.receipt);
        let rows = self.sources.store.standings_of(receipts).await?;
        Ok(rows.into_iter().map(|row| (row.receipt, row)).collect())
    }

    /// A message whose row is from another sequence: counted there where a message is read there.
    fn count_elsewhere(&mut self, row: &Standing) {
        self.counts.messages += 1;
        let first = self.first.unwrap_or(0);
        let is_read = |sequence| sequence >= first && sequence <= self.floor;
        if !row.sequence.is_some_and(is_read) && self.elsewhere.is_new(row.receipt) {
            self.count_row(&row.status);
        } else {
            self.counts.copies += 1;
        }
    }

    async fn count_missing(&mut self, without: Vec<Told>) -> Result<(), AuditError> {
        if without.is_empty() {
            return Ok(());
        }
        let held = self.held().await?;
        for told in without {
            if told.sequence < held.stream || told.sequence < held.event_type {
                continue;
            }
            self.counts.messages += 1;
            if told.receipt.is_some_and(|id| !self.missing.is_new(id)) {
                self.counts.copies += 1;
                continue;
            }
            self.counts.receipts += 1;
            self.counts.missing += 1;
            self.named.add(told.missing());
        }
        Ok(())
    }

    /// Rows without a message where they say it is. What was purged or erased is left out.
    async fn suspect(&mut self, alone: Vec<Standing>) -> Result<(), AuditError> {
        if alone.is_empty() {
            return Ok(());
        }
        let store = self.sources.store;
        let receipts: Vec<Uuid> = alone.iter().map(|row| row.receipt).collect();
        let rows = store.told_of(&receipts).await?;
        let erased = store.erased().await?;
        let held = self.held().await?;
        let status: HashMap<Uuid, String> = alone
            .into_iter()
            .map(|row| (row.receipt, row.status))
            .collect();
        for row in rows {
            let sequence = row.sequence.unwrap_or(0);
            let is_left_out = sequence > self.floor
                || sequence < held.stream
                || (sequence < held.event_type && row.received_at < held.cutoff)
                || erased.covers(&row.ig_account_id, row.receipt);
            if !is_left_out && let Some(status) = status.get(&row.receipt) {
                self.suspects.add(row, status);
            }
        }
        Ok(())
    }

    async fn held(&self) -> Result<Held, AuditError> {
        let (context, names) = (self.sources.context, &self.names);
        let state = state(context, &names.stream).await?;
        let first = sequence_of(context, &names.stream, &names.filter, End::First).await?;
        let keep = TimeDelta::from_std(self.sources.keep).unwrap_or(TimeDelta::MAX);
        let cutoff = Utc::now().checked_sub_signed(keep);
        Ok(Held {
            stream: state.map_or(u64::MAX, |state| state.first_sequence),
            event_type: first.unwrap_or(u64::MAX),
            cutoff: cutoff.map_or(DateTime::UNIX_EPOCH, |cutoff| cutoff + CLOCKS),
        })
    }

    async fn count_in_flight(&mut self, told: Vec<Told>) -> Result<(), AuditError> {
        if told.is_empty() {
            return Ok(());
        }
        let rows = self.rows_of(&told).await?;
        let erased = self.sources.store.erased().await?;
        for told in told.iter().filter(|told| !told.is_erased(&erased)) {
            let is_new = told.receipt.is_none_or(|receipt| {
                !rows.contains_key(&receipt) && self.in_flight.is_new(receipt)
            });
            self.counts.in_flight += u64::from(is_new);
        }
        Ok(())
    }

    /// A suspect is none if its receipt has another message up to the floor.
    async fn confirm(&mut self) -> Result<(), AuditError> {
        let context = self.sources.context;
        if !self.suspects.is_empty() && state(context, &self.names.stream).await?.is_some() {
            let mut pages = Pages::open(context, self.stretch(self.floor)).await?;
            loop {
                let page = pages.next(PAGE, PAGE_BYTES).await?;
                if page.is_empty() {
                    break;
                }
                for told in page.into_iter().map(Told::of) {
                    self.clear(told.receipt);
                }
            }
        }
        self.counts.surplus = self.suspects.name(self.event_type, &mut self.named);
        Ok(())
    }

    fn clear(&mut self, receipt: Option<Uuid>) {
        let Some(receipt) = receipt else { return };
        let Some(status) = self.suspects.clear(receipt) else {
            return;
        };
        if self.elsewhere.is_new(receipt) {
            // Its message was taken for a copy.
            self.counts.copies = self.counts.copies.saturating_sub(1);
            self.count_row(&status);
        }
    }
}
