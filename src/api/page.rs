//! Lists: pages, where the next one begins, and how long they are.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{Place, Problem};

/// A part of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Where the next page begins: given as `cursor`, with the same filters. `null` on the last page.
    #[schema(required)]
    pub next_cursor: Option<Cursor>,
}

impl<T> Page<T> {
    /// Of up to one item more than `limit`, which says that there is a next page; `place` is where
    /// that begins, after an item.
    pub fn of<P: Serialize>(mut items: Vec<T>, limit: Limit, place: impl Fn(&T) -> P) -> Self {
        let is_last = items.len() <= limit.items();
        items.truncate(limit.items());
        let last = items.last().filter(|_| !is_last);
        let next_cursor = last.map(|last| Cursor::at(&place(last)));
        Self { items, next_cursor }
    }
}

/// Where a page begins. To clients it is a text without a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// The longest there is, in characters.
    const LONGEST: usize = 512;

    const WRONG: &str = "it must be the next_cursor of a page of this list";

    /// 400: it is none that was given out.
    #[must_use]
    pub fn wrong() -> Problem {
        Problem::field(Place::Query, "cursor", Self::WRONG)
    }

    /// Of a place in a list.
    pub fn at(place: &impl Serialize) -> Self {
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).unwrap_or_default()))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A cursor that a client gave back, as the place that it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<P>(pub P);

impl<'de, P: DeserializeOwned> Deserialize<'de> for At<P> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(source)?;
        let place = (text.len() <= Cursor::LONGEST)
            .then(|| URL_SAFE_NO_PAD.decode(text.as_bytes()).ok())
            .flatten()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        place
            .map(Self)
            .ok_or_else(|| D::Error::custom(Cursor::WRONG))
    }
}

/// How many items a page has at most: 1 to 500, 50 where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit(u16);

impl Limit {
    /// The most there can be.
    pub const MAX: u16 = 500;

    /// As a number of items.
    #[must_use]
    pub fn items(self) -> usize {
        usize::from(self.0)
    }

    /// One more, to see whether there is a next page.
    #[must_use]
    pub fn and_one(self) -> u64 {
        u64::from(self.0) + 1
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

/// From the text of a query.
impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 1 to {}", Limit::MAX)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Limit, E> {
                let number = text.parse().ok();
                number
                    .filter(|number| (1..=Limit::MAX).contains(number))
                    .map(Limit)
                    .ok_or_else(|| {
                        E::custom(format!(
                            "it must be a whole number from 1 to {}",
                            Limit::MAX
                        ))
                    })
            }
        }
        source.deserialize_str(Text)
    }
}

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .maximum(Some(Self::MAX))
            .default(Some(50.into()))
            .into()
    }
}

impl ToSchema for Limit {}

impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(Self::LONGEST))
            .into()
    }
}

impl ToSchema for Cursor {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_place_it_is() {
        let cursor = serde_json::to_value(Cursor::at(&(7, "x"))).unwrap();
        let At(place) = from_value::<At<(u8, String)>>(cursor.clone()).unwrap();
        assert_eq!(place, (7, "x".to_owned()));
        for wrong in [json!(""), json!("%"), json!("e30"), json!("A".repeat(600))] {
            assert!(
                from_value::<At<(u8, String)>>(wrong.clone()).is_err(),
                "{wrong}"
            );
        }
        assert!(
            from_value::<At<u8>>(cursor).is_err(),
            "a cursor of another list"
        );
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let page = |items: Vec<u8>| Page::of(items, Limit(2), |item| *item);
        assert_eq!(page(vec![1, 2]).next_cursor, None);
        let first = page(vec![1, 2, 3]);
        assert_eq!(first.items, [1, 2]);
        assert_eq!(first.next_cursor, Some(Cursor::at(&2)));
    }

    #[test]
    fn a_limit_is_from_1_to_500() {
        for (text, limit) in [
            ("1", Some(1)),
            ("500", Some(500)),
            ("0", None),
            ("501", None),
            ("-1", None),
            ("+1", Some(1)),
            ("x", None),
        ] {
            let read = from_value::<Limit>(json!(text)).ok();
            assert_eq!(read.map(Limit::items), limit, "{text}");
        }
    }
}
