//! An event that could not be stored: its attempt is counted in its row, and
//! after the last one it is dead.

use chrono::Utc;
use entity::columns::{Kind, columns_of};
use entity::webhook_event::Entity;
use entity::webhook_event::status::{DEAD, DISCARDED, RETRYING};
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;

use super::Transaction;
use super::again::{KNOWN, read_known};
use super::batch::count;
use super::dialect::Dialect;
use super::entry::{Entry, Incoming, Known, Outcome, State};
use super::erased::Tombstones;
use super::error::Blame;
use super::generic::{LogRow, TABLE, insert_duplicates};
use super::statements::{column, insert_new, row};
use super::{Store, StoreError};

/// What the row of an event says while it is tried for the last times.
const INTERRUPTED: &str = "its handler, or the whole process, ended while it was processed";

impl Store {
    /// Counts a failed attempt at `incoming`, and says whether it is tried again.
    pub async fn record_failure(
        &self,
        incoming: &Incoming,
        error: &StoreError,
        max_attempts: u32,
    ) -> Result<Outcome, StoreError> {
        let account = incoming.event.ig_account_id.as_str();
        let accounts = self.accounts_of([account].into_iter()).await?;
        let mut entry = Entry::new(incoming, accounts.get(account).copied());
        let error = error.to_string();
        match self.record(&mut entry, &error, max_attempts).await {
            // The payload itself may be what the database refuses.
            Err(refused) if refused.blame() == Blame::Event => {
                let mut bare = incoming.clone();
                bare.event.omit_raw();
                bare.event.data.clear();
                let mut entry = Entry::new(&bare, entry.account_id);
                self.record(&mut entry, &error, max_attempts).await
            }
            recorded => recorded,
        }
    }

    /// Counts an attempt at `incoming` that is about to be made. `Some` when there
    /// were `max_attempts` before: it is dead now, and not tried again; or when it was
    /// erased with its account.
    pub async fn begin_attempt(
        &self,
        incoming: &Incoming,
        max_attempts: u32,
    ) -> Result<Option<Outcome>, StoreError> {
        let account = incoming.event.ig_account_id.as_str();
        let accounts = self.accounts_of([account].into_iter()).await?;
        let mut entry = Entry::new(incoming, accounts.get(account).copied());
        let writing = self.begin().await?;
        let on = &writing.transaction;
        if was_erased(on, &mut entry).await? {
            writing.commit().await?;
            return Ok(Some(Outcome::Erased));
        }
        make_failed(on, &mut entry).await?;
        let most = max_attempts.saturating_add(1);
        let known = count_attempt(on, &entry, INTERRUPTED, most).await?;
        count(on, std::slice::from_ref(&entry)).await?;
        writing.commit().await?;
        // Without a row that waits it is stored already, or a duplicate: the next
        // step finds out.
        Ok(known
            .and_then(|known| known.outcome())
            .filter(|outcome| matches!(outcome, Outcome::Dead { .. })))
    }

    async fn record(
        &self,
        entry: &mut Entry<'_>,
        error: &str,
        max_attempts: u32,
    ) -> Result<Outcome, StoreError> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        if was_erased(on, entry).await? {
            writing.commit().await?;
            return Ok(Outcome::Erased);
        }
        make_failed(on, entry).await?;
        let outcome = match count_attempt(on, entry, error, max_attempts).await? {
            Some(known) => known.outcome().unwrap_or(Outcome::Discarded),
            None => record_duplicate(on, entry).await?,
        };
        count(on, std::slice::from_ref(entry)).await?;
        writing.commit().await?;
        Ok(outcome)
    }
}

/// What was erased with its account is not tried.
async fn was_erased(on: &Transaction, entry: &mut Entry<'_>) -> Result<bool, DbErr> {
    let account = entry.event.ig_account_id.as_str();
    let tombstones = Tombstones::of(on, [account].into_iter()).await?;
    if !tombstones.admits(entry) {
        return Ok(true);
    }
    tombstones.make_way(on, std::slice::from_ref(entry)).await?;
    Ok(false)
}

/// Makes a row that waits, if the receipt has none and its event no other.
async fn make_failed(on: &Transaction, entry: &mut Entry<'_>) -> Result<(), DbErr> {
    let failed = [LogRow::of(entry, RETRYING)];
    let made = insert_new(on, TABLE, columns_of::<Entity>(), &failed).await?;
    if !made.is_empty() {
        entry.given = u64::from(entry.account_id.is_some());
    }
    Ok(())
}

/// No row under this receipt means that the event was told before, under
/// another: then its row is all there is to store.
async fn record_duplicate(on: &Transaction, entry: &mut Entry<'_>) -> Result<Outcome, DbErr> {
    insert_duplicates(on, std::slice::from_mut(entry), Utc::now()).await?;
    match entry.state {
        State::Settled(_) => Ok(Outcome::Duplicate),
        _ => Err(entry.vanished()),
    }
}

/// Counts an attempt in the row of the receipt, if there is one that waits.
async fn count_attempt(
    on: &Transaction,
    entry: &Entry<'_>,
    error: &str,
    max_attempts: u32,
) -> Result<Option<Known>, DbErr> {
    let columns = [
        column("receipt", Kind::Uuid),
        column("error", Kind::Text(None)),
        column("most", Kind::Integer),
        column("once_more", Kind::Boolean),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    // What is taken up again after its death has all its attempts once more.
    let attempts = format!(
        "(CASE WHEN t.\"status\" = '{DEAD}' THEN 1 ELSE t.\"processing_attempts\" + 1 END)"
    );
    let last = format!("{attempts} >= r.\"most\"");
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"processing_attempts\" = {attempts}, \
         \"last_processing_error\" = r.\"error\", \"updated_at\" = {now}, \
         \"status\" = CASE WHEN {last} THEN '{DEAD}' ELSE '{RETRYING}' END, \
         \"deaths\" = CASE WHEN {last} THEN t.\"deaths\" + 1 ELSE t.\"deaths\" END \
         FROM ({rows}) AS r WHERE t.\"id\" = r.\"receipt\" AND NOT t.\"processed\" \
         AND t.\"status\" <> '{DISCARDED}' AND (t.\"status\" <> '{DEAD}' OR r.\"once_more\") \
         RETURNING {KNOWN}",
        now = dialect.now(),
        rows = dialect.rows(&columns),
    );
    let attempt = row(json!({
        "receipt": entry.event.receipt_id,
        "error": error,
        "most": max_attempts,
        "once_more": entry.reprocess,
    }));
    let counted = on.query_rows(&sql, &[attempt], &columns).await?;
    counted.first().map(read_known).transpose()
}
