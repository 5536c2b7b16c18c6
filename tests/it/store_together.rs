//! Several instances store at the same time, as several services on one
//! `PostgreSQL` do.

use std::collections::BTreeSet;

use entity::{conversation, message, webhook_event, webhook_subscription};
use futures::future::join_all;
use igstream::instagram::Event;
use igstream::store::error::Blame;
use igstream::store::{Incoming, Outcome, Store};
use rand::seq::SliceRandom;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;

use crate::store_order::{clear, conversation as all_of_a_conversation, play, rows};
use crate::support::deliveries::{
    NOON, connect, from_stream, inbound, messaging, outbound, store_on,
};
use crate::support::postgres::TestDatabase;

/// How often two meet.
const MEETINGS: usize = 150;

async fn two_stores() -> (TestDatabase, Store, Store) {
    let database = TestDatabase::postgres().await;
    let one = store_on(&database).await;
    let other = connect(&database, |_| {}).await;
    (database, one, other)
}

fn told(mid: &str, text: &str) -> Event {
    messaging(inbound(
        NOON,
        &json!({"message": {"mid": mid, "text": text}}),
    ))
}

/// Stores on a task of its own, so that two really are at it at once; as a
/// handler does, again when the fault is the world's.
async fn at_once(store: &Store, events: Vec<Event>) -> Vec<Outcome> {
    let store = store.clone();
    let storing = tokio::spawn(async move {
        let batch: Vec<Incoming> = events
            .iter()
            .zip(1..)
            .map(|(event, sequence)| from_stream(event, sequence))
            .collect();
        store_until_stored(&store, &batch).await
    });
    storing.await.unwrap()
}

async fn store_until_stored(store: &Store, batch: &[Incoming]) -> Vec<Outcome> {
    loop {
        match store.store(batch).await {
            Ok(outcomes) => return outcomes,
            Err(error) => assert_eq!(error.blame(), Blame::World, "{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_message_and_its_receipt_find_each_other() {
    let (_database, one, other) = two_stores().await;
    for n in 0..MEETINGS {
        let (earlier, named) = (format!("m_{n}_a"), format!("m_{n}_b"));
        let sent = |mid: &str, at| {
            messaging(outbound(
                at,
                &json!({"message": {"mid": mid, "text": "hi", "is_echo": true}}),
            ))
        };
        let at = NOON + i64::try_from(n).unwrap() * 1000;
        let messages = [sent(&earlier, at), sent(&named, at + 1)];
        let receipt = messaging(inbound(at + 2, &json!({"read": {"mid": named}})));
        let [first, second] = messages;
        // The three come to three transactions in whatever order.
        tokio::join!(
            at_once(&one, vec![first]),
            at_once(&other, vec![receipt]),
            at_once(&one, vec![second]),
        );
    }
    let unseen = message::Entity::find()
        .filter(message::Column::SeenAt.is_null())
        .count(one.database())
        .await;
    assert_eq!(unseen.unwrap(), 0);
    assert_eq!(
        conversation::Entity::find()
            .count(one.database())
            .await
            .unwrap(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_batches_in_different_orders() {
    let (database, one, other) = two_stores().await;
    let third = connect(&database, |_| {}).await;
    for round in 0..20 {
        // Each event twice, of many people, and each receipt to several instances.
        let mut events: Vec<Event> = Vec::new();
        for n in 0..60 {
            for _ in 0..2 {
                let mut item = inbound(
                    NOON + n,
                    &json!({"message": {"mid": format!("m_{round}_{n}"), "text": "t"}}),
                );
                item["sender"]["id"] = json!(format!("person {}", n % 20));
                events.push(messaging(item));
            }
        }
        let batches = [&one, &other, &third, &one, &other].map(|store| {
            let mut batch = events.clone();
            batch.shuffle(&mut rand::rng());
            batch.truncate(90);
            (store, batch)
        });
        let stored = join_all(batches.map(|(store, batch)| at_once(store, batch))).await;
        for outcomes in stored {
            assert!(
                outcomes
                    .iter()
                    .all(|outcome| matches!(outcome, Outcome::Stored { .. } | Outcome::Duplicate)),
                "{outcomes:?}"
            );
        }
        at_once(&one, events).await;
    }
    let rows = webhook_event::Entity::find()
        .all(one.database())
        .await
        .unwrap();
    assert_eq!(rows.len(), 20 * 120);
    let firsts: BTreeSet<_> = rows
        .iter()
        .filter(|row| !row.is_duplicate)
        .map(|row| row.id)
        .collect();
    assert_eq!(firsts.len(), 20 * 60);
    assert!(rows.iter().filter(|row| row.is_duplicate).all(|row| {
        row.duplicate_of
            .is_some_and(|first| firsts.contains(&first))
    }));
    assert_eq!(
        message::Entity::find().count(one.database()).await.unwrap(),
        20 * 60
    );
    assert_eq!(
        conversation::Entity::find()
            .count(one.database())
            .await
            .unwrap(),
        20
    );
    let counted = webhook_subscription::Entity::find()
        .one(one.database())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(counted.events_received_count, 20 * 120);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_unsend_meets_its_message_and_its_duplicates() {
    let (database, one, other) = two_stores().await;
    let third = connect(&database, |_| {}).await;
    for n in 0..MEETINGS {
        let mid = format!("m_{n}");
        let unsend = messaging(inbound(
            NOON,
            &json!({"message": {"mid": mid, "is_deleted": true}}),
        ));
        let edit = messaging(inbound(
            NOON,
            &json!({"message_edit": {"mid": mid, "text": "secret", "num_edit": 1}}),
        ));
        let batches = [
            (&one, vec![told(&mid, "secret"), edit]),
            (&other, vec![unsend]),
            (&third, vec![told(&mid, "secret"), told(&mid, "secret")]),
        ];
        join_all(batches.map(|(store, batch)| at_once(store, batch))).await;
    }
    let quoting = webhook_event::Entity::find()
        .filter(webhook_event::Column::Payload.is_not_null())
        .all(one.database())
        .await
        .unwrap();
    let quoting: Vec<_> = quoting
        .iter()
        .filter(|row| !row.event_id.ends_with("_deleted"))
        .map(|row| &row.event_id)
        .collect();
    assert_eq!(quoting, Vec::<&String>::new());
    let messages = message::Entity::find().all(one.database()).await.unwrap();
    assert!(
        messages.len() == MEETINGS
            && messages
                .iter()
                .all(|row| row.is_deleted && row.text.is_none() && row.raw_data.is_none())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conversation_told_to_several_at_once() {
    let (database, one, other) = two_stores().await;
    let events = all_of_a_conversation();
    play(&one, events.iter().map(|event| vec![event]).collect()).await;
    let expected = rows(&one, &events).await;
    for _ in 0..25 {
        clear(&one).await;
        let mut shuffled = events.clone();
        shuffled.shuffle(&mut rand::rng());
        let stores = [&one, &other];
        let storing = shuffled.chunks(4).enumerate().map(|(n, chunk)| {
            let (store, chunk) = (stores[n % 2].clone(), chunk.to_vec());
            tokio::spawn(async move {
                for event in chunk {
                    store_until_stored(&store, &[from_stream(&event, 1)]).await;
                }
            })
        });
        join_all(storing.collect::<Vec<_>>())
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let mut found = rows(&one, &events).await;
        // Each was its batch's first and so at sequence 1, as before.
        assert_eq!(found.remove("messages"), expected.get("messages").cloned());
        for (table, rows) in found {
            assert_eq!(rows, expected[table]);
        }
    }
    drop(database);
}
