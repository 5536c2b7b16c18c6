//! An event: an item understood. The form in which it travels on NATS.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::delivery::{Delivery, Head, Origin, RawItem, items, readable};
use super::identity::{self, Part, column_id, receipt_id};
use super::item::Item;
use super::json;
use super::time::{self, serde_canonical};
use super::types::{self, EventType};

/// The key in the `data` of an `unknown` event that says why its item is
/// malformed.
pub const MALFORMED_KEY: &str = "malformed";

/// The width of the columns of names, in characters.
const LONGEST_LABEL: usize = 255;

/// What an item means by the rules of its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// What the event is about.
    pub object_type: String,
    /// Which one of those.
    pub object_id: Option<String>,
    /// Who did it.
    pub sender_ig_id: Option<String>,
    /// What they call themselves.
    pub sender_username: Option<String>,
    /// To whom.
    pub recipient_ig_id: Option<String>,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What happened, the same again when Instagram tells it again.
    pub event_id: String,
    /// The typed row without `raw_data`, by the names of its columns.
    pub data: Map<String, Value>,
}

/// Why an item that claims to be of a type is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {event_type} without {missing}")]
pub struct Malformed {
    /// The type it claims to be of.
    pub event_type: &'static str,
    /// What its type cannot do without.
    pub missing: &'static str,
}

/// An event with its receipt: the body of a message on `instagram.events.*`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// This item of this delivery, and no other.
    pub receipt_id: Uuid,
    /// What happened, the same again when Instagram tells it again.
    pub event_id: String,
    /// One of the nine types or `unknown`.
    pub event_type: String,
    /// The account as received.
    pub ig_account_id: String,
    /// What the event is about.
    pub object_type: String,
    /// Which one of those.
    pub object_id: Option<String>,
    /// Who did it.
    pub sender_ig_id: Option<String>,
    /// What they call themselves.
    pub sender_username: Option<String>,
    /// To whom.
    pub recipient_ig_id: Option<String>,
    /// When it happened.
    #[serde(with = "serde_canonical")]
    pub occurred_at: DateTime<Utc>,
    /// When its delivery arrived.
    #[serde(with = "serde_canonical")]
    pub received_at: DateTime<Utc>,
    /// The delivery it came in.
    pub delivery_id: Uuid,
    /// The typed row without `raw_data`, by the names of its columns.
    pub data: Map<String, Value>,
    /// The change or messaging item as received.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "is_there",
        default
    )]
    pub raw: Option<Box<RawValue>>,
    /// Whether `raw` had to stay behind, because the message would be too large.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub raw_omitted: bool,
    /// Where the item stood in its delivery (a JSON pointer). Travels as a
    /// header, not in the body.
    #[serde(skip)]
    pub place: String,
}

impl Event {
    /// Which kind of list the item stood in.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::of_place(&self.place)
    }

    /// Why the item is malformed, if it is.
    #[must_use]
    pub fn malformed(&self) -> Option<&str> {
        if self.event_type != types::UNKNOWN.name {
            return None;
        }
        self.data.get(MALFORMED_KEY).and_then(Value::as_str)
    }

    /// Leaves `raw` behind and says so.
    pub fn omit_raw(&mut self) {
        self.raw_omitted |= self.raw.take().is_some();
    }
}

/// Every event of a delivery, in the order of its items: one an item.
#[must_use]
pub fn understand(delivery: &Delivery) -> Vec<Event> {
    let text = readable(&delivery.body);
    items(&text)
        .iter()
        .map(|raw| event(delivery, raw))
        .collect()
}

