//! Events come in any order, in any batches, some twice: the rows they leave are
//! the same.

use std::collections::BTreeMap;

use igstream::instagram::Event;
use igstream::store::Store;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, JsonValue, Statement};
use serde_json::{Value, json};

use crate::support::deliveries::{
    IG, NOON, comments_of_one_second, connect, from_stream, inbound, messaging, outbound, store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    a_conversation_in_any_order,
    a_conversation_in_any_order_where_unsent_is_kept,
    what_the_receipts_say_was_read,
    a_watermark_is_a_time_as_any_other,
    comments_of_one_second_in_any_order,
);

/// The orders tried on each database.
const CASES: u32 = 40;

const TABLES: [&str; 7] = [
    "messages",
    "conversations",
    "instagram_mentions",
    "instagram_message_reactions",
    "instagram_messaging_postbacks",
    "instagram_messaging_seen",
    "instagram_comments",
];

fn text(mid: &str, at: i64) -> Value {
    inbound(
        at,
        &json!({"message": {"mid": mid, "text": format!("text of {mid}")}}),
    )
}

fn echo(mid: &str, at: i64) -> Value {
    outbound(
        at,
        &json!({"message": {"mid": mid, "text": format!("text of {mid}"), "is_echo": true}}),
    )
}

fn edit(mid: &str, number: i64) -> Value {
    let text = format!("edit {number} of {mid}");
    inbound(
        NOON + 500 + number,
        &json!({"message_edit": {"mid": mid, "text": text, "num_edit": number}}),
    )
}

/// An edit as production sends it: it says next to nothing.
fn bare_edit(mid: &str) -> Value {
    json!({"timestamp": NOON + 900, "message_edit": {"mid": mid, "num_edit": 0}})
}

fn unsend(mid: &str, at: i64) -> Value {
    inbound(at, &json!({"message": {"mid": mid, "is_deleted": true}}))
}

fn react(mid: &str, action: &str, at: i64) -> Value {
    inbound(
        at,
        &json!({"reaction": {"mid": mid, "action": action, "emoji": "❤"}}),
    )
}

fn read_by_person(what: &Value, at: i64) -> Value {
    inbound(at, &json!({"read": what}))
}

fn read_by_account(what: &Value, at: i64) -> Value {
    outbound(at, &json!({"read": what}))
}

fn story(mid: &str, at: i64) -> Value {
    inbound(
        at,
        &json!({"message": {"mid": mid, "attachments": [{"type": "story_mention", "payload": {"url": "u"}}]}}),
    )
}

/// All that can happen between two people.
pub fn conversation() -> Vec<Event> {
    let s = 1000;
    [
        text("m_1", NOON + s),
        echo("m_2", NOON + 2 * s),
        text("m_3", NOON + 3 * s),
        echo("m_4", NOON + 4 * s),
        echo("m_5", NOON + 4 * s),
        text("m_6", NOON + 6 * s),
        story("m_7", NOON + 7 * s),
        story("m_8", NOON + 8 * s),
        edit("m_1", 1),
        edit("m_1", 2),
        edit("m_3", 1),
        bare_edit("m_3"),
        bare_edit("m_2"),
        unsend("m_3", NOON + 5 * s),
        unsend("m_7", NOON + 9 * s),
        unsend("m_never_told", NOON + 9 * s),
        react("m_2", "react", NOON + 3 * s),
        react("m_2", "unreact", NOON + 4 * s),
        react("m_2", "react", NOON + 5 * s),
        // The person read up to m_4, and m_5 was sent in the same millisecond.
        read_by_person(&json!({"mid": "m_4"}), NOON + 5 * s),
        // Earlier, though it says less.
        read_by_person(&json!({"mid": "m_2"}), NOON + 2 * s + 1),
        // Names what the reader sent.
        read_by_person(&json!({"mid": "m_6"}), NOON + 7 * s),
        read_by_person(&json!({"mid": "m_of_which_nothing_is_told"}), NOON + 8 * s),
        read_by_account(&json!({"watermark": NOON + 3 * s}), NOON + 4 * s),
        read_by_account(
            &json!({"watermark": (NOON + 60 * s).to_string()}),
            NOON + 6 * s,
        ),
        read_by_account(&json!({"mid": "m_1"}), NOON + 10 * s),
        inbound(
            NOON + 2 * s,
            &json!({"postback": {"mid": "p_1", "title": "Start", "payload": "GO"}}),
        ),
        inbound(
            NOON + 3 * s,
            &json!({"postback": {"title": "Old", "payload": "GO"}}),
        ),
    ]
    .into_iter()
    .map(messaging)
    .collect()
}

