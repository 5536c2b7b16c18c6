//! Receipts that have a row already: delivered again, made by another instance,
//! or kept to be taken up again.

use std::collections::HashMap;

use entity::columns::Kind;
use entity::webhook_event::status::{DEAD, RETRYING, STORED, UNASSIGNED};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::dialect::Dialect;
use super::entry::{Entry, Known, State, unsettled};
use super::generic::TABLE;
use super::statements::{Row, column, row};

/// The columns that [`read_known`] reads.
pub(super) const KNOWN: &str = "\"id\", \"status\", \"processing_attempts\", \"deaths\", \
    \"last_processing_error\", \"instagram_account_id\"";

/// Looks up what is there, and takes up again what waits.
pub(super) async fn settle_known(on: &Transaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    if unsettled(entries).next().is_none() {
        return Ok(());
    }
    find_known(on, entries).await?;
    settle_replays(entries);
    take_up_again(on, entries).await
}

/// What is to be written again is so in its own account; what has no row any more
/// is not made anew: it would look like a new event.
fn settle_replays(entries: &mut [Entry<'_>]) {
    for entry in entries.iter_mut().filter(|entry| entry.replay) {
        match &entry.state {
            State::New if entry.is_mere_replay => entry.state = State::Gone,
            State::Settled(known) if known.status == STORED && known.account_id.is_some() => {
                entry.account_id = known.account_id;
                entry.state = State::Rewritten;
            }
            _ => {}
        }
    }
}

/// Rows of receipts that came before, locked in one order so that no other
/// instance takes them up at the same time; their `stream_sequence` is raised to
/// the later copy.
async fn find_known(on: &Transaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    let columns = [
        column("receipt", Kind::Uuid),
        column("sequence", Kind::Integer),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"stream_sequence\" = CASE \
         WHEN r.\"sequence\" > COALESCE(t.\"stream_sequence\", 0) THEN r.\"sequence\" ELSE t.\"stream_sequence\" END \
         FROM (SELECT k.\"id\" AS receipt, b.\"sequence\" FROM ({rows}) AS b \
         JOIN \"{TABLE}\" AS k ON k.\"id\" = b.\"receipt\" ORDER BY k.\"id\"{lock}) AS r \
         WHERE t.\"id\" = r.receipt RETURNING {KNOWN}",
        rows = dialect.rows(&columns),
        lock = dialect.lock("NO KEY UPDATE", "k"),
    );
    let rows: Vec<Row> = unsettled(entries)
        .map(|entry| row(json!({ "receipt": entry.event.receipt_id, "sequence": entry.sequence })))
        .collect();
    let found = on.query_rows(&sql, &rows, &columns).await?;
    settle(entries, known_by_id(&found)?);
    Ok(())
}

/// A duplicate's row may have been made by another instance meanwhile. Only read:
/// who has inserted duplicates must not wait for locks of the step before.
pub(super) async fn read_others(on: &Transaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    if unsettled(entries).next().is_none() {
        return Ok(());
    }
    let columns = [column("receipt", Kind::Uuid)];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "SELECT {KNOWN} FROM ({}) AS r JOIN \"{TABLE}\" AS t ON t.\"id\" = r.\"receipt\"",
        dialect.rows(&columns)
    );
    let rows: Vec<Row> = unsettled(entries)
        .map(|entry| row(json!({ "receipt": entry.event.receipt_id })))
        .collect();
    let found = on.query_rows(&sql, &rows, &columns).await?;
    settle(entries, known_by_id(&found)?);
    Ok(())
}