fn event(delivery: &Delivery, raw: &RawItem<'_>) -> Event {
    let item = Item::read(raw, delivery.received_at);
    let (event_type, meaning) = understand_item(&item);
    Event {
        receipt_id: receipt_id(delivery.id, &raw.place),
        event_id: meaning.event_id,
        event_type: event_type.name.to_owned(),
        ig_account_id: item.account.clone(),
        object_type: label(&meaning.object_type),
        object_id: meaning.object_id.as_deref().map(column_id),
        sender_ig_id: meaning.sender_ig_id.as_deref().map(column_id),
        sender_username: meaning.sender_username.as_deref().map(label),
        recipient_ig_id: meaning.recipient_ig_id.as_deref().map(column_id),
        occurred_at: meaning.occurred_at,
        received_at: delivery.received_at,
        delivery_id: delivery.id,
        data: meaning.data,
        raw: as_received(&delivery.body, &raw.range).or_else(|| raw_value(raw.text)),
        raw_omitted: false,
        place: raw.place.clone(),
    }
}

/// The one event of a delivery that cannot be understood at all: its place is
/// the whole delivery, and it is malformed.
#[must_use]
pub fn whole_delivery(delivery: &Delivery, raw: Option<Box<RawValue>>) -> Event {
    let digest = identity::digest(&String::from_utf8_lossy(&delivery.body));
    let mut data = Map::new();
    data.insert(
        MALFORMED_KEY.to_owned(),
        Value::from("a delivery that cannot be understood"),
    );
    Event {
        receipt_id: receipt_id(delivery.id, ""),
        event_id: identity::event_id(
            types::UNKNOWN.name,
            &[Part::Word(&digest), Part::Next(None)],
        ),
        event_type: types::UNKNOWN.name.to_owned(),
        ig_account_id: String::new(),
        object_type: "delivery".to_owned(),
        object_id: None,
        sender_ig_id: None,
        sender_username: None,
        recipient_ig_id: None,
        occurred_at: delivery.received_at,
        received_at: delivery.received_at,
        delivery_id: delivery.id,
        data,
        raw,
        raw_omitted: false,
        place: String::new(),
    }
}

/// Understands an event's `raw` again, where only its generic row is left of it;
/// `origin` says in which kind of list the item stood. Its identity stays: an
/// item is one event for ever, whatever a later parser makes of it.
pub fn reread(event: &mut Event, origin: &str) {
    event.place = match origin {
        "" | "field" => "/entry/0".to_owned(),
        list => format!("/entry/0/{list}/0"),
    };
    let Some(raw) = event.raw.clone() else { return };
    let text = json::mend_surrogates(raw.get());
    let head = Head {
        account: event.ig_account_id.clone(),
        time: Some(time::canonical(event.occurred_at)),
    };
    let item = RawItem {
        place: event.place.clone(),
        origin: event.origin(),
        head: Arc::new(head),
        text: &text,
        range: 0..text.len(),
    };
    let item = Item::read(&item, event.received_at);
    let Some(event_type) = types::by_name(&event.event_type) else {
        return;
    };
    if let Ok(meaning) = (event_type.understand)(&item) {
        event.recipient_ig_id = meaning.recipient_ig_id.as_deref().map(column_id);
        event.data = meaning.data;
    }
}

/// The type that claims the item and what it makes of it; what no type claims,
/// and what is malformed, is `unknown`.
fn understand_item(item: &Item) -> (&'static EventType, Meaning) {
    let Some(event_type) = types::ALL
        .iter()
        .find(|event_type| (event_type.claims)(item))
    else {
        return (&types::UNKNOWN, types::unknown::meaning(item, None));
    };
    match (event_type.understand)(item) {
        Ok(meaning) => (event_type, meaning),
        Err(malformed) => (
            &types::UNKNOWN,
            types::unknown::meaning(item, Some(&malformed)),
        ),
    }
}

/// What is told is there, were it `null`: an item can be that.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// A name as its column holds it: cut, so that no message outgrows its item.
fn label(text: &str) -> String {
    text.chars().take(LONGEST_LABEL).collect()
}

fn as_received(body: &Bytes, range: &Range<usize>) -> Option<Box<RawValue>> {
    std::str::from_utf8(body.get(range.clone())?)
        .ok()
        .and_then(raw_value)
}

fn raw_value(text: &str) -> Option<Box<RawValue>> {
    RawValue::from_string(text.to_owned()).ok()
}
