//! What belongs to an erased account: nothing of it is stored, replayed or audited any more, though
//! the journal holds it for a while.
//!
//! A tombstone covers what came up to the erasure. What comes later is of an unknown account like
//! any other.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::columns::Kind;
use entity::erased_account::{Entity, Model};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, FromQueryResult as _};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::dialect::Dialect;
use super::entry::Entry;
use super::generic::TABLE;
use super::statements::{Row, column, row};
use super::{Store, StoreError};
use crate::instagram::identity::{received_at, subject_token};

/// The tombstones.
#[derive(Debug, Clone, Default)]
pub struct Erased(HashMap<String, DateTime<Utc>>);

impl Erased {
    /// Whether that receipt was erased with its account.
    #[must_use]
    pub fn covers(&self, ig_account_id: &str, receipt_id: Uuid) -> bool {
        !self.0.is_empty() && self.covers_token(&subject_token(ig_account_id), receipt_id)
    }

    /// As [`Erased::covers`], by the account's token in a subject.
    #[must_use]
    pub fn covers_token(&self, account_token: &str, receipt_id: Uuid) -> bool {
        let erased_at = self.0.get(account_token);
        erased_at.is_some_and(|erased_at| covers(*erased_at, receipt_id))
    }
}

/// Whether a tombstone of that time covers a receipt: what came in the same millisecond is covered.
#[must_use]
pub fn covers(erased_at: DateTime<Utc>, receipt_id: Uuid) -> bool {
    received_at(receipt_id).timestamp_millis() <= erased_at.timestamp_millis()
}

/// The last receipt that a tombstone of that time covers: receipts sort by their time.
#[must_use]
pub(super) fn last_covered(erased_at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(erased_at.timestamp_millis()).unwrap_or(0);
    let mut bytes = [0xff; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

impl Store {
    /// The tombstones there are.
    pub async fn erased(&self) -> Result<Erased, StoreError> {
        let tombstones = Entity::find().all(&self.database).await?;
        let by_token = tombstones
            .into_iter()
            .map(|tombstone| (subject_token(&tombstone.ig_account_id), tombstone.erased_at))
            .collect();
        Ok(Erased(by_token))
    }
}

/// The tombstones of the accounts that a transaction is about.
pub(super) struct Tombstones(HashMap<String, Model>);

impl Tombstones {
    /// Read before all else in a transaction that stores. The lock lets any number read, and no
    /// tombstone be made until the transaction has ended: so none is made behind its back.
    pub(super) async fn of(
        on: &Transaction,
        ig_account_ids: impl Iterator<Item = &str>,
    ) -> Result<Self, DbErr> {
        let columns = [column("id", Kind::Text(None))];
        let ids: BTreeSet<&str> = ig_account_ids.collect();
        let ids: Vec<Row> = ids.iter().map(|id| row(json!({ "id": id }))).collect();
        let dialect = Dialect::of(on.get_database_backend());
        let asked = dialect.one_of(&dialect.rows(&columns));
        let sql = format!(
            "SELECT e.* FROM \"erased_accounts\" AS e WHERE e.\"ig_account_id\" {asked}{lock}",
            lock = dialect.lock("KEY SHARE", "e"),
        );
        let found = on.query_rows(&sql, &ids, &columns).await?;
        let tombstones: Vec<Model> = found
            .iter()
            .map(|row| Model::from_query_result(row, ""))
            .collect::<Result<_, _>>()?;
        let by_id = tombstones
            .into_iter()
            .map(|tombstone| (tombstone.ig_account_id.clone(), tombstone));
        Ok(Self(by_id.collect()))
    }

    /// Whether the account was ever erased.
    pub(super) fn has(&self, ig_account_id: &str) -> bool {
        self.0.contains_key(ig_account_id)
    }

    /// Since when the account is being erased.
    pub(super) fn under_way(&self, ig_account_id: &str) -> Option<DateTime<Utc>> {
        let tombstone = self.0.get(ig_account_id)?;
        tombstone
            .finished_at
            .is_none()
            .then_some(tombstone.erased_at)
    }

    /// Whether the entry is to be stored: it is not when it was erased. To what comes later an
    /// account that is being erased is unknown, whatever was known of it before the transaction.
    pub(super) fn admits(&self, entry: &mut Entry<'_>) -> bool {
        let event = entry.event;
        let Some(tombstone) = self.0.get(&event.ig_account_id) else {
            return true;
        };
        if covers(tombstone.erased_at, event.receipt_id) {
            return false;
        }
        if tombstone.finished_at.is_none() {
            entry.account_id = None;
        }
        true
    }

    /// Deletes what is about to be erased of the events that are told again: what tells of them
    /// from now on is no duplicate of a row that goes.
    pub(super) async fn make_way(
        &self,
        on: &Transaction,
        entries: &[Entry<'_>],
    ) -> Result<(), DbErr> {
        let told_again: Vec<Row> = entries
            .iter()
            .filter_map(|entry| self.first_of(entry))
            .collect();
        if told_again.is_empty() {
            return Ok(());
        }
        let columns = [
            column("account", Kind::Text(None)),
            column("type", Kind::Text(None)),
            column("event", Kind::Text(None)),
            column("last", Kind::Uuid),
        ];
        let dialect = Dialect::of(on.get_database_backend());
        let firsts = dialect.one_of(&dialect.ids_for_each(
            &dialect.rows(&columns),
            TABLE,
            "f.\"ig_account_id\" = r.\"account\" AND f.\"event_type\" = r.\"type\" \
             AND f.\"event_id\" = r.\"event\" AND NOT f.\"is_duplicate\" AND f.\"id\" <= r.\"last\"",
        ));
        for column in ["duplicate_of", "id"] {
            let sql = format!("DELETE FROM \"{TABLE}\" WHERE \"{column}\" {firsts}");
            on.execute_rows(&sql, &told_again, &columns).await?;
        }
        Ok(())
    }

    /// Where the first row of the entry's event lies, if its account is being erased.
    fn first_of(&self, entry: &Entry<'_>) -> Option<Row> {
        let event = entry.event;
        let erased_at = self.under_way(&event.ig_account_id)?;
        Some(row(json!({
            "account": event.ig_account_id,
            "type": event.event_type,
            "event": event.event_id,
            "last": last_covered(erased_at),
        })))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::instagram::identity::receipt_id;

    #[test]
    fn the_last_covered_receipt_is_that_of_its_millisecond() {
        let delivery = Uuid::now_v7();
        let receipt = receipt_id(delivery, "/entry/0/changes/0");
        let erased_at = received_at(receipt);
        assert!(covers(erased_at, receipt) && receipt <= last_covered(erased_at));
        let before = erased_at - chrono::TimeDelta::milliseconds(1);
        assert!(!covers(before, receipt) && receipt > last_covered(before));
    }
}
