//! An item, read: what the types look at to say what it means.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::delivery::{Origin, RawItem};
use super::{json, time};

/// The keys of a messaging item that say between whom and when, not what.
const ROUTING_KEYS: [&str; 3] = ["sender", "recipient", "timestamp"];

/// One item with what its entry says of it.
#[derive(Debug)]
pub struct Item {
    /// The account as received (`entry.id`); empty when there was none.
    pub account: String,
    /// `entry.time` as received.
    pub entry_time: Option<String>,
    /// The change's `field`; `None` for a messaging item.
    pub field: Option<String>,
    /// The change's `value`, or the messaging item itself.
    pub body: Value,
    /// When the delivery arrived: the time of what has no readable one.
    pub received_at: DateTime<Utc>,
}

impl Item {
    /// Reads `raw`. An item that nests too deep to be read has no body.
    #[must_use]
    pub fn read(raw: &RawItem<'_>, received_at: DateTime<Utc>) -> Self {
        let whole = json::parse(raw.text).unwrap_or_default();
        let (field, body) = match raw.origin {
            Origin::Changes | Origin::Field => split_change(whole),
            Origin::Messaging | Origin::Standby => (None, whole),
        };
        let scalar = |text: Option<&str>| text.and_then(json::parse).as_ref().and_then(scalar);
        Self {
            account: scalar(raw.entry_id).unwrap_or_default(),
            entry_time: scalar(raw.entry_time),
            field,
            body,
            received_at,
        }
    }

    /// The value at `path` in the body.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter()
            .try_fold(&self.body, |value, key| value.get(key))
            .filter(|value| !value.is_null())
    }

    /// The id at `path`: a text or a number with all its digits. An empty one
    /// is none.
    #[must_use]
    pub fn id(&self, path: &[&str]) -> Option<String> {
        self.at(path).and_then(scalar).filter(|id| !id.is_empty())
    }

    /// The text at `path`, which may be empty.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<String> {
        self.at(path).and_then(scalar)
    }

    /// Whether the flag at `path` is set.
    #[must_use]
    pub fn flag(&self, path: &[&str]) -> bool {
        match self.at(path) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "true" || text == "1",
            _ => false,
        }
    }

    /// The whole number at `path`.
    #[must_use]
    pub fn number(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(scalar)?.parse().ok()
    }

    /// The document at `path`, if it is an object or an array.
    #[must_use]
    pub fn document(&self, path: &[&str]) -> Option<&Value> {
        self.at(path)
            .filter(|value| value.is_object() || value.is_array())
    }

    /// `sender.id`.
    #[must_use]
    pub fn sender(&self) -> Option<String> {
        self.id(&["sender", "id"])
    }

    /// `recipient.id`.
    #[must_use]
    pub fn recipient(&self) -> Option<String> {
        self.id(&["recipient", "id"])
    }

    /// The item's own time as received, or else its entry's.
    #[must_use]
    pub fn timestamp(&self) -> Option<String> {
        self.text(&["timestamp"])
            .or_else(|| self.entry_time.clone())
    }

    /// When it happened: its own time, or else its entry's, or else when it
    /// arrived.
    #[must_use]
    pub fn occurred_at(&self) -> DateTime<Utc> {
        let own = self.text(&["timestamp"]);
        let told = [own.as_deref(), self.entry_time.as_deref()];
        told.into_iter()
            .flatten()
            .find_map(time::read)
            .unwrap_or(self.received_at)
    }

    /// Whether the item is of one of `fields`, or, whatever place it stood in,
    /// is a messaging item that has the key `key`.
    #[must_use]
    pub fn is_messaging(&self, key: &str, fields: &[&str]) -> bool {
        if self.at(&[key]).is_some() && self.is_messaging_shaped() {
            return true;
        }
        self.field
            .as_deref()
            .is_some_and(|field| fields.contains(&field))
    }

    /// A messaging item, or a change whose value is shaped like one.
    fn is_messaging_shaped(&self) -> bool {
        self.field.is_none() || ROUTING_KEYS.iter().any(|key| self.body.get(key).is_some())
    }

    /// What the item calls itself: its field, or the key of a messaging item
    /// that says what it is about.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let subject = || {
            self.body
                .as_object()?
                .keys()
                .find(|key| !ROUTING_KEYS.contains(&key.as_str()))
        };
        self.field
            .as_deref()
            .or_else(|| subject().map(String::as_str))
    }

    /// The item in words that do not depend on the envelope's style, for a
    /// digest: a messaging item says what it is about by itself, any other needs
    /// its field.
    #[must_use]
    pub fn canonical(&self) -> String {
        let body = json::canonical(&self.body);
        match &self.field {
            Some(field) if !self.is_messaging_shaped() => {
                format!("{}:{body}", Value::from(field.as_str()))
            }
            _ => body,
        }
    }
}

/// A change `{field, value}`; what is not shaped so is its own body.
fn split_change(whole: Value) -> (Option<String>, Value) {
    let Value::Object(mut change) = whole else {
        return (None, whole);
    };
    let field = change.get("field").and_then(scalar);
    match (field, change.contains_key("value")) {
        (None, false) => (None, Value::Object(change)),
        (field, _) => (field, change.remove("value").unwrap_or_default()),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
