//! From deliveries to events: each item is one event, by the rules of the type
//! that claims it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::delivery::{Delivery, Head, Origin, RawItem, items, readable};
use super::event::{Event, MALFORMED_KEY, Meaning};
use super::identity::{self, Part, column_id, receipt_id};
use super::item::Item;
use super::types::{self, EventType};
use super::{json, time};

/// The width of the columns of names, in characters.
const LONGEST_LABEL: usize = 255;

/// Every event of a delivery, in the order of its items: one an item. All at
/// once; of a delivery of any size, see [`Reading`].
#[must_use]
pub fn understand(delivery: &Delivery) -> Vec<Event> {
    Reading::of(delivery).events().collect()
}

/// A delivery that is understood item by item: its items can be as many as its
/// bytes, and each event is some hundred times as large as the smallest item.
#[derive(Debug)]
pub struct Reading<'a> {
    delivery: &'a Delivery,
    text: Cow<'a, str>,
}

impl<'a> Reading<'a> {
    /// Begins with `delivery`.
    #[must_use]
    pub fn of(delivery: &'a Delivery) -> Self {
        let text = readable(&delivery.body);
        Self { delivery, text }
    }

    /// The delivery that is read.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        self.delivery
    }

    /// Its events, in the order of its items: one an item.
    pub fn events(&self) -> impl Iterator<Item = Event> + Send {
        items(&self.text).map(|raw| event(self.delivery, &raw))
    }
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

/// The one event of a delivery that cannot be understood, for `reason`: its place
/// is the whole delivery, and it is malformed.
#[must_use]
pub fn whole_delivery(delivery: &Delivery, reason: &str) -> Event {
    let body = String::from_utf8_lossy(&delivery.body);
    let digest = identity::digest(&body);
    let mut data = Map::new();
    data.insert(MALFORMED_KEY.to_owned(), Value::from(reason));
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
        raw: raw_value(&body),
        raw_omitted: false,
        place: String::new(),
    }
}

/// Makes the event a malformed one of type `unknown`, without content, for
/// `reason`. Its identity stays.
pub fn give_up(event: &mut Event, reason: &str) {
    types::UNKNOWN.name.clone_into(&mut event.event_type);
    event.data = Map::new();
    event
        .data
        .insert(MALFORMED_KEY.to_owned(), Value::from(reason));
    event.omit_raw();
}

/// Understands an event's `raw` again, where only its generic row is left of it;
/// `origin` is the kind of list in which the item stood. Its identity stays: an
/// item is one event for ever, whatever a later parser makes of it.
pub fn reread(event: &mut Event, origin: Origin) {
    let Some(raw) = event.raw.clone() else { return };
    let text = json::mend_surrogates(raw.get());
    let Some(event_type) = types::by_name(&event.event_type) else {
        return;
    };
    let told_at = |time: String| {
        let head = Head {
            account: event.ig_account_id.clone(),
            time: Some(time),
        };
        let item = RawItem {
            place: String::new(),
            origin,
            head: Arc::new(head),
            text: &text,
            range: 0..text.len(),
        };
        (event_type.understand)(&Item::read(&item, event.received_at)).ok()
    };
    // The time of the entry is not kept but where the event's id ends with it.
    let is_the_same = |meaning: &Meaning| meaning.event_id == event.event_id;
    let by_event = told_at(time::canonical(event.occurred_at));
    let meaning = match by_event {
        Some(meaning) if !is_the_same(&meaning) => {
            let last_part = event.event_id.rsplit('_').next().unwrap_or_default();
            let by_id = told_at(last_part.to_owned()).filter(is_the_same);
            Some(by_id.unwrap_or(meaning))
        }
        meaning => meaning,
    };
    if let Some(meaning) = meaning {
        event.recipient_ig_id = meaning.recipient_ig_id.as_deref().map(column_id);
        event.data = meaning.data;
    }
}

/// Gives an event that was understood from its delivery the identity it had when it
/// came: an item is one event for ever. Of another type than today's parser gives
/// it, it is understood as one of that; then its `data` is empty if it is none.
pub fn keep_identity(event: &mut Event, event_type: &str, event_id: &str) {
    event_id.clone_into(&mut event.event_id);
    if event.event_type != event_type {
        event_type.clone_into(&mut event.event_type);
        event.data = Map::new();
        reread(event, Origin::of_place(&event.place));
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
