//! Rows that a statement takes, whatever they are made of: each says what it brings to a column.

use std::borrow::Cow;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::instagram::time::canonical;

/// What a row brings to a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Null,
    /// As in a document: times and UUIDs are texts. A text in a column of documents is such a document's JSON,
    /// not yet read.
    Json(&'a Value),
    /// The JSON of a document, not yet read.
    Document(&'a str),
    Text(&'a str),
    Uuid(Uuid),
    Time(DateTime<Utc>),
    Integer(i64),
    Boolean(bool),
}

impl<'a> Cell<'a> {
    pub(super) fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(super) fn uuid(uuid: Option<Uuid>) -> Self {
        uuid.map_or(Self::Null, Self::Uuid)
    }

    /// Nothing, whichever way that is said.
    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Json(Value::Null))
    }

    /// As text, the same for two cells that hold the same.
    fn write_to(&self, text: &mut String) {
        let _ = match self {
            Self::Null | Self::Json(Value::Null) => Ok(()),
            Self::Json(Value::String(of)) => write!(text, "{of}"),
            Self::Json(value) => write!(text, "{value}"),
            Self::Document(of) | Self::Text(of) => write!(text, "{of}"),
            Self::Uuid(uuid) => write!(text, "{uuid}"),
            Self::Time(time) => write!(text, "{}", canonical(*time)),
            Self::Integer(number) => write!(text, "{number}"),
            Self::Boolean(is_so) => write!(text, "{is_so}"),
        };
    }
}

/// A row.
pub(super) trait Cells {
    /// What it brings to `column`; `None` where it says nothing of it.
    fn cell(&self, column: &str) -> Option<Cell<'_>>;

    /// What tells rows of one table apart by `key`.
    fn key(&self, key: &[&str]) -> String {
        let mut text = String::new();
        for column in key {
            if let Some(cell) = self.cell(column) {
                cell.write_to(&mut text);
            }
            text.push('\u{1f}');
        }
        text
    }
}

impl Cells for Map<String, Value> {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        self.get(column).map(Cell::Json)
    }
}

impl<R: Cells> Cells for &R {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        (*self).cell(column)
    }
}

/// The row of an event in its type's table: what its type says of it, and what only the store knows.
#[derive(Debug, Clone)]
pub(super) struct TypedRow<'a> {
    pub(super) data: Cow<'a, Map<String, Value>>,
    pub(super) account_id: Uuid,
    /// Where the row's id is not Instagram's.
    pub(super) receipt_id: Option<Uuid>,
    pub(super) conversation_id: Option<Uuid>,
    pub(super) raw: Option<&'a str>,
}

impl TypedRow<'_> {
    /// The same as a document.
    pub(super) fn into_row(self) -> Map<String, Value> {
        let mut row = self.data.into_owned();
        row.insert("account_id".to_owned(), uuid_value(self.account_id));
        if let Some(id) = self.receipt_id {
            row.insert("id".to_owned(), uuid_value(id));
        }
        if let Some(id) = self.conversation_id {
            row.insert("conversation_id".to_owned(), uuid_value(id));
        }
        if let Some(raw) = self.raw {
            row.insert("raw_data".to_owned(), Value::from(raw));
        }
        row
    }
}

fn uuid_value(uuid: Uuid) -> Value {
    Value::from(uuid.to_string())
}

impl Cells for TypedRow<'_> {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        let known = match column {
            "account_id" => Some(Cell::Uuid(self.account_id)),
            "id" => self.receipt_id.map(Cell::Uuid),
            "conversation_id" => self.conversation_id.map(Cell::Uuid),
            "raw_data" => self.raw.map(Cell::Document),
            _ => None,
        };
        known.or_else(|| self.data.cell(column))
    }
}
