//! The generic log: one row a receipt, and which of two tellings of an event is
//! the first.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::columns::{Column, Kind, columns_of};
use entity::webhook_event::Entity;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Entry, State};
use super::dialect::Dialect;
use super::statements::{Row, insert_new, json_array};
use crate::instagram::Event;
use crate::instagram::time::canonical;

pub(super) const TABLE: &str = "instagram_webhook_events";

pub(super) const STORED: &str = "stored";
pub(super) const DUPLICATE: &str = "duplicate";
pub(super) const RETRYING: &str = "retrying";
pub(super) const DEAD: &str = "dead";
pub(super) const UNASSIGNED: &str = "unassigned";

/// What the row of a receipt says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) status: String,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) error: String,
    /// Whether the row belongs to an account.
    pub(super) assigned: bool,
}

/// The columns that [`read_known`] reads.
pub(super) const KNOWN: &str = "\"id\", \"status\", \"processing_attempts\", \"deaths\", \
    \"last_processing_error\", \"instagram_account_id\"";

/// Gives every entry its row: first tellings, then what is there already, then
/// duplicates. A second statement tells them apart, since one has one snapshot
/// and cannot see who won.
pub(super) async fn insert(
    on: &DatabaseTransaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    insert_first(on, entries, now).await?;
    settle_known(on, entries).await?;
    insert_duplicates(on, entries, now).await?;
    read_others(on, entries).await?;
    match unsettled(entries).next() {
        None => Ok(()),
        Some(entry) => Err(vanished(entry.event)),
    }
}

/// What an entry's row conflicted with was deleted before it could be looked at.
/// It is the world that changed: the next attempt finds it as it is then.
pub(super) fn vanished(event: &Event) -> DbErr {
    DbErr::RecordNotFound(format!(
        "the first row of event {} was deleted while receipt {} was stored; store it again",
        event.event_id, event.receipt_id
    ))
}

async fn insert_first(
    on: &DatabaseTransaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let rows: Vec<Row> = entries.iter().map(|entry| first_row(entry, now)).collect();
    let inserted = ids(&insert_new(on, TABLE, &columns_of::<Entity>(), &rows).await?)?;
    for entry in entries {
        if inserted.contains(&entry.event.receipt_id) {
            entry.given = u64::from(entry.account_id.is_some());
            entry.state = state_of_new(entry, status_of(entry));
        }
    }
    Ok(())
}

/// The state of an entry whose row was made in this transaction.
fn state_of_new(entry: &Entry<'_>, status: &str) -> State {
    if status == STORED {
        return State::Fresh;
    }
    State::Settled(Known {
        status: status.to_owned(),
        attempts: 1,
        deaths: u32::from(status == DEAD),
        error: entry.event.malformed().unwrap_or_default().to_owned(),
        assigned: entry.account_id.is_some(),
    })
}

async fn settle_known(on: &DatabaseTransaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
    if unsettled(entries).next().is_none() {
        return Ok(());
    }
    find_known(on, entries).await?;
    take_up_again(on, entries).await
}

/// Rows of receipts that came before, locked in one order so that no other
/// instance takes them up at the same time; their `stream_sequence` is raised to
/// the later copy.
async fn find_known(on: &DatabaseTransaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
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
    let found = on
        .query_all_raw(dialect.statement(&sql, json_array(&rows, &columns)))
        .await?;
    settle(entries, known_by_id(&found)?);
    Ok(())
}

/// A duplicate's row may have been made by another instance meanwhile. Only read:
/// who has inserted duplicates must not wait for locks of the step before.
async fn read_others(on: &DatabaseTransaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
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
    let found = on
        .query_all_raw(dialect.statement(&sql, json_array(&rows, &columns)))
        .await?;
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
        assigned: found
            .try_get::<Option<Uuid>>("", "instagram_account_id")?
            .is_some(),
    })
}

/// Rows that were kept for want of an account, or are to be tried again.
async fn take_up_again(on: &DatabaseTransaction, entries: &mut [Entry<'_>]) -> Result<(), DbErr> {
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
                "new_status": status_of(entry),
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
    let mut taken = known_by_id(
        &on.query_all_raw(dialect.statement(&sql, json_array(&rows, &columns)))
            .await?,
    )?;
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
        RETRYING => true,
        DEAD => entry.reprocess && entry.event.malformed().is_none(),
        _ => false,
    }
}

fn take_up(entry: &mut Entry<'_>, now: Known) {
    let was_assigned = matches!(&entry.state, State::Settled(before) if before.assigned);
    entry.given = u64::from(now.assigned && !was_assigned);
    entry.state = if now.status == STORED {
        State::Fresh
    } else {
        State::Settled(now)
    };
}