fn settle(entries: &mut [Entry<'_>], mut known: HashMap<Uuid, Known>) {
    for entry in entries {
        if let Some(known) = known.remove(&entry.event.receipt_id) {
            entry.state = State::Settled(known);
        }
    }
}

fn known_by_id(rows: &[QueryResult]) -> Result<HashMap<Uuid, Known>, DbErr> {
    rows.iter()
        .map(|row| Ok((row.try_get("", "id")?, read_known(row)?)))
        .collect()
}

pub(super) fn read_known(found: &QueryResult) -> Result<Known, DbErr> {
    let count = |name: &str| {
        found
            .try_get::<i32>("", name)
            .map(|count| u32::try_from(count).unwrap_or(0))
    };
    Ok(Known {
        status: found.try_get("", "status")?,
        attempts: count("processing_attempts")?,
        deaths: count("deaths")?,
        error: found
            .try_get::<Option<String>>("", "last_processing_error")?
            .unwrap_or_default(),
        account_id: found.try_get("", "instagram_account_id")?,
    })
}

/// Rows that were kept for want of an account, or are to be tried again.
async fn take_up_again(on: &Transaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    let columns = [
        column("receipt", Kind::Uuid),
        column("account", Kind::Uuid),
        column("new_status", Kind::Text(None)),
        column("error", Kind::Text(None)),
    ];
    let rows: Vec<Row> = entries
        .iter()
        .filter(|entry| can_be_taken_up(entry))
        .map(|entry| {
            row(json!({
                "receipt": entry.event.receipt_id,
                "account": entry.account_id,
                "new_status": entry.first_status(),
                "error": entry.event.malformed(),
            }))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let dialect = Dialect::of(on.get_database_backend());
    let one_if =
        |status: &str| format!("CASE WHEN r.\"new_status\" = '{status}' THEN 1 ELSE 0 END");
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"status\" = r.\"new_status\", \"updated_at\" = {now}, \
         \"processed\" = (r.\"new_status\" = '{STORED}'), \
         \"processed_at\" = CASE WHEN r.\"new_status\" = '{STORED}' THEN {now} END, \
         \"instagram_account_id\" = COALESCE(r.\"account\", t.\"instagram_account_id\"), \
         \"processing_attempts\" = t.\"processing_attempts\" + 1 - {unassigned}, \
         \"deaths\" = t.\"deaths\" + {dead}, \
         \"last_processing_error\" = COALESCE(r.\"error\", t.\"last_processing_error\") \
         FROM ({rows}) AS r WHERE t.\"id\" = r.\"receipt\" RETURNING {KNOWN}",
        rows = dialect.rows(&columns),
        now = dialect.now(),
        unassigned = one_if(UNASSIGNED),
        dead = one_if(DEAD),
    );
    let mut taken = known_by_id(&on.query_rows(&sql, &rows, &columns).await?)?;
    for entry in entries.iter_mut() {
        if let Some(known) = taken.remove(&entry.event.receipt_id) {
            take_up(entry, known);
        }
    }
    adopt_duplicates(on, entries).await
}

fn can_be_taken_up(entry: &Entry<'_>) -> bool {
    let State::Settled(known) = &entry.state else {
        return false;
    };
    match known.status.as_str() {
        UNASSIGNED => entry.account_id.is_some(),
        RETRYING => !entry.is_mere_replay,
        DEAD => entry.reprocess && entry.event.malformed().is_none(),
        _ => false,
    }
}

fn take_up(entry: &mut Entry<'_>, now: Known) {
    let was_assigned =
        matches!(&entry.state, State::Settled(before) if before.account_id.is_some());
    entry.given = u64::from(now.account_id.is_some() && !was_assigned);
    entry.state = if now.status == STORED {
        State::Fresh
    } else {
        State::Settled(now)
    };
}

/// The duplicates of an event that waited for its account have waited with it.
async fn adopt_duplicates(on: &Transaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    let columns = [column("first", Kind::Uuid), column("account", Kind::Uuid)];
    let rows: Vec<Row> = entries
        .iter()
        .filter(|entry| entry.is_fresh() && entry.given > 0)
        .map(|entry| row(json!({ "first": entry.event.receipt_id, "account": entry.account_id })))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"instagram_account_id\" = r.\"account\" FROM ({}) AS r \
         WHERE t.\"duplicate_of\" = r.\"first\" AND t.\"instagram_account_id\" IS NULL \
         RETURNING \"duplicate_of\"",
        dialect.rows(&columns)
    );
    let mut adopted: HashMap<Uuid, u64> = HashMap::new();
    for duplicate in on.query_rows(&sql, &rows, &columns).await? {
        *adopted
            .entry(duplicate.try_get("", "duplicate_of")?)
            .or_default() += 1;
    }
    for entry in entries {
        entry.given += adopted.remove(&entry.event.receipt_id).unwrap_or(0);
    }
    Ok(())
}
