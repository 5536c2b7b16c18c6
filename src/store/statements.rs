//! Statements over any table, made from its columns and its type's rules.

use std::collections::HashSet;

use entity::columns::{Column, Kind};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::Transaction;
use super::cells::Cells;
use super::dialect::{Dialect, quoted};
use crate::instagram::types::{Merge, Table};

pub(super) type Row = Map<String, Value>;

/// Inserts `rows` into `table`, each merged into the row that is there already.
/// Rows of one key go one after the other: a statement cannot touch a row twice.
pub(super) async fn upsert<R: Cells>(
    on: &Transaction,
    table: &Table,
    rows: Vec<R>,
    keep_unsent: bool,
) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    for round in rounds(rows, table.key) {
        let columns = used_columns((table.columns)(), &round);
        let sql = upsert_sql(dialect, table, &columns, keep_unsent);
        on.execute_rows(&sql, &round, &columns).await?;
    }
    Ok(())
}

/// Inserts those of `rows` that conflict with none, and returns the ids of these.
pub(super) async fn insert_new<R: Cells>(
    on: &Transaction,
    table: &str,
    columns: &[Column],
    rows: &[R],
) -> Result<Vec<QueryResult>, DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let used = used_columns(columns, rows);
    let sql = format!(
        "{} ON CONFLICT DO NOTHING RETURNING \"id\"",
        insert_sql(dialect, table, &used)
    );
    on.query_rows(&sql, rows, &used).await
}

/// The columns of which some row says something.
pub(super) fn used_columns<R: Cells>(columns: &[Column], rows: &[R]) -> Vec<Column> {
    let is_used = |column: &&Column| rows.iter().any(|row| row.cell(column.name).is_some());
    columns.iter().filter(is_used).copied().collect()
}

/// Splits `rows` so that no key is twice in a round; the order of a key's rows
/// is kept, and within a round rows stand in the order of their keys, so that
/// two transactions lock them in one order.
pub(super) fn rounds<R: Cells>(rows: Vec<R>, key: &[&str]) -> Vec<Vec<R>> {
    let mut keyed: Vec<(String, R)> = rows.into_iter().map(|row| (row.key(key), row)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    let mut rounds: Vec<Vec<R>> = Vec::new();
    let (mut last, mut nth) = (None, 0);
    for (key, row) in keyed {
        nth = if last.as_ref() == Some(&key) {
            nth + 1
        } else {
            0
        };
        if rounds.len() <= nth {
            rounds.push(Vec::new());
        }
        rounds[nth].push(row);
        last = Some(key);
    }
    rounds
}

pub(super) fn insert_sql(dialect: Dialect, table: &str, columns: &[Column]) -> String {
    let names = columns
        .iter()
        .map(|column| quoted(column.name))
        .collect::<Vec<_>>()
        .join(", ");
    let rows = dialect.rows(columns);
    // Without the WHERE, SQLite takes ON CONFLICT for a join's condition.
    format!(
        "INSERT INTO {} ({names}) SELECT {names} FROM ({rows}) AS n WHERE true",
        quoted(table)
    )
}

fn upsert_sql(dialect: Dialect, table: &Table, columns: &[Column], keep_unsent: bool) -> String {
    let insert = insert_sql(dialect, table.name, columns);
    let key = key_list(table);
    let is_used = |name: &str| columns.iter().any(|column| column.name == name);
    let merges: Vec<String> = table
        .merge
        .iter()
        .map(|(column, merge)| {
            let blanked = !keep_unsent && table.blanked.contains(column);
            (column, merge, blanked)
        })
        // What is to be blanked is there, though an unsend does not bring it.
        .filter(|(column, _, blanked)| is_used(column) || *blanked)
        .map(|(column, merge, blanked)| {
            format!(
                "{} = {}",
                quoted(column),
                merged(table.name, column, *merge, blanked)
            )
        })
        .collect();
    if merges.is_empty() {
        return format!("{insert} ON CONFLICT DO NOTHING");
    }
    format!(
        "{insert} ON CONFLICT ({key}) DO UPDATE SET {merges}, \"updated_at\" = {now}{changed}",
        merges = merges.join(", "),
        now = dialect.now(),
        changed = where_it_grows(table)
    )
}

/// The columns that make a row of `table` the same row.
pub(super) fn key_list(table: &Table) -> String {
    let names: Vec<String> = table.key.iter().map(|column| quoted(column)).collect();
    names.join(", ")
}

/// Where a row can only grow, one that does not is locked and not written.
fn where_it_grows(table: &Table) -> String {
    if table
        .merge
        .iter()
        .any(|(_, merge)| *merge != Merge::Greatest)
    {
        return String::new();
    }
    let grows = |(column, _): &(&str, Merge)| {
        let (old, new) = sides(table.name, column);
        format!("COALESCE({new} > {old}, {new} IS NOT NULL AND {old} IS NULL)")
    };
    let grows: Vec<String> = table.merge.iter().map(grows).collect();
    format!(" WHERE {}", grows.join(" OR "))
}

/// A column of the row that is there, and of the one that comes.
pub(super) fn sides(table: &str, column: &str) -> (String, String) {
    (
        format!("\"{table}\".\"{column}\""),
        format!("excluded.\"{column}\""),
    )
}

/// What a column becomes when its row is there already. `old` and `new` are told
/// apart by nothing but what they hold, so the order does not matter.
pub(super) fn merged(table: &str, column: &str, merge: Merge, blanked: bool) -> String {
    let (old, new) = sides(table, column);
    let both = |name: &str| sides(table, name);
    let smaller = format!(
        "CASE WHEN {old} IS NULL OR {new} < {old} THEN COALESCE({new}, {old}) ELSE {old} END"
    );
    let greater = format!(
        "CASE WHEN {old} IS NULL OR {new} > {old} THEN COALESCE({new}, {old}) ELSE {old} END"
    );
    let merged = match merge {
        Merge::Either => format!("({old} OR {new})"),
        Merge::Greatest => greater,
        Merge::Sum => format!("{old} + {new}"),
        Merge::Newer => {
            let (old_time, new_time) = both("timestamp");
            format!(
                "CASE WHEN {new_time} > {old_time} THEN {new} WHEN {new_time} < {old_time} THEN {old} \
                 ELSE {smaller} END"
            )
        }
        Merge::Original => {
            let (old_type, new_type) = both("message_type");
            format!(
                "CASE WHEN ({old_type} IS NULL) = ({new_type} IS NULL) THEN {smaller} \
                 WHEN {old_type} IS NULL THEN COALESCE({new}, {old}) ELSE COALESCE({old}, {new}) END"
            )
        }
        Merge::HighestEdit => {
            let (old_count, new_count) = both("edited_count");
            format!(
                "CASE WHEN {new} IS NULL THEN {old} WHEN {new_count} > {old_count} THEN {new} \
                 WHEN {new_count} < {old_count} THEN COALESCE({old}, {new}) ELSE {smaller} END"
            )
        }
    };
    if blanked {
        return unless_deleted(table, &merged);
    }
    merged
}

/// `value`, or nothing once either row says that it was unsent.
pub(super) fn unless_deleted(table: &str, value: &str) -> String {
    let (old_flag, new_flag) = sides(table, "is_deleted");
    format!("CASE WHEN {old_flag} OR {new_flag} THEN NULL ELSE {value} END")
}

/// The fields of `value`; what is no object has none.
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