/// The duplicates of an event that waited for its account have waited with it.
async fn adopt_duplicates(
    on: &DatabaseTransaction,
    entries: &mut [Entry<'_>],
) -> Result<(), DbErr> {
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
    for duplicate in on
        .query_all_raw(dialect.statement(&sql, json_array(&rows, &columns)))
        .await?
    {
        *adopted
            .entry(duplicate.try_get("", "duplicate_of")?)
            .or_default() += 1;
    }
    for entry in entries {
        entry.given += adopted.remove(&entry.event.receipt_id).unwrap_or(0);
    }
    Ok(())
}

/// What is left was told before, under another receipt.
pub(super) async fn insert_duplicates(
    on: &DatabaseTransaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if unsettled(entries).next().is_none() {
        return Ok(());
    }
    let firsts = find_firsts(on, entries).await?;
    let rows: Vec<Row> = unsettled(entries)
        .filter_map(|entry| {
            firsts
                .get(&key(entry.event))
                .map(|first| duplicate_row(entry, *first, now))
        })
        .collect();
    let inserted = ids(&insert_new(on, TABLE, &columns_of::<Entity>(), &rows).await?)?;
    for entry in entries {
        if inserted.contains(&entry.event.receipt_id) {
            entry.given = u64::from(entry.account_id.is_some());
            entry.state = state_of_new(entry, DUPLICATE);
        }
    }
    Ok(())
}

type Key = (String, String, String);

fn key(event: &Event) -> Key {
    (
        event.ig_account_id.replace('\0', "\u{fffd}"),
        event.event_type.clone(),
        event.event_id.clone(),
    )
}

async fn find_firsts(
    on: &DatabaseTransaction,
    entries: &[Entry<'_>],
) -> Result<HashMap<Key, Uuid>, DbErr> {
    let columns = [
        column("account", Kind::Text(None)),
        column("type", Kind::Text(None)),
        column("event", Kind::Text(None)),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "SELECT t.\"id\", t.\"ig_account_id\", t.\"event_type\", t.\"event_id\" FROM ({}) AS r \
         JOIN \"{TABLE}\" AS t ON t.\"ig_account_id\" = r.\"account\" AND t.\"event_type\" = r.\"type\" \
         AND t.\"event_id\" = r.\"event\" AND NOT t.\"is_duplicate\"",
        dialect.rows(&columns)
    );
    let rows: Vec<Row> = unsettled(entries)
        .map(|entry| key(entry.event))
        .map(|(account, event_type, event)| {
            row(json!({ "account": account, "type": event_type, "event": event }))
        })
        .collect();
    let found = on
        .query_all_raw(dialect.statement(&sql, json_array(&rows, &columns)))
        .await?;
    let text = |found: &QueryResult, name: &str| found.try_get::<String>("", name);
    found
        .iter()
        .map(|found| {
            let key = (
                text(found, "ig_account_id")?,
                text(found, "event_type")?,
                text(found, "event_id")?,
            );
            Ok((key, found.try_get("", "id")?))
        })
        .collect()
}

fn unsettled<'e, 'a>(entries: &'e [Entry<'a>]) -> impl Iterator<Item = &'e Entry<'a>> {
    entries.iter().filter(|entry| entry.state == State::New)
}

fn status_of(entry: &Entry<'_>) -> &'static str {
    if entry.event.malformed().is_some() {
        DEAD
    } else if entry.account_id.is_none() {
        UNASSIGNED
    } else {
        STORED
    }
}

fn first_row(entry: &Entry<'_>, now: DateTime<Utc>) -> Row {
    let status = status_of(entry);
    let mut first = row_of(entry);
    first.extend(row(json!({
        "status": status,
        "processed": status == STORED,
        "processed_at": (status == STORED).then(|| canonical(now)),
        "processing_attempts": i32::from(status != UNASSIGNED),
        "deaths": i32::from(status == DEAD),
        "last_processing_error": entry.event.malformed(),
        "is_duplicate": false,
    })));
    first
}

fn duplicate_row(entry: &Entry<'_>, first: Uuid, now: DateTime<Utc>) -> Row {
    let mut duplicate = row_of(entry);
    duplicate.extend(row(json!({
        "status": DUPLICATE,
        "processed": true,
        "processed_at": canonical(now),
        "processing_attempts": 1,
        "deaths": 0,
        "is_duplicate": true,
        "duplicate_of": first,
    })));
    duplicate
}

/// What a row says of its event, whatever becomes of it.
pub(super) fn row_of(entry: &Entry<'_>) -> Row {
    let event = entry.event;
    row(json!({
        "id": event.receipt_id,
        "event_type": event.event_type,
        "event_id": event.event_id,
        "instagram_account_id": entry.account_id,
        "ig_account_id": event.ig_account_id,
        "origin": event.origin().as_str(),
        "object_type": event.object_type,
        "object_id": event.object_id,
        "sender_ig_id": event.sender_ig_id,
        "sender_username": event.sender_username,
        "payload": event.raw.as_ref().map(|raw| raw.get()),
        "stream_sequence": entry.sequence,
        "delivery_id": event.delivery_id,
        "occurred_at": canonical(event.occurred_at),
        "received_at": canonical(event.received_at),
    }))
}

/// The rows are ours to make: anything but an object is none.
pub(super) fn row(value: Value) -> Row {
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

pub(super) const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

pub(super) fn ids(rows: &[QueryResult]) -> Result<HashSet<Uuid>, DbErr> {
    rows.iter().map(|row| row.try_get("", "id")).collect()
}
