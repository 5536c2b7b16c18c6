//! A delivery: its bytes, and what must become of each event in it.

use std::sync::Arc;

use bytes::Bytes;

use super::{items::Item, signer::Signing};

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It is new: its typed row is there.
    Stored,
    /// It was told before: one more row in the generic log, and nothing else.
    Duplicate,
    /// It ends as a dead letter.
    Dead,
    /// Its delivery is not accepted: no trace of it.
    Refused,
    /// Its delivery is accepted and dropped, since it is not Instagram's.
    Ignored,
}

/// An event of a delivery, and what must become of it.
#[derive(Debug, Clone)]
pub struct Told {
    /// One of the nine or `unknown`; none if the delivery has no readable item.
    pub event_type: Option<&'static str>,
    /// The account it is about.
    pub ig_account_id: Option<Arc<str>>,
    /// The `event_id` it must get; none where it cannot be identified.
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
    /// How they are signed.
    pub signing: Signing,
    /// The HTTP status it must be answered with.
    pub status: u16,
    /// Its items.
    pub events: Vec<Told>,
}

pub(super) fn told(items: &[Arc<Item>], expectation: Expectation) -> Vec<Told> {
    items
        .iter()
        .map(|item| Told {
            event_type: Some(item.event_type),
            ig_account_id: Some(Arc::clone(&item.ig_account_id)),
            event_id: item.event_id.clone(),
            expectation,
        })
        .collect()
}

/// The delivery's JSON: neighbours of the same account, list and time share an entry.
pub(super) fn body(object: &str, items: &[Arc<Item>]) -> Bytes {
    let size: usize = items.iter().map(|item| item.json.len() + 80).sum();
    let mut json = Vec::with_capacity(64 + size);
    json.extend_from_slice(b"{\"object\":\"");
    json.extend_from_slice(object.as_bytes());
    json.extend_from_slice(b"\",\"entry\":[");
    let entries = items.chunk_by(|one, next| {
        one.ig_account_id == next.ig_account_id
            && one.place == next.place
            && one.entry_time == next.entry_time
    });
    for (number, entry) in entries.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        write_entry(&mut json, entry);
    }
    json.extend_from_slice(b"]}");
    json.into()
}

fn write_entry(json: &mut Vec<u8>, entry: &[Arc<Item>]) {
    let first = &entry[0];
    json.extend_from_slice(b"{\"time\":");
    json.extend_from_slice(first.entry_time.to_string().as_bytes());
    json.extend_from_slice(b",\"id\":\"");
    json.extend_from_slice(first.ig_account_id.as_bytes());
    json.extend_from_slice(b"\",\"");
    json.extend_from_slice(first.place.list().as_bytes());
    json.extend_from_slice(b"\":[");
    for (number, item) in entry.iter().enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.extend_from_slice(&item.json);
    }
    json.extend_from_slice(b"]}");
}
