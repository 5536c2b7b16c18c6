//! A delivery: its bytes, and what must become of each event in it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    entry::{Head, Item},
    expectation::Expectation,
    shapes::Number,
    signer::Signing,
};

/// An event of a delivery, and what must become of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// One of the nine or `unknown`; none if the delivery has no readable item.
    pub event_type: Option<&'static str>,
    /// The account it is about.
    pub ig_account_id: Option<Arc<str>>,
    /// The `event_id` it must get; none where it is not known: of what is `unknown`, and told by a
    /// digest.
    pub event_id: Option<Arc<str>>,
    /// What must become of it.
    pub expectation: Expectation,
}

/// One HTTP POST of Instagram's.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Counts from 0.
    pub number: u64,
    /// The bytes that are signed and sent.
    pub body: Bytes,
    /// The number of the delivery at whose moment it is due: in a burst, the first of the burst.
    pub moment: u64,
    /// How they are signed.
    pub signing: Signing,
    /// The HTTP status it must be answered with.
    pub status: u16,
    /// Its items.
    pub events: Vec<Told>,
}

/// How a body is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// `{"object": …, "entry": […]}`
    Usual,
    /// The same the other way round.
    EntryFirst,
    /// The whole wrapped in an array, one object an entry.
    InArray,
}

/// An item, and what must become of it.
#[derive(Debug, Clone)]
pub(super) struct Telling {
    pub item: Arc<Item>,
    pub expectation: Expectation,
}

impl Telling {
    pub(super) fn new(item: Item, expectation: Expectation) -> Self {
        Self {
            item: Arc::new(item),
            expectation,
        }
    }

    fn told(&self) -> Told {
        Told {
            event_type: Some(self.item.event_type),
            ig_account_id: Some(Arc::clone(&self.item.head.account)),
            event_id: self.item.event_id.clone(),
            expectation: self.expectation,
        }
    }
}

pub(super) fn told(tellings: &[Telling]) -> Vec<Told> {
    tellings.iter().map(Telling::told).collect()
}

/// All of them, to become something else.
pub(super) fn expecting(tellings: &[Telling], expectation: Expectation) -> Vec<Telling> {
    let expecting = |telling: &Telling| Telling {
        item: Arc::clone(&telling.item),
        expectation,
    };
    tellings.iter().map(expecting).collect()
}

/// The delivery's JSON: neighbours of the same account, list and time share an entry.
pub(super) fn body(object: &str, tellings: &[Telling], envelope: Envelope) -> Bytes {
    let size: usize = tellings.iter().map(|told| told.item.json.len() + 80).sum();
    let mut json = Vec::with_capacity(64 + size);
    let entries: Vec<&[Telling]> = tellings
        .chunk_by(|one, next| share_an_entry(&one.item, &next.item))
        .collect();
    match envelope {
        Envelope::Usual => write_object(&mut json, object, &entries),
        Envelope::EntryFirst => {
            json.push(b'{');
            write_entries(&mut json, &entries);
            json.extend_from_slice(format!(r#","object":"{object}"}}"#).as_bytes());
        }
        Envelope::InArray => {
            let each =
                |json: &mut Vec<u8>, entry: &&[Telling]| write_object(json, object, &[*entry]);
            write_list(&mut json, &entries, each);
        }
    }
    json.into()
}

fn share_an_entry(one: &Item, next: &Item) -> bool {
    one.place.list().is_some() && one.place == next.place && one.head == next.head
}

fn write_object(json: &mut Vec<u8>, object: &str, entries: &[&[Telling]]) {
    json.extend_from_slice(format!(r#"{{"object":"{object}","#).as_bytes());
    write_entries(json, entries);
    json.push(b'}');
}

fn write_entries(json: &mut Vec<u8>, entries: &[&[Telling]]) {
    json.extend_from_slice(b"\"entry\":");
    write_list(json, entries, |json, entry| write_entry(json, entry));
}

fn write_entry(json: &mut Vec<u8>, entry: &[Telling]) {
    let Some(Telling { item: first, .. }) = entry.first() else {
        return;
    };
    write_head(json, &first.head);
    if let Some(list) = first.place.list() {
        json.extend_from_slice(format!(r#","{list}":"#).as_bytes());
        write_list(json, entry, |json, told| {
            json.extend_from_slice(&told.item.json);
        });
        json.push(b'}');
    } else {
        // The item's own braces go: the entry is the item.
        json.push(b',');
        json.extend_from_slice(first.json.get(1..).unwrap_or_default());
    }
}

fn write_head(json: &mut Vec<u8>, head: &Head) {
    let time = match &head.time {
        Number::Number(number) => number.to_string(),
        Number::Text(text) => format!("\"{text}\""),
    };
    let quote = if head.is_number { "" } else { "\"" };
    let account = &head.account;
    json.extend_from_slice(format!(r#"{{"time":{time},"id":{quote}{account}{quote}"#).as_bytes());
}

fn write_list<T>(json: &mut Vec<u8>, list: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    json.push(b'[');
    for (number, element) in list.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        write(json, element);
    }
    json.push(b']');
}
