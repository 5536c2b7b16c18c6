//! The columns of an entity, for those who write statements over any table.

use sea_orm::sea_query::{ColumnType, StringLen};
use sea_orm::{ColumnTrait, EntityTrait, IdenStatic, Iterable};

/// A column: its name, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in the database.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a column holds, as far as both databases need to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A UUID.
    Uuid,
    /// A text of at most so many characters.
    Text(Option<u32>),
    /// A point in time.
    Timestamp,
    /// A document.
    Json,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
}

/// The columns of `E`, in their order.
#[must_use]
pub fn columns_of<E: EntityTrait>() -> Vec<Column> {
    E::Column::iter()
        .map(|column| Column {
            name: column.as_str(),
            kind: kind(column.def().get_column_type()),
        })
        .collect()
}

fn kind(column_type: &ColumnType) -> Kind {
    match column_type {
        ColumnType::Uuid => Kind::Uuid,
        ColumnType::String(StringLen::N(width)) => Kind::Text(Some(*width)),
        ColumnType::Timestamp | ColumnType::TimestampWithTimeZone | ColumnType::DateTime => {
            Kind::Timestamp
        }
        ColumnType::Json | ColumnType::JsonBinary => Kind::Json,
        ColumnType::Boolean => Kind::Boolean,
        ColumnType::TinyInteger
        | ColumnType::SmallInteger
        | ColumnType::Integer
        | ColumnType::BigInteger => Kind::Integer,
        _ => Kind::Text(None),
    }
}
