//! Rows as the parameters of a statement.
//!
//! For `PostgreSQL` an array a column: it takes these as they are, where a document would have to be read and each
//! value of it made out of a text. For `SQLite` one JSON array of objects.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use entity::columns::{Column, Kind};
use sea_orm::sqlx::Arguments as _;
use sea_orm::sqlx::postgres::PgArguments;
use sea_orm::{DbBackend, DbErr, Statement, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::cells::{Cell, Cells};
use crate::instagram::json;
use crate::instagram::time::canonical;

/// An array a column, in the order of `columns`.
pub(super) fn arrays<R: Cells>(rows: &[R], columns: &[Column]) -> Result<PgArguments, DbErr> {
    let mut arguments = PgArguments::default();
    for column in columns {
        add_array(&mut arguments, rows, *column)?;
    }
    Ok(arguments)
}

fn add_array<R: Cells>(to: &mut PgArguments, rows: &[R], column: Column) -> Result<(), DbErr> {
    let added = match column.kind {
        Kind::Uuid => to.add(cells(rows, column, uuid)?),
        Kind::Text(width) => to.add(cells(rows, column, |cell| text(cell, width))?),
        // A document goes as its text, and is read where it is stored.
        Kind::Json => to.add(cells(rows, column, document)?),
        Kind::Timestamp => to.add(cells(rows, column, time)?),
        Kind::Integer => to.add(cells(rows, column, integer)?),
        Kind::Boolean => to.add(cells(rows, column, boolean)?),
    };
    added.map_err(|error| DbErr::Type(format!("the column {}: {error}", column.name)))
}

/// What each row brings to the column. `read` is none for what is none of its kind.
fn cells<'a, R: Cells, T>(
    rows: &'a [R],
    column: Column,
    read: impl Fn(Cell<'a>) -> Option<T>,
) -> Result<Vec<Option<T>>, DbErr> {
    let cell = |row: &'a R| match brought(row, column) {
        None => Ok(None),
        Some(cell) => read(cell).map(Some).ok_or_else(|| wrong_type(column)),
    };
    rows.iter().map(cell).collect()
}

/// A missing value and a NULL are the same to a column.
fn brought<R: Cells>(row: &R, column: Column) -> Option<Cell<'_>> {
    row.cell(column.name).filter(|cell| !cell.is_null())
}

fn wrong_type(column: Column) -> DbErr {
    let Column { name, kind } = column;
    DbErr::Type(format!(
        "a value of the column {name} is none of its type, {kind:?}"
    ))
}

fn uuid(cell: Cell<'_>) -> Option<Uuid> {
    match cell {
        Cell::Uuid(uuid) => Some(uuid),
        Cell::Json(value) => Uuid::try_parse(value.as_str()?).ok(),
        _ => None,
    }
}

fn text(cell: Cell<'_>, width: Option<u32>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Text(text) => Some(fitting(text, width)),
        Cell::Json(Json::String(text)) => Some(fitting(text, width)),
        Cell::Json(other) => Some(Cow::Owned(other.to_string())),
        _ => None,
    }
}

/// A text in a column of documents is such a document's JSON, not yet read. Without what a database cannot hold.
fn document(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Document(text) => Some(json::storable(text)),
        Cell::Json(Json::String(text)) => Some(json::storable(text)),
        Cell::Json(value) => Some(Cow::Owned(json::storable(&value.to_string()).into_owned())),
        _ => None,
    }
}

fn time(cell: Cell<'_>) -> Option<DateTime<Utc>> {
    match cell {
        Cell::Time(time) => Some(time),
        Cell::Json(value) => {
            let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            Some(time.with_timezone(&Utc))
        }
        _ => None,
    }
}

fn integer(cell: Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Integer(number) => Some(number),
        Cell::Json(value) => value.as_i64(),
        _ => None,
    }
}

fn boolean(cell: Cell<'_>) -> Option<bool> {
    match cell {
        Cell::Boolean(is_so) => Some(is_so),
        Cell::Json(value) => value.as_bool(),
        _ => None,
    }
}

/// A statement of `SQLite`'s, whose one parameter is `rows`.
pub(super) fn for_sqlite<R: Cells>(sql: &str, rows: &[R], columns: &[Column]) -> Statement {
    let document = Value::from(document_of(rows, columns));
    Statement::from_sql_and_values(DbBackend::Sqlite, sql, [document])
}

/// A JSON array of objects: texts cut to their columns, documents without what a database cannot hold.
fn document_of<R: Cells>(rows: &[R], columns: &[Column]) -> String {
    let mut array = String::from("[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            array.push(',');
        }
        write_row(&mut array, row, columns);
    }
    array.push(']');
    array
}

fn write_row<R: Cells>(array: &mut String, row: &R, columns: &[Column]) {
    array.push('{');
    let mut separator = "";
    for column in columns {
        let Some(cell) = brought(row, *column) else {
            continue;
        };
        let _ = write!(array, "{separator}\"{}\":", column.name);
        write_cell(array, cell, column.kind);
        separator = ",";
    }
    array.push('}');
}

fn write_cell(array: &mut String, cell: Cell<'_>, kind: Kind) {
    let _ = match (cell, kind) {
        (cell @ (Cell::Json(_) | Cell::Text(_)), Kind::Text(width)) => {
            write!(
                array,
                "{}",
                Json::from(text(cell, width).unwrap_or_default())
            )
        }
        (cell @ (Cell::Json(_) | Cell::Document(_)), Kind::Json) => {
            write!(array, "{}", document(cell).unwrap_or_default())
        }
        (Cell::Json(value), _) => write!(array, "{value}"),
        (Cell::Document(text) | Cell::Text(text), _) => write!(array, "{}", Json::from(text)),
        (Cell::Uuid(uuid), _) => write!(array, "\"{uuid}\""),
        (Cell::Time(time), _) => write!(array, "\"{}\"", canonical(time)),
        (Cell::Integer(number), _) => write!(array, "{number}"),
        (Cell::Boolean(is_so), _) => write!(array, "{is_so}"),
        (Cell::Null, _) => write!(array, "null"),
    };
}

/// `text` as a column of `width` characters holds it: U+0000, which `PostgreSQL`
/// refuses, replaced, and cut to the width.
fn fitting(text: &str, width: Option<u32>) -> Cow<'_, str> {
    let width = width.map_or(usize::MAX, |width| width as usize);
    // A character has at least one byte.
    if text.len() <= width && !text.contains('\0') {
        return Cow::Borrowed(text);
    }
    let clean = text.replace('\0', "\u{fffd}");
    Cow::Owned(clean.chars().take(width).collect())
}
