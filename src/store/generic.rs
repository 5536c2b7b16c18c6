//! The generic log: one row a receipt, and which of two tellings of an event is
//! the first.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::columns::{Kind, columns_of};
use entity::webhook_event::Entity;
use entity::webhook_event::status::{DEAD, DUPLICATE, STORED, UNASSIGNED};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, QueryResult};
use serde_json::json;
use uuid::Uuid;

use super::dialect::Dialect;
use super::entry::{Entry, Known, State, unsettled};
use super::payload;
use super::statements::{Row, column, ids, insert_new, json_array, row};
use crate::instagram::Event;
use crate::instagram::time::canonical;

pub(super) const TABLE: &str = "instagram_webhook_events";

/// Rows for those events that are told for the first time.
pub(super) async fn insert_first(
    on: &DatabaseTransaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let rows: Vec<Row> = entries
        .iter()
        .filter(|entry| !entry.is_mere_replay)
        .map(|entry| first_row(entry, now))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let inserted = ids(&insert_new(on, TABLE, &columns_of::<Entity>(), &rows).await?)?;
    for entry in entries {
        if inserted.contains(&entry.event.receipt_id) {
            entry.given = u64::from(entry.account_id.is_some());
            entry.state = state_of_new(entry, entry.first_status());
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
        account_id: entry.account_id,
    })
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

fn first_row(entry: &Entry<'_>, now: DateTime<Utc>) -> Row {
    let status = entry.first_status();
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
        "payload": payload::of(event),
        "stream_sequence": entry.sequence,
        "delivery_id": event.delivery_id,
        "occurred_at": canonical(event.occurred_at),
        "received_at": canonical(event.received_at),
    }))
}
