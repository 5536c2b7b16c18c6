//! Deliveries as Instagram posts them, understood as the publisher does.

use chrono::{DateTime, Utc};
use igstream::instagram::types::{self, EventType};
use igstream::instagram::{Delivery, Event, understand};
use igstream::store::{Incoming, Occasion, Outcome, Store, StoreError, StoreOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::{NoContext, Timestamp, Uuid};

use super::postgres::TestDatabase;

/// The account that receives.
pub const IG: &str = "17841405822304914";
/// Somebody who writes to it.
pub const PERSON: &str = "1784140000000000012345678901";
/// When it all happened, in milliseconds: 2026-11-24 16:00:00 UTC.
pub const NOON: i64 = 1_795_536_000_000;

/// A store on `database`, whose schema is there, and which knows [`IG`].
pub async fn store_on(database: &TestDatabase) -> Store {
    let store = empty_store_on(database).await;
    store.add_account(IG, Some("shop")).await.unwrap();
    store
}

/// The same without any account.
pub async fn empty_store_on(database: &TestDatabase) -> Store {
    database.migrated().await.close().await.unwrap();
    connect(database, |_| {}).await
}

/// One more store on the same database.
pub async fn connect(database: &TestDatabase, change: impl FnOnce(&mut StoreOptions)) -> Store {
    let mut options = StoreOptions {
        url: database.url().to_owned(),
        max_connections: 4,
        acquire_timeout: Duration::from_secs(30),
        auto_register: false,
        keep_unsent: false,
        sqlite_writer: Arc::default(),
    };
    change(&mut options);
    Store::connect(&options).await.unwrap()
}

/// The events of a body, as delivered at this moment.
pub fn events_of(body: impl Into<bytes::Bytes>) -> Vec<Event> {
    events_at(body, Utc::now())
}

/// The events of a body, as delivered at `received_at`.
pub fn events_at(body: impl Into<bytes::Bytes>, received_at: DateTime<Utc>) -> Vec<Event> {
    understand(&Delivery {
        id: next_delivery(),
        received_at,
        signature: "sha256=00".to_owned(),
        secret_id: "test".to_owned(),
        body: body.into(),
    })
}

/// Each a millisecond after the one before, so that receipts sort as they were made.
fn next_delivery() -> Uuid {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let milliseconds = NOON.unsigned_abs() + MADE.fetch_add(1, Ordering::Relaxed);
    let nanoseconds = u32::try_from(milliseconds % 1000).unwrap() * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        milliseconds / 1000,
        nanoseconds,
    ))
}

/// A delivery to [`IG`] with one list of items, `changes` or `messaging`.
pub fn delivery(list: &str, items: &[Value]) -> String {
    delivery_to(IG, list, items)
}

/// A delivery to `account`.
pub fn delivery_to(account: &str, list: &str, items: &[Value]) -> String {
    let time = if list == "changes" { NOON / 1000 } else { NOON };
    json!({"object": "instagram", "entry": [{"id": account, "time": time, list: items}]})
        .to_string()
}

/// The event of one messaging item.
pub fn messaging(item: Value) -> Event {
    one(delivery("messaging", &[item]))
}

/// The event of one change.
pub fn change(field: &str, value: &Value) -> Event {
    one(delivery(
        "changes",
        &[json!({"field": field, "value": value})],
    ))
}

/// The only event of a body.
pub fn one(body: impl Into<bytes::Bytes>) -> Event {
    let mut events = events_of(body);
    assert_eq!(events.len(), 1);
    events.remove(0)
}

/// A messaging item from the person to the account, with `what` it is about.
pub fn inbound(at: i64, what: &Value) -> Value {
    item(PERSON, IG, at, what)
}

/// A messaging item from the account to the person.
pub fn outbound(at: i64, what: &Value) -> Value {
    item(IG, PERSON, at, what)
}

fn item(sender: &str, recipient: &str, at: i64, what: &Value) -> Value {
    let mut item =
        json!({"sender": {"id": sender}, "recipient": {"id": recipient}, "timestamp": at});
    if let (Some(item), Some(what)) = (item.as_object_mut(), what.as_object()) {
        item.extend(what.clone());
    }
    item
}

/// The event as it comes from its stream, at `sequence`.
pub fn from_stream(event: &Event, sequence: u64) -> Incoming {
    // The way of the message's body: what Serde leaves out is left out here too.
    let body = serde_json::to_string(event).unwrap();
    let mut read: Event = serde_json::from_str(&body).unwrap();
    read.place.clone_from(&event.place);
    Incoming {
        event: read,
        sequence: Some(sequence),
        occasion: Occasion::Told,
    }
}

/// The event as it comes once more, by an operator's or the program's own wish.
pub fn once_more(event: &Event) -> Incoming {
    Incoming {
        event: event.clone(),
        sequence: None,
        occasion: Occasion::OnceMore,
    }
}

/// The event as a replay brings it.
pub fn replayed(event: &Event) -> Incoming {
    Incoming {
        event: event.clone(),
        sequence: None,
        occasion: Occasion::Replay,
    }
}

/// The type of an event.
pub fn type_of(event: &Event) -> &'static EventType {
    types::by_name(&event.event_type).unwrap()
}

/// Stores events of one type as one batch, their sequences counting from 1.
pub async fn put(store: &Store, events: &[&Event]) -> Vec<Outcome> {
    try_put(store, events).await.unwrap()
}

/// The same, where it may fail.
pub async fn try_put(store: &Store, events: &[&Event]) -> Result<Vec<Outcome>, StoreError> {
    let batch: Vec<Incoming> = events
        .iter()
        .zip(1..)
        .map(|(event, sequence)| from_stream(event, sequence))
        .collect();
    store.store(&batch).await
}

/// Stores one event, and says what became of it.
pub async fn put_one(store: &Store, event: &Event) -> Outcome {
    put(store, &[event]).await.remove(0)
}

/// A boosted post's comment, and the like of live video: what is told of one
/// comment in one second differs.
pub fn comments_of_one_second() -> Vec<Event> {
    let comment = |field: &str, value: Value| change(field, &value);
    vec![
        comment(
            "comments",
            json!({"id": "1", "text": "a", "from": {"id": "5"}, "media": {"id": "180"}}),
        ),
        comment(
            "comments",
            json!({"id": "1", "text": "b", "media": {"id": "179", "ad_id": "23"}}),
        ),
        comment(
            "live_comments",
            json!({"id": "1", "from": {"id": "5", "username": "five"}}),
        ),
        comment("comments", json!({"comment_id": "2", "text": "c"})),
    ]
}
