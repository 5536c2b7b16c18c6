//! The generic log: one row a receipt, and which of two tellings of an event is
//! the first.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::columns::{Kind, columns_of};
use entity::webhook_event::Entity;
use entity::webhook_event::status::{DEAD, DUPLICATE, RETRYING, STORED, UNASSIGNED};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::cells::{Cell, Cells};
use super::dialect::Dialect;
use super::entry::{Entry, Known, State, unsettled};
use super::payload;
use super::statements::{Row, column, ids, insert_new, row};
use crate::instagram::Event;

pub(super) const TABLE: &str = "instagram_webhook_events";

/// Rows for those events that are told for the first time.
pub(super) async fn insert_first(
    on: &Transaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let rows: Vec<LogRow<'_, '_>> = entries
        .iter()
        .filter(|entry| !entry.is_mere_replay)
        .map(|entry| LogRow::first(entry, now))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let inserted = insert(on, rows).await?;
    for entry in entries {
        if inserted.contains(&entry.event.receipt_id) {
            entry.given = u64::from(entry.account_id.is_some());
            entry.state = state_of_new(entry, entry.first_status());
        }
    }
    Ok(())
}

/// The receipts of those that conflicted with none.
async fn insert(on: &Transaction, rows: Vec<LogRow<'_, '_>>) -> Result<HashSet<Uuid>, DbErr> {
    ids(&insert_new(on, TABLE, columns_of::<Entity>(), &rows).await?)
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
    on: &Transaction,
    entries: &mut [Entry<'_>],
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    if unsettled(entries).next().is_none() {
        return Ok(());
    }
    let firsts = find_firsts(on, entries).await?;
    let rows: Vec<LogRow<'_, '_>> = unsettled(entries)
        .filter_map(|entry| {
            firsts
                .get(&key(entry.event))
                .map(|first| LogRow::duplicate(entry, *first, now))
        })
        .collect();
    let inserted = insert(on, rows).await?;
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

async fn find_firsts(on: &Transaction, entries: &[Entry<'_>]) -> Result<HashMap<Key, Uuid>, DbErr> {
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
    let found = on.query_rows(&sql, &rows, &columns).await?;
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

/// A row of the generic log, about to be written.
pub(super) struct LogRow<'e, 'a> {
    entry: &'e Entry<'a>,
    payload: Option<Cow<'a, str>>,
    status: &'static str,
    processed_at: Option<DateTime<Utc>>,
    attempts: i64,
    deaths: i64,
    duplicate_of: Option<Uuid>,
}

impl<'e, 'a> LogRow<'e, 'a> {
    /// Of an event that failed, before its attempts are counted.
    pub(super) fn of(entry: &'e Entry<'a>, status: &'static str) -> Self {
        Self {
            entry,
            payload: payload::of(entry.event),
            status,
            processed_at: None,
            attempts: 0,
            deaths: 0,
            duplicate_of: None,
        }
    }

    fn first(entry: &'e Entry<'a>, now: DateTime<Utc>) -> Self {
        let status = entry.first_status();
        Self {
            processed_at: (status == STORED).then_some(now),
            attempts: i64::from(status != UNASSIGNED),
            deaths: i64::from(status == DEAD),
            ..Self::of(entry, status)
        }
    }

    fn duplicate(entry: &'e Entry<'a>, first: Uuid, now: DateTime<Utc>) -> Self {
        Self {
            processed_at: Some(now),
            attempts: 1,
            duplicate_of: Some(first),
            ..Self::of(entry, DUPLICATE)
        }
    }
}

impl Cells for LogRow<'_, '_> {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        let event = self.entry.event;
        let sequence = self.entry.sequence.and_then(|at| i64::try_from(at).ok());
        Some(match column {
            "id" => Cell::Uuid(event.receipt_id),
            "event_type" => Cell::Text(&event.event_type),
            "event_id" => Cell::Text(&event.event_id),
            "instagram_account_id" => Cell::uuid(self.entry.account_id),
            "ig_account_id" => Cell::Text(&event.ig_account_id),
            "origin" => Cell::Text(event.origin().as_str()),
            "object_type" => Cell::Text(&event.object_type),
            "object_id" => Cell::text(event.object_id.as_deref()),
            "sender_ig_id" => Cell::text(event.sender_ig_id.as_deref()),
            "sender_username" => Cell::text(event.sender_username.as_deref()),
            "payload" => self.payload.as_deref().map_or(Cell::Null, Cell::Document),
            "status" => Cell::Text(self.status),
            "processed" => Cell::Boolean(self.processed_at.is_some()),
            "processed_at" => self.processed_at.map_or(Cell::Null, Cell::Time),
            "processing_attempts" => Cell::Integer(self.attempts),
            "deaths" => Cell::Integer(self.deaths),
            "last_processing_error" => Cell::text(self.failure()),
            "is_duplicate" => Cell::Boolean(self.status == DUPLICATE),
            "duplicate_of" => Cell::uuid(self.duplicate_of),
            "stream_sequence" => sequence.map_or(Cell::Null, Cell::Integer),
            "delivery_id" => Cell::Uuid(event.delivery_id),
            "occurred_at" => Cell::Time(event.occurred_at),
            "received_at" => Cell::Time(event.received_at),
            _ => return None,
        })
    }
}

impl LogRow<'_, '_> {
    /// What a duplicate's first row says is not said again.
    fn failure(&self) -> Option<&str> {
        let is_first = self.duplicate_of.is_none() && self.status != RETRYING;
        self.entry.event.malformed().filter(|_| is_first)
    }
}
