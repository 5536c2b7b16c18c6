//! Typed rows of events that are stored, written over what is there: the way of a
//! replay. Afterwards a row holds what today's parser makes of its events,
//! whatever it held before.
//!
//! What an event owns is taken from it. A row that several events tell of (a
//! message, its edits, its unsend) is locked, and made from all of them that the
//! generic log has: so it does not matter which of them are replayed, in which
//! order, or what comes meanwhile. What only grows (deleted once is deleted, the
//! number of edits) still does: of a row that retention deleted nothing is known
//! here, but what it left must stay.

use crate::store::Transaction;
use std::collections::{BTreeMap, HashMap};

use entity::columns::{Column, Kind};
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::Value;

use super::StoreError;
use super::cells::Cells as _;
use super::dialect::{Dialect, quoted};
use super::statements::{
    Row, insert_sql, key_list, merged, rounds, sides, unless_deleted, upsert, used_columns,
};
use crate::instagram::Event;
use crate::instagram::types::{Merge, Table};

mod tellings;

/// A row of a stored event, to be written over what is there.
pub(super) struct Rewritten<'a> {
    pub(super) table: &'static Table,
    pub(super) row: Row,
    pub(super) event: &'a Event,
}

/// Writes them all.
pub(super) async fn write(
    on: &Transaction,
    rewritten: &[Rewritten<'_>],
    keep_unsent: bool,
) -> Result<(), StoreError> {
    let mut tables: BTreeMap<&str, Vec<&Rewritten<'_>>> = BTreeMap::new();
    for one in rewritten {
        tables.entry(one.table.name).or_default().push(one);
    }
    for told in tables.into_values() {
        let Some(table) = told.first().map(|one| one.table) else {
            continue;
        };
        if table.told_by.is_empty() {
            write_own(on, table, rows_of(&told), keep_unsent).await?;
        } else {
            write_shared(on, table, &told, keep_unsent).await?;
        }
    }
    Ok(())
}

fn rows_of(told: &[&Rewritten<'_>]) -> Vec<Row> {
    told.iter().map(|one| one.row.clone()).collect()
}

/// Rows that are one event's own.
async fn write_own(
    on: &Transaction,
    table: &Table,
    rows: Vec<Row>,
    keep_unsent: bool,
) -> Result<(), DbErr> {
    if has_id_of_its_own(table) {
        move_keys(on, table, &rows).await?;
    }
    overwrite(on, table, rows, keep_unsent).await
}

/// Rows that other events may tell of, too.
async fn write_shared(
    on: &Transaction,
    table: &Table,
    told: &[&Rewritten<'_>],
    keep_unsent: bool,
) -> Result<(), DbErr> {
    let rows = rows_of(told);
    tellings::lock(on, table, &rows).await?;
    let mut all = tellings::others(on, table, told).await?;
    all.extend(rows);
    all.sort_by_key(time_of);
    overwrite(on, table, all.clone(), keep_unsent).await?;
    let mut tellings: HashMap<String, usize> = HashMap::new();
    for row in &all {
        *tellings.entry(row.key(table.key)).or_default() += 1;
    }
    // Of events of one rank the rules decide, as they do when these come first.
    all.retain(|row| tellings[&row.key(table.key)] > 1);
    upsert(on, table, all, keep_unsent).await
}

/// Times in their canonical form sort as texts.
fn time_of(row: &Row) -> Option<String> {
    row.get("timestamp")
        .and_then(Value::as_str)
        .map(str::to_owned)
}

/// Whether its rows are known by the receipts of their events.
pub(super) fn has_id_of_its_own(table: &Table) -> bool {
    has_uuid(table, "id")
}

/// Whether the table has a column of UUIDs of that name.
pub(super) fn has_uuid(table: &Table, name: &str) -> bool {
    (table.columns)()
        .iter()
        .any(|column| column.name == name && column.kind == Kind::Uuid)
}

/// Gives rows that are known by their receipts the key that they should have. One
/// whose key another event's row has goes: that one came first.
async fn move_keys(on: &Transaction, table: &Table, rows: &[Row]) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let columns = named(table, &[table.key, &["id"]].concat());
    let name = table.name;
    let wanted = dialect.rows(&columns);
    let list = |each: &dyn Fn(&str) -> String, separator: &str| {
        let all: Vec<String> = table.key.iter().map(|column| each(column)).collect();
        all.join(separator)
    };
    let moved = format!(
        "UPDATE \"{name}\" AS t SET {set}, \"updated_at\" = {now} FROM ({wanted}) AS r \
         WHERE t.\"id\" = r.\"id\" AND NOT ({same}) AND NOT EXISTS (\
         SELECT 1 FROM \"{name}\" AS o WHERE {taken})",
        set = list(&|column| format!("\"{column}\" = r.\"{column}\""), ", "),
        now = dialect.now(),
        same = same_key(table, "t", "r"),
        taken = same_key(table, "o", "r"),
    );
    let gone = format!(
        "DELETE FROM \"{name}\" WHERE \"id\" IN (SELECT t.\"id\" FROM ({wanted}) AS r \
         JOIN \"{name}\" AS t ON t.\"id\" = r.\"id\" WHERE NOT ({same}))",
        same = same_key(table, "t", "r"),
    );
    for sql in [moved, gone] {
        on.execute_rows(&sql, rows, &columns).await?;
    }
    Ok(())
}

fn named(table: &Table, names: &[&str]) -> Vec<Column> {
    (table.columns)()
        .iter()
        .filter(|column| names.contains(&column.name))
        .copied()
        .collect()
}

fn same_key(table: &Table, one: &str, other: &str) -> String {
    let same = |column: &&str| format!("{one}.\"{column}\" = {other}.\"{column}\"");
    let all: Vec<String> = table.key.iter().map(same).collect();
    all.join(" AND ")
}

/// Writes `rows`, those of one key in their order. A column that a row does not
/// bring stays as it is: so rows that bring the same go together.
async fn overwrite(
    on: &Transaction,
    table: &Table,
    rows: Vec<Row>,
    keep_unsent: bool,
) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let mut alike: BTreeMap<Vec<String>, Vec<Row>> = BTreeMap::new();
    for row in rows {
        alike
            .entry(row.keys().cloned().collect())
            .or_default()
            .push(row);
    }
    for rows in alike.into_values() {
        for round in rounds(rows, table.key) {
            let columns = used_columns((table.columns)(), &round);
            let sql = overwrite_sql(dialect, table, &columns, keep_unsent);
            on.execute_rows(&sql, &round, &columns).await?;
        }
    }
    Ok(())
}

fn overwrite_sql(dialect: Dialect, table: &Table, columns: &[Column], keep_unsent: bool) -> String {
    let name = table.name;
    let is_brought = |name: &str| columns.iter().any(|column| column.name == name);
    let is_blanked = |name: &str| !keep_unsent && table.blanked.contains(&name);
    let set: Vec<String> = (table.columns)()
        .iter()
        .map(|column| column.name)
        .filter(|column| *column != "id" && !table.key.contains(column))
        .filter(|column| is_brought(column) || is_blanked(column))
        .map(|column| {
            let value = if is_brought(column) {
                overwritten(table, column)
            } else {
                sides(name, column).0
            };
            let value = if is_blanked(column) {
                unless_deleted(name, &value)
            } else {
                value
            };
            format!("{} = {value}", quoted(column))
        })
        .collect();
    let own = if has_id_of_its_own(table) {
        format!(" WHERE \"{name}\".\"id\" = excluded.\"id\"")
    } else {
        String::new()
    };
    format!(
        "{insert} ON CONFLICT ({key}) DO UPDATE SET {set}, \"updated_at\" = {now}{own}",
        insert = insert_sql(dialect, name, columns),
        key = key_list(table),
        set = set.join(", "),
        now = dialect.now(),
    )
}

/// What a column becomes when its row is written again. Unlike in
/// [`merged`], what comes wins over what is there where their ranks are the same:
/// what is there may be the mistake.
fn overwritten(table: &Table, column: &str) -> String {
    let (old, new) = sides(table.name, column);
    let (old_type, new_type) = sides(table.name, "message_type");
    match table.rule(column) {
        // The newest of them comes last.
        None | Some(Merge::Newer) => new,
        Some(Merge::Original) => format!(
            "CASE WHEN {new_type} IS NULL AND {old_type} IS NOT NULL THEN COALESCE({old}, {new}) \
             ELSE {new} END"
        ),
        Some(Merge::HighestEdit) => {
            let (old_count, new_count) = sides(table.name, "edited_count");
            format!(
                "CASE WHEN {new_count} < {old_count} THEN COALESCE({old}, {new}) \
                 WHEN {new} IS NULL AND {new_type} IS NULL THEN {old} ELSE {new} END"
            )
        }
        Some(grows @ (Merge::Either | Merge::Greatest | Merge::Sum)) => {
            merged(table.name, column, grows, false)
        }
    }
}
