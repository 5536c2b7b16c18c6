//! An item, read: what the types look at to say what it means.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::delivery::{Origin, RawItem};
use super::json::{self, scalar};
use super::time;

/// The keys of a messaging item that say between whom and when, not what.
const ROUTING_KEYS: [&str; 3] = ["sender", "recipient", "timestamp"];
/// The keys by which a messaging item of one of the types says what it is.
const SUBJECT_KEYS: [&str; 5] = ["message", "message_edit", "reaction", "postback", "read"];
/// The fields under which a change brings a messaging item, beside all that
/// begin with `messaging_`. Source: Instagram Platform, "Webhooks: fields".
const MESSAGING_FIELDS: [&str; 6] = [
    "messages",
    "message_echoes",
    "message_edit",
    "message_reactions",
    "response_feedback",
    "standby",
];
/// The keys of an entry that are no part of the one item in it.
const ENTRY_KEYS: [&str; 5] = ["id", "time", "changes", "messaging", "standby"];
/// Nesting of a document within an event's data. An event is JSON too, and most
/// readers of it stop at 128 levels.
const DEEPEST_DOCUMENT: usize = 100;
/// Size of a document within an event's data, in bytes of text: some kilobytes are
/// usual. Read, a document of small values takes thirty times as much memory, and
/// whoever reads the event reads it.
const LARGEST_DOCUMENT: usize = 256 * 1024;

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
    /// What a change has beside its `field` and `value`.
    beside: Map<String, Value>,
    /// When the delivery arrived: the time of what has no readable one.
    pub received_at: DateTime<Utc>,
}

impl Item {
    /// Reads `raw`. The body of an item that nests too deep to be read is its
    /// text, which tells it from any other.
    #[must_use]
    pub fn read(raw: &RawItem<'_>, received_at: DateTime<Utc>) -> Self {
        let whole = json::parse(raw.text).unwrap_or_else(|| Value::from(raw.text));
        let (field, body, mut beside) = match raw.origin {
            Origin::Changes | Origin::Field => split_change(whole),
            Origin::Messaging | Origin::Standby => (None, whole, Map::new()),
        };
        if raw.origin == Origin::Field {
            beside.retain(|key, _| !ENTRY_KEYS.contains(&key.as_str()));
        }
        Self {
            account: raw.head.account.clone(),
            entry_time: raw.head.time.clone(),
            field,
            body,
            beside,
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
            value => value
                .and_then(scalar)
                .is_some_and(|text| text == "true" || text == "1"),
        }
    }

    /// The whole number at `path`.
    #[must_use]
    pub fn number(&self, path: &[&str]) -> Option<i64> {
        self.at(path).and_then(scalar)?.parse().ok()
    }

    /// The document at `path`, if it is an object or an array; its text, where
    /// it nests too deep, or is too large, to stand in an event.
    #[must_use]
    pub fn document(&self, path: &[&str]) -> Option<Value> {
        let document = self
            .at(path)
            .filter(|value| value.is_object() || value.is_array())?;
        let text = document.to_string();
        if text.len() > LARGEST_DOCUMENT || json::depth(&text) > DEEPEST_DOCUMENT {
            return Some(Value::from(text));
        }
        Some(document.clone())
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

    /// Whether the item is, whatever place it stood in, a messaging item that
    /// has the key `key`; or says nothing of the kind but is of one of `fields`.
    /// A field that brings no messaging items is never one, however its value
    /// looks: it must not take a message's place.
    #[must_use]
    pub fn is_messaging(&self, key: &str, fields: &[&str]) -> bool {
        let has = |key: &str| self.at(&[key]).is_some();
        if self.comes_as_messaging() && (has(key) || SUBJECT_KEYS.into_iter().any(has)) {
            return has(key);
        }
        self.field
            .as_deref()
            .is_some_and(|field| fields.contains(&field))
    }

    fn comes_as_messaging(&self) -> bool {
        self.field.as_deref().is_none_or(|field| {
            field.starts_with("messaging_") || MESSAGING_FIELDS.contains(&field)
        })
    }

    /// What the item calls itself: its field, or the key of a messaging item
    /// that says what it is about.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.field.as_deref().or_else(|| self.subject())
    }

    fn subject(&self) -> Option<&str> {
        let mut keys = self.body.as_object()?.keys().map(String::as_str);
        keys.find(|key| !ROUTING_KEYS.contains(key) && !ENTRY_KEYS[..2].contains(key))
    }

    /// The item in words that do not depend on the envelope's style, for a
    /// digest: a messaging item says what it is about by itself, any other needs
    /// its field.
    #[must_use]
    pub fn canonical(&self) -> String {
        let says_itself = self.comes_as_messaging() && self.subject().is_some();
        let mut text = match &self.field {
            Some(field) if !says_itself => format!("{}:", Value::from(field.as_str())),
            _ => String::new(),
        };
        text.push_str(&json::canonical(&self.body));
        if !self.beside.is_empty() {
            text.push_str(&json::canonical(&Value::Object(self.beside.clone())));
        }
        text
    }
}

/// A change `{field, value}`, and what it has beside; what is not shaped so is
/// its own body.
fn split_change(whole: Value) -> (Option<String>, Value, Map<String, Value>) {
    let Value::Object(mut change) = whole else {
        return (None, whole, Map::new());
    };
    let field = change.get("field").and_then(scalar);
    if field.is_none() && !change.contains_key("value") {
        return (None, Value::Object(change), Map::new());
    }
    if field.is_some() {
        change.remove("field");
    }
    let body = change.remove("value").unwrap_or_default();
    (field, body, change)
}
