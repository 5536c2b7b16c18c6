//! Rows as the parameters of a statement.
//!
//! For `PostgreSQL` an array a column: it takes these as they are, where a document would have to be read and each
//! value of it made out of a text. For `SQLite` one JSON array of objects.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use entity::columns::{Column, Kind};
use sea_orm::sea_query::ArrayType;
use sea_orm::{DbErr, Value};
use serde_json::Value as Json;
use uuid::Uuid;

use super::cells::{Cell, Cells};
use crate::instagram::json;
use crate::instagram::time::canonical;

/// The most columns that rows can have: a bit of a signed number each.
pub(super) const MOST_COLUMNS: usize = 63;

/// An array a column, in the order of `columns`, and one more: which columns of each row are NULL, a bit each. The
/// library's arrays hold no NULL; what stands in its place means nothing.
pub(super) fn arrays<R: Cells>(rows: &[R], columns: &[Column]) -> Result<Vec<Value>, DbErr> {
    debug_assert!(columns.len() <= MOST_COLUMNS);
    let mut nulls = vec![0_i64; rows.len()];
    let mut arrays = Vec::with_capacity(columns.len() + 1);
    for (nth, column) in columns.iter().enumerate() {
        let mut cells = Vec::with_capacity(rows.len());
        for (row, nulls) in rows.iter().zip(&mut nulls) {
            let cell = brought(row, *column);
            if cell.is_none() {
                *nulls |= 1 << nth;
            }
            cells.push(value(cell, column.kind).ok_or_else(|| wrong_type(*column))?);
        }
        arrays.push(array(array_type(column.kind), cells));
    }
    let nulls = nulls.into_iter().map(Value::from).collect();
    arrays.push(array(ArrayType::BigInt, nulls));
    Ok(arrays)
}

fn array(of: ArrayType, cells: Vec<Value>) -> Value {
    Value::Array(of, Some(Box::new(cells)))
}

fn wrong_type(column: Column) -> DbErr {
    let Column { name, kind } = column;
    DbErr::Type(format!(
        "a value of the column {name} is none of its type, {kind:?}"
    ))
}

fn array_type(kind: Kind) -> ArrayType {
    match kind {
        Kind::Uuid => ArrayType::Uuid,
        // A document goes as its text, and is read where it is stored.
        Kind::Text(_) | Kind::Json => ArrayType::String,
        Kind::Timestamp => ArrayType::ChronoDateTimeUtc,
        Kind::Integer => ArrayType::BigInt,
        Kind::Boolean => ArrayType::Bool,
    }
}

/// A missing value and a NULL are the same to a column.
fn brought<R: Cells>(row: &R, column: Column) -> Option<Cell<'_>> {
    row.cell(column.name).filter(|cell| !cell.is_null())
}

/// `None` where the cell is none of its column's kind.
fn value(cell: Option<Cell<'_>>, kind: Kind) -> Option<Value> {
    let Some(cell) = cell else {
        return Some(in_place_of_null(kind));
    };
    Some(match (cell, kind) {
        (Cell::Text(text), Kind::Text(width)) => Value::from(fitting(text, width)),
        (Cell::Document(text), Kind::Json) => Value::from(json::storable(text).into_owned()),
        (Cell::Uuid(uuid), Kind::Uuid) => Value::from(uuid),
        (Cell::Time(time), Kind::Timestamp) => Value::from(time),
        (Cell::Integer(number), Kind::Integer) => Value::from(number),
        (Cell::Boolean(is_so), Kind::Boolean) => Value::from(is_so),
        (Cell::Json(value), kind) => return read(value, kind),
        _ => return None,
    })
}

fn read(value: &Json, kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::Text(width) => Value::from(match value {
            Json::String(text) => fitting(text, width),
            other => other.to_string(),
        }),
        Kind::Json => Value::from(document(value)),
        Kind::Uuid => Value::from(Uuid::try_parse(value.as_str()?).ok()?),
        Kind::Timestamp => {
            let time = DateTime::parse_from_rfc3339(value.as_str()?).ok()?;
            Value::from(time.with_timezone(&Utc))
        }
        Kind::Integer => Value::from(value.as_i64()?),
        Kind::Boolean => Value::from(value.as_bool()?),
    })
}

fn in_place_of_null(kind: Kind) -> Value {
    match kind {
        Kind::Uuid => Value::from(Uuid::nil()),
        Kind::Text(_) | Kind::Json => Value::from(String::new()),
        Kind::Timestamp => Value::from(DateTime::<Utc>::UNIX_EPOCH),
        Kind::Integer => Value::from(0_i64),
        Kind::Boolean => Value::from(false),
    }
}

/// A JSON array of objects: texts cut to their columns, documents without what a database cannot hold.
pub(super) fn document_of<R: Cells>(rows: &[R], columns: &[Column]) -> Value {
    let mut array = String::from("[");
    for (index, row) in rows.iter().enumerate() {
        if index > 0 {
            array.push(',');
        }
        write_row(&mut array, row, columns);
    }
    array.push(']');
    Value::from(array)
}

fn write_row<R: Cells>(array: &mut String, row: &R, columns: &[Column]) {
    array.push('{');
    let mut separator = "";
    for column in columns {
        let Some(cell) = brought(row, *column) else {
            continue;
        };
        let _ = write!(array, "{separator}\"{}\":", column.name);
        let _ = match (cell, column.kind) {
            (Cell::Json(Json::String(text)), Kind::Text(width)) => {
                write!(array, "{}", Json::from(fitting(text, width)))
            }
            (Cell::Text(text), Kind::Text(width)) => {
                write!(array, "{}", Json::from(fitting(text, width)))
            }
            (Cell::Json(value), Kind::Json) => write!(array, "{}", document(value)),
            (Cell::Json(value), _) => write!(array, "{value}"),
            (Cell::Document(text), _) => write!(array, "{}", json::storable(text)),
            (Cell::Text(text), _) => write!(array, "{}", Json::from(text)),
            (Cell::Uuid(uuid), _) => write!(array, "\"{uuid}\""),
            (Cell::Time(time), _) => write!(array, "\"{}\"", canonical(time)),
            (Cell::Integer(number), _) => write!(array, "{number}"),
            (Cell::Boolean(is_so), _) => write!(array, "{is_so}"),
            (Cell::Null, _) => Ok(()),
        };
        separator = ",";
    }
    array.push('}');
}

/// A text in a column of documents is such a document's JSON, not yet read.
fn document(value: &Json) -> String {
    match value {
        Json::String(document) => json::storable(document).into_owned(),
        document => json::storable(&document.to_string()).into_owned(),
    }
}

/// `text` as a column of `width` characters holds it: U+0000, which `PostgreSQL`
/// refuses, replaced, and cut to the width.
fn fitting(text: &str, width: Option<u32>) -> String {
    let clean = if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text.to_owned()
    };
    match width.map(|width| width as usize) {
        Some(width) if clean.len() > width => clean.chars().take(width).collect(),
        _ => clean,
    }
}
