//! Values that requests are made of, each with what is allowed, for the document and for whoever gives another.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::de::{Deserialize, Deserializer, Error};
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::instagram::types;

/// A time, RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub DateTime<Utc>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(source)?;
        let time = DateTime::parse_from_rfc3339(&text);
        time.map(|time| Self(time.to_utc())).map_err(|_| {
            D::Error::custom(
                "it must be a time (RFC 3339) such as 2026-11-24T16:00:00Z; a + in a URL is written %2B",
            )
        })
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}

impl ToSchema for Time {}

/// One of the nine event types, or `unknown`.
#[derive(Debug, Clone, Copy)]
pub struct EventType(pub &'static types::EventType);

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(source)?;
        types::by_name(&text).map(Self).ok_or_else(|| {
            let names: Vec<&str> = names().collect();
            D::Error::custom(format!("it must be one of {}", names.join(", ")))
        })
    }
}

impl PartialSchema for EventType {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(names()))
            .into()
    }
}

impl ToSchema for EventType {}

fn names() -> impl Iterator<Item = &'static str> {
    types::with_unknown().map(|event_type| event_type.name)
}

/// An id of Instagram's, as columns hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgId(pub String);

/// The id of an event, or of what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId(pub String);

impl IgId {
    const LONGEST: usize = 255;
}

impl EventId {
    const LONGEST: usize = 512;
}

impl<'de> Deserialize<'de> for IgId {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        id(source, Self::LONGEST).map(Self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        id(source, Self::LONGEST).map(Self)
    }
}

/// Control characters are in no id, and `PostgreSQL` refuses one of them.
fn id<'de, D: Deserializer<'de>>(source: D, longest: usize) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    let length = text.chars().count();
    if (1..=longest).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "it must have 1 to {longest} characters, none of them a control character"
    )))
}

fn id_schema(longest: usize) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(longest))
        .pattern(Some("^[^\\u0000-\\u001f\\u007f-\\u009f]*$"))
        .into()
}

impl PartialSchema for IgId {
    fn schema() -> RefOr<Schema> {
        id_schema(Self::LONGEST)
    }
}

impl ToSchema for IgId {}

impl PartialSchema for EventId {
    fn schema() -> RefOr<Schema> {
        id_schema(Self::LONGEST)
    }
}

impl ToSchema for EventId {}