async fn a_conversation_in_any_order(database: TestDatabase) {
    any_order(&database, conversation(), false, CASES).await;
}

async fn a_conversation_in_any_order_where_unsent_is_kept(database: TestDatabase) {
    any_order(&database, conversation(), true, CASES / 4).await;
}

async fn comments_of_one_second_in_any_order(database: TestDatabase) {
    any_order(&database, comments_of_one_second(), false, CASES / 2).await;
}

/// How the events come: a permutation, batches that end after some of them, and
/// some that come again.
pub fn orders(count: usize) -> impl Strategy<Value = (Vec<usize>, Vec<bool>, Vec<Index>)> {
    let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
    let again = prop::collection::vec(any::<Index>(), 0..6);
    (
        order,
        prop::collection::vec(any::<bool>(), count + 6),
        again,
    )
}

async fn any_order(database: &TestDatabase, events: Vec<Event>, keep_unsent: bool, cases: u32) {
    store_on(database).await;
    let store = connect(database, |options| options.keep_unsent = keep_unsent).await;
    play(&store, events.iter().map(|event| vec![event]).collect()).await;
    let expected = rows(&store, &events).await;
    assert!(expected["messages"].len() > 1 || expected["instagram_comments"].len() > 1);

    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    for _ in 0..cases {
        let (order, ends, again) = orders(events.len())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        clear(&store).await;
        let batches = together(batches(&events, &order, &ends, &again), &ends);
        play(&store, batches).await;
        let found = rows(&store, &events).await;
        assert_eq!(
            found, expected,
            "in the order {order:?} with {again:?}, batches ending {ends:?}"
        );
    }
}

/// Some batches go with the one before, of whatever type.
fn together<'a>(batches: Vec<Vec<&'a Event>>, alone: &[bool]) -> Vec<Vec<&'a Event>> {
    let mut all: Vec<Vec<&Event>> = Vec::new();
    for (batch, alone) in batches.into_iter().zip(alone) {
        match all.last_mut() {
            Some(before) if !alone => before.extend(batch),
            _ => all.push(batch),
        }
    }
    all
}

/// Batches of one type each, as handlers take them.
pub fn batches<'a>(
    events: &'a [Event],
    order: &[usize],
    ends: &[bool],
    again: &[Index],
) -> Vec<Vec<&'a Event>> {
    let mut sequence: Vec<&Event> = order.iter().map(|index| &events[*index]).collect();
    for index in again {
        let (from, to) = (index.index(sequence.len()), index.index(sequence.len() + 1));
        sequence.insert(to, sequence[from]);
    }
    let mut batches: Vec<Vec<&Event>> = Vec::new();
    let mut open: BTreeMap<&str, usize> = BTreeMap::new();
    for (event, end) in sequence.into_iter().zip(ends) {
        let place = *open.entry(&event.event_type).or_insert_with(|| {
            batches.push(Vec::new());
            batches.len() - 1
        });
        batches[place].push(event);
        if *end {
            open.remove(event.event_type.as_str());
        }
    }
    batches
}

pub async fn play(store: &Store, batches: Vec<Vec<&Event>>) {
    for batch in batches {
        let incoming: Vec<_> = batch
            .iter()
            .zip(1..)
            .map(|(event, sequence)| from_stream(event, sequence))
            .collect();
        store.store(&incoming).await.unwrap();
    }
}

