//! An event that could not be stored: its attempt is counted in its row, and
//! after the last one it is dead.

use entity::columns::{Kind, columns_of};
use entity::webhook_event::Entity;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};
use serde_json::{Value, json};

use super::batch::{Entry, Incoming, Outcome, State};
use super::dialect::Dialect;
use super::generic::{DEAD, RETRYING, TABLE, column, read_known, row, row_of};
use super::statements::{Row, insert_new, json_array};
use super::{Store, StoreError};

impl Store {
    /// Counts a failed attempt at `incoming`, and says whether it is tried again.
    pub async fn record_failure(
        &self,
        incoming: &Incoming,
        error: &StoreError,
        max_attempts: u32,
    ) -> Result<Outcome, StoreError> {
        let accounts = self
            .accounts_of([incoming.event.ig_account_id.as_str()].into_iter())
            .await?;
        let entry = Entry {
            event: &incoming.event,
            sequence: incoming.sequence,
            reprocess: incoming.reprocess,
            account_id: accounts.get(&incoming.event.ig_account_id).copied(),
            state: State::New,
        };
        let error = error.to_string();
        match self.record(&entry, &error, max_attempts, true).await {
            // The payload itself may be what the database refuses.
            Err(StoreError::Database(_)) => self.record(&entry, &error, max_attempts, false).await,
            recorded => recorded,
        }
    }

    async fn record(
        &self,
        entry: &Entry<'_>,
        error: &str,
        max_attempts: u32,
        with_payload: bool,
    ) -> Result<Outcome, StoreError> {
        let writing = self.begin().await?;
        insert_new(
            &writing.transaction,
            TABLE,
            &columns_of::<Entity>(),
            &[failed_row(entry, with_payload)],
        )
        .await?;
        let outcome = count_attempt(&writing.transaction, entry, error, max_attempts).await?;
        writing.commit().await?;
        Ok(outcome)
    }
}

fn failed_row(entry: &Entry<'_>, with_payload: bool) -> Row {
    let mut failed = row_of(entry);
    failed.extend(row(json!({
        "status": RETRYING,
        "processed": false,
        "processing_attempts": 0,
        "deaths": 0,
        "is_duplicate": false,
    })));
    if !with_payload {
        failed.insert("payload".into(), Value::Null);
    }
    failed
}

/// No row under this receipt means that the event was told before, under
/// another: then the batch it comes in next finds its first telling.
async fn count_attempt(
    on: &DatabaseTransaction,
    entry: &Entry<'_>,
    error: &str,
    max_attempts: u32,
) -> Result<Outcome, DbErr> {
    let columns = [
        column("receipt", Kind::Uuid),
        column("error", Kind::Text(None)),
        column("most", Kind::Integer),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let last = "t.\"processing_attempts\" + 1 >= r.\"most\"";
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"processing_attempts\" = t.\"processing_attempts\" + 1, \
         \"last_processing_error\" = r.\"error\", \"updated_at\" = {now}, \
         \"status\" = CASE WHEN {last} THEN '{DEAD}' ELSE '{RETRYING}' END, \
         \"deaths\" = CASE WHEN {last} THEN t.\"deaths\" + 1 ELSE t.\"deaths\" END \
         FROM ({rows}) AS r WHERE t.\"id\" = r.\"receipt\" AND NOT t.\"processed\" \
         RETURNING \"status\", \"processing_attempts\", \"deaths\", \"last_processing_error\"",
        now = dialect.now(),
        rows = dialect.rows(&columns),
    );
    let attempt =
        row(json!({ "receipt": entry.event.receipt_id, "error": error, "most": max_attempts }));
    let counted = on
        .query_all_raw(dialect.statement(&sql, json_array(&[attempt], &columns)))
        .await?;
    let Some(counted) = counted.first() else {
        return Ok(Outcome::Retry { attempts: 0 });
    };
    let known = read_known(counted)?;
    Ok(if known.status == DEAD {
        Outcome::Dead {
            error: known.error,
            attempts: known.attempts,
            deaths: known.deaths,
        }
    } else {
        Outcome::Retry {
            attempts: known.attempts,
        }
    })
}
