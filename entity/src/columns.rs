//! The columns of an entity, for those who write statements over any table.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

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

/// The columns of entities that were asked for.
static KNOWN: RwLock<BTreeMap<TypeId, &'static [Column]>> = RwLock::new(BTreeMap::new());

/// The columns of `E`, in their order. They are made once: for every row they are asked for.
#[must_use]
pub fn columns_of<E: EntityTrait>() -> &'static [Column] {
    let key = TypeId::of::<E>();
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(columns) = known.get(&key) {
        return columns;
    }
    drop(known);
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    // There are as many as there are entities.
    known.entry(key).or_insert_with(|| columns::<E>().leak())
}

fn columns<E: EntityTrait>() -> Vec<Column> {
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