pub async fn clear(store: &Store) {
    for table in TABLES.into_iter().chain([
        "instagram_webhook_events",
        "instagram_webhook_subscriptions",
    ]) {
        store
            .database()
            .execute_unprepared(&format!("DELETE FROM {table}"))
            .await
            .unwrap();
    }
}

/// All rows of all typed tables, and whether the generic ones have a payload;
/// without the times of writing.
pub async fn rows(store: &Store, events: &[Event]) -> BTreeMap<&'static str, Vec<String>> {
    let mut all = BTreeMap::new();
    for table in TABLES {
        all.insert(table, dump(store, &format!("SELECT * FROM {table}")).await);
    }
    let generic = "SELECT event_id, status, payload, is_duplicate, instagram_account_id FROM instagram_webhook_events";
    all.insert("instagram_webhook_events", dump(store, generic).await);
    assert_eq!(all["instagram_webhook_events"].len(), events.len());
    all
}

pub async fn dump(store: &Store, query: &str) -> Vec<String> {
    let backend = store.database().get_database_backend();
    let found = JsonValue::find_by_statement(Statement::from_string(backend, query))
        .all(store.database())
        .await;
    let mut rows: Vec<String> = found
        .unwrap()
        .into_iter()
        .map(|mut row| {
            let columns = row.as_object_mut().unwrap();
            if let Some(payload) = columns.get_mut("payload") {
                *payload = json!(payload.is_null());
            }
            columns.remove("created_at");
            columns.remove("updated_at");
            row.to_string()
        })
        .collect();
    rows.sort();
    rows
}

/// When each message was seen, in seconds after noon.
async fn seen(store: &Store) -> BTreeMap<String, Option<i64>> {
    use entity::message::Entity;
    use sea_orm::EntityTrait;
    let messages = Entity::find().all(store.database()).await.unwrap();
    let seconds = |time: chrono::DateTime<chrono::Utc>| (time.timestamp_millis() - NOON) / 1000;
    messages
        .into_iter()
        .map(|message| (message.id, message.seen_at.map(seconds)))
        .collect()
}

async fn what_the_receipts_say_was_read(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = conversation();
    play(&store, events.iter().map(|event| vec![event]).collect()).await;
    let seen = seen(&store).await;
    let of = |mid: &str| seen[mid];
    // Up to m_2 at 2 s; m_4 and, as old, m_5 at 5 s.
    assert_eq!(
        (of("m_2"), of("m_4"), of("m_5")),
        (Some(2), Some(5), Some(5))
    );
    // The account read up to 3 s at 4 s, and all that there was at 6 s.
    assert_eq!(
        (of("m_1"), of("m_3"), of("m_6")),
        (Some(4), Some(4), Some(6))
    );
    // Sent after the account last looked; what nobody told is nowhere.
    assert_eq!(
        (of("m_7"), of("m_8"), of("m_never_told")),
        (None, None, None)
    );
    assert!(!seen.contains_key("m_of_which_nothing_is_told"));
}

/// In seconds as in milliseconds; what is neither marks nothing.
async fn a_watermark_is_a_time_as_any_other(database: TestDatabase) {
    let store = store_on(&database).await;
    let read = |watermark: Value, at: i64| {
        messaging(read_by_account(&json!({"watermark": watermark}), at))
    };
    let events = [
        messaging(text("m_1", NOON)),
        messaging(text("m_2", NOON + 2000)),
        messaging(text("m_3", NOON + 3000)),
        read(json!(NOON / 1000 + 2), NOON + 10_000),
        read(json!("999999999999999"), NOON + 4000),
        read(json!("99999999999999999999999"), NOON + 4000),
        read(json!("soon"), NOON + 4000),
    ];
    for event in &events {
        play(&store, vec![vec![event]]).await;
    }
    let seen = seen(&store).await;
    assert_eq!(
        (seen["m_1"], seen["m_2"], seen["m_3"]),
        (Some(10), Some(10), None)
    );
    assert_eq!(
        store.database().get_database_backend() == DbBackend::Sqlite,
        database.url().starts_with("sqlite")
    );
    assert_eq!(
        store.accounts().await.unwrap()[0].instagram_business_account_id,
        IG
    );
}
