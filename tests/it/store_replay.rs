//! Typed rows are written again from their events: whatever they held, they hold
//! what the parser makes of them, and nothing else changes.

use chrono::{DateTime, TimeDelta, Utc};
use igstream::instagram::{Delivery, Event, understand};
use igstream::store::error::Blame;
use igstream::store::replayable::{Left, Logged, Replayable, Way};
use igstream::store::{Incoming, Outcome, Store};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::{NoContext, Timestamp, Uuid};

use crate::store_order::{batches, clear, conversation, dump, orders, play, rows};
use crate::support::deliveries::{
    NOON, change, comments_of_one_second, connect, delivery, from_stream, inbound, messaging,
    put_one, replayed, store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;
use crate::support::replays::OF_EVENTS;

on_both!(
    replays_in_any_order_with_new_traffic,
    comments_of_one_second_are_replayed_in_any_order,
    what_was_falsified_is_right_again,
    a_key_that_was_read_wrongly_moves,
    whoever_dealt_with_a_postback_is_remembered,
    what_was_unsent_stays_blanked,
    what_has_no_row_any_more_is_not_made_anew,
    a_preview_names_what_would_change_and_changes_nothing,
    the_log_is_read_by_page_type_account_and_time,
);

/// The orders tried on each database.
const CASES: u32 = 6;

/// A conversation, comments, a mention, an insight: events of all types.
fn everything() -> Vec<Event> {
    let mut events = conversation();
    events.push(messaging(inbound(
        NOON + 900,
        &json!({"message": {"mid": "m_9", "attachments": [{"type": "image", "payload": {"url": "u"}}],
            "reply_to": {"mid": "m_1", "story": {"id": "s"}}, "quick_reply": {"payload": "Q"}}}),
    )));
    events.push(change(
        "comments",
        &json!({"id": "c_1", "text": "well", "from": {"id": "5", "username": "five"}, "parent_id": "c_0",
            "media": {"id": "180", "media_product_type": "FEED", "ad_id": "23"}}),
    ));
    events.push(change(
        "live_comments",
        &json!({"id": "c_2", "text": "live", "from": {"id": "6"}, "media": {"id": "181"}}),
    ));
    events.push(change(
        "mentions",
        &json!({"media_id": "182", "comment_id": "c_3"}),
    ));
    events.push(change(
        "story_insights",
        &json!({"media_id": "183", "impressions": 7, "reach": -1, "timestamp": NOON / 1000 - 60}),
    ));
    events
}

async fn told(store: &Store, events: &[Event]) {
    play(store, events.iter().map(|event| vec![event]).collect()).await;
}

/// All typed rows and the generic ones, but for when they were written.
async fn all_rows(store: &Store) -> Vec<String> {
    let mut all = Vec::new();
    for table in OF_EVENTS {
        all.push(table.to_owned());
        all.extend(dump(store, &format!("SELECT * FROM {table}")).await);
    }
    all
}

async fn logged(store: &Store, which: &Replayable) -> Vec<Logged> {
    store
        .replayable(which, None, 1000, usize::MAX)
        .await
        .unwrap()
}

/// Replays one event, which has to be one that can be.
async fn replay(store: &Store, event: &Event) {
    let outcomes = store.store(&[replayed(event)]).await;
    assert_eq!(outcomes.unwrap(), [Outcome::Replayed], "{event:?}");
}

/// Replays all that the log has, in the order that `shuffle` says.
async fn replay_log(store: &Store, shuffle: &[Index]) {
    let mut log: Vec<Event> = logged(store, &Replayable::default())
        .await
        .into_iter()
        .filter(|logged| logged.way == Way::Replay)
        .map(|logged| logged.event)
        .collect();
    for index in shuffle {
        let event = log.remove(index.index(log.len()));
        log.push(event);
    }
    for event in &log {
        replay(store, event).await;
    }
}

/// The same from the journal: whatever was delivered, stored by now or not.
async fn replay_journal(store: &Store, events: &[Event]) {
    for event_type in igstream::instagram::types::with_unknown() {
        let batch: Vec<Incoming> = events
            .iter()
            .filter(|event| event.event_type == event_type.name)
            .map(replayed)
            .collect();
        let outcomes = store.store(&batch).await.unwrap();
        assert!(outcomes.iter().all(|became| *became == Outcome::Replayed));
    }
}

async fn in_any_order(database: &TestDatabase, events: Vec<Event>) {
    store_on(database).await;
    let store = connect(database, |_| {}).await;
    told(&store, &events).await;
    let expected = rows(&store, &events).await;
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let replays = prop::collection::vec(any::<u8>(), 2 * events.len() + 12);
    let shuffle = prop::collection::vec(any::<Index>(), 0..12);
    for _ in 0..CASES {
        let (order, ends, again) = orders(events.len())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let replays = replays.new_tree(&mut runner).unwrap().current();
        let shuffle = shuffle.new_tree(&mut runner).unwrap().current();
        clear(&store).await;
        let batches = batches(&events, &order, &ends, &again);
        for (batch, chance) in batches.into_iter().zip(replays) {
            play(&store, vec![batch]).await;
            // Now and then.
            if chance < 20 {
                replay_log(&store, &shuffle).await;
            } else if chance < 40 {
                // What was unsent is left alone: its row says so.
                let log = logged(&store, &Replayable::default()).await;
                let is_blank = |event: &&Event| {
                    log.iter().any(|logged| {
                        logged.head.id == event.receipt_id && logged.way != Way::Replay
                    })
                };
                let taken: Vec<Event> = events.iter().filter(|it| !is_blank(it)).cloned().collect();
                replay_journal(&store, &taken).await;
            }
        }
        assert_eq!(rows(&store, &events).await, expected, "in order {order:?}");
        replay_log(&store, &shuffle).await;
        assert_eq!(rows(&store, &events).await, expected, "in order {order:?}");
    }
}

async fn replays_in_any_order_with_new_traffic(database: TestDatabase) {
    in_any_order(&database, everything()).await;
}

async fn comments_of_one_second_are_replayed_in_any_order(database: TestDatabase) {
    in_any_order(&database, comments_of_one_second()).await;
}

/// What a fault, or a hand, may have left in every column that an event owns.
const FALSE: [&str; 14] = [
    "UPDATE messages SET text = 'false' WHERE text IS NULL OR edited_count < 2",
    "UPDATE messages SET text = NULL WHERE edited_count = 2",
    "UPDATE messages SET sender_ig_id = 'false', recipient_ig_id = NULL, direction = NULL, message_type = 'false', \
     attachments = NULL, reply_to_mid = NULL, reply_to_story = NULL, quick_reply_payload = 'false', \
     raw_data = NULL, conversation_id = NULL, timestamp = '2001-01-01T00:00:00.000000Z' WHERE NOT is_deleted",
    "UPDATE messages SET message_type = NULL, sender_ig_id = NULL WHERE id = 'm_2'",
    "UPDATE messages SET sender_ig_id = 'false' WHERE id = 'm_never_told'",
    "UPDATE messages SET seen_at = '2001-01-01T00:00:00.000000Z' WHERE id = 'm_4'",
    "UPDATE instagram_comments SET text = NULL, from_id = 'false', from_username = NULL, media_id = 'false', \
     media_product_type = NULL, ad_id = NULL, parent_id = 'false', raw_data = NULL",
    "UPDATE instagram_comments SET timestamp = '2101-01-01T00:00:00.000000Z' WHERE id = 'c_1'",
    "UPDATE instagram_comments SET timestamp = '2001-01-01T00:00:00.000000Z' WHERE id = 'c_2'",
    "UPDATE instagram_mentions SET media_id = 'false', comment_id = NULL, mentioned_in = 'post', raw_data = NULL \
     WHERE id LIKE 'mention%'",
    "UPDATE instagram_message_reactions SET emoji = NULL, reaction_type = 'false', recipient_ig_id = NULL, \
     raw_data = NULL, conversation_id = NULL",
    "UPDATE instagram_messaging_postbacks SET postback_title = 'false', postback_payload = NULL, \
     is_self = true, raw_data = NULL, timestamp = '2001-01-01T00:00:00.000000Z'",
    "UPDATE instagram_messaging_seen SET recipient_ig_id = 'false', raw_data = NULL",
    "UPDATE instagram_story_insights_aggregated SET impressions = 9, reach = 0, raw_data = NULL",
];

async fn falsify(store: &Store, statements: &[&str]) {
    for statement in statements {
        let changed = store.database().execute_unprepared(statement).await;
        assert!(changed.unwrap().rows_affected() > 0, "{statement}");
    }
}

async fn what_was_falsified_is_right_again(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = everything();
    told(&store, &events).await;
    let before = all_rows(&store).await;
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    let shuffle = prop::collection::vec(any::<Index>(), 0..40);
    for _ in 0..CASES {
        falsify(&store, &FALSE).await;
        assert_ne!(all_rows(&store).await, before);
        let shuffle = shuffle.new_tree(&mut runner).unwrap().current();
        // Twice: when a message was seen follows from the times of others, too.
        for _ in 0..2 {
            replay_log(&store, &shuffle).await;
        }
        assert_eq!(all_rows(&store).await, before, "{shuffle:?}");
    }
}

/// A time that is part of a row's key: the row stays the same one.
async fn a_key_that_was_read_wrongly_moves(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = everything();
    told(&store, &events).await;
    let before = all_rows(&store).await;
    falsify(
        &store,
        &[
            "UPDATE instagram_message_reactions SET timestamp = '2001-01-01T00:00:00.000000Z' WHERE action = 'unreact'",
            "UPDATE instagram_messaging_seen SET reader_ig_id = 'false' WHERE last_message_id = 'm_2'",
            "UPDATE instagram_messaging_postbacks SET message_id = 'false' WHERE message_id = 'p_1'",
            "UPDATE instagram_story_insights_aggregated SET timestamp = '2001-01-01T00:00:00.000000Z'",
        ],
    )
    .await;
    replay_log(&store, &[]).await;
    assert_eq!(all_rows(&store).await, before);
}

async fn whoever_dealt_with_a_postback_is_remembered(database: TestDatabase) {
    let store = store_on(&database).await;
    told(&store, &everything()).await;
    falsify(
        &store,
        &["UPDATE instagram_messaging_postbacks SET processed = true"],
    )
    .await;
    let before = all_rows(&store).await;
    replay_log(&store, &[]).await;
    assert_eq!(all_rows(&store).await, before);
}

async fn what_was_unsent_stays_blanked(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = everything();
    told(&store, &events).await;
    let before = all_rows(&store).await;
    // What was on its way to be replayed when it was unsent has its content still.
    replay_journal(&store, &events).await;
    assert_eq!(all_rows(&store).await, before);
    let blanked = logged(&store, &Replayable::default()).await;
    let blanked = blanked
        .iter()
        .filter(|logged| logged.way == Way::Leave(Left::Blanked));
    assert_eq!(blanked.count(), 4, "m_3, its two edits, m_7");
}

async fn what_has_no_row_any_more_is_not_made_anew(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = everything();
    told(&store, &events).await;
    store
        .database()
        .execute_unprepared("DELETE FROM instagram_webhook_events WHERE event_type <> 'message'")
        .await
        .unwrap();
    let before = all_rows(&store).await;
    replay_journal(&store, &events).await;
    assert_eq!(all_rows(&store).await, before);
}

async fn a_preview_names_what_would_change_and_changes_nothing(database: TestDatabase) {
    let store = store_on(&database).await;
    let comment = |id: &str| {
        change(
            "comments",
            &json!({"id": id, "text": "right", "from": {"id": "5"}}),
        )
    };
    let events = [comment("1"), comment("2"), comment("3")];
    told(&store, &events).await;
    falsify(
        &store,
        &[
            "UPDATE instagram_comments SET text = 'wrong' WHERE id = '1'",
            "DELETE FROM instagram_comments WHERE id = '2'",
        ],
    )
    .await;
    let before = all_rows(&store).await;
    let batch: Vec<Incoming> = events.iter().map(replayed).collect();
    let found = store.preview(&batch).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|it| (it.id.as_str(), it.column, it.old.clone(), it.new.clone()))
        .collect();
    assert_eq!(
        found,
        [
            ("1", Some("text"), json!("wrong"), json!("right")),
            ("2", None, json!(false), json!(true)),
        ]
    );
    assert_eq!(all_rows(&store).await, before);
    // Nobody waits for what it held.
    put_one(&store, &comment("4")).await;
}

/// The event of a delivery that was received then; its receipt is of that time, too.
fn comment_received(at: DateTime<Utc>, id: u32) -> Event {
    let nanoseconds = at.timestamp_subsec_nanos();
    let time = Timestamp::from_unix(NoContext, at.timestamp().unsigned_abs(), nanoseconds);
    let item = json!({"field": "comments", "value": {"id": id.to_string(), "text": "t"}});
    let mut events = understand(&Delivery {
        id: Uuid::new_v7(time),
        received_at: at,
        signature: String::new(),
        secret_id: String::new(),
        body: delivery("changes", &[item]).into(),
    });
    events.remove(0)
}

async fn the_log_is_read_by_page_type_account_and_time(database: TestDatabase) {
    let store = store_on(&database).await;
    let noon = DateTime::from_timestamp_micros(NOON * 1000 + 7).unwrap();
    let mut events: Vec<Event> = (0..6)
        .map(|nth| comment_received(noon + TimeDelta::seconds(nth.into()), nth))
        .collect();
    let mention = change("mentions", &json!({"media_id": "182"}));
    events.push(mention);
    told(&store, &events[..6]).await;
    put_one(&store, &events[6]).await;
    let of = async |which: Replayable| logged(&store, &which).await.len();
    let comments = Replayable {
        event_type: Some("comment".to_owned()),
        ..Replayable::default()
    };
    assert_eq!(of(comments.clone()).await, 6);
    let nobodys = Replayable {
        ig_account_id: Some("1".to_owned()),
        ..Replayable::default()
    };
    assert_eq!(of(nobodys).await, 0);
    // Each received a second after the one before.
    let at = events[3].received_at;
    let at_that_moment = Replayable {
        event_type: Some("comment".to_owned()),
        from: Some(at),
        to: Some(at),
        ..Replayable::default()
    };
    assert_eq!(of(at_that_moment).await, 1);
    let until_then = Replayable {
        event_type: Some("comment".to_owned()),
        to: Some(at),
        ..Replayable::default()
    };
    assert_eq!(of(until_then).await, 4);
    let later = Replayable {
        from: Some(at + TimeDelta::microseconds(1)),
        to: Some(at + TimeDelta::days(1)),
        event_type: Some("comment".to_owned()),
        ..Replayable::default()
    };
    assert_eq!(of(later).await, 2);
    let first = store.replayable(&comments, None, 1000, 1).await.unwrap();
    assert_eq!(first.len(), 1, "no more than its bytes");
    let second = store
        .replayable(&comments, Some(first[0].head.id), 2, usize::MAX)
        .await;
    let receipts: Vec<_> = second.unwrap().iter().map(|it| it.head.id).collect();
    assert_eq!(receipts, [events[1].receipt_id, events[2].receipt_id]);
}

/// One instance replays, again and again, while others store.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replays_meet_new_traffic() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let other = connect(&database, |_| {}).await;
    let events = everything();
    told(&store, &events).await;
    let expected = rows(&store, &events).await;
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::default()
    });
    for _ in 0..4 {
        let (order, ..) = orders(events.len())
            .new_tree(&mut runner)
            .unwrap()
            .current();
        clear(&store).await;
        let (storing, ordered) = (store.clone(), order.iter().map(|nth| events[*nth].clone()));
        let ordered: Vec<Event> = ordered.collect();
        let storing = tokio::spawn(async move {
            for event in &ordered {
                until_stored(&storing, &from_stream(event, 1)).await;
            }
        });
        while !storing.is_finished() {
            for logged in logged(&other, &Replayable::default()).await {
                if logged.way == Way::Replay {
                    until_stored(&other, &replayed(&logged.event)).await;
                }
            }
        }
        storing.await.unwrap();
        assert_eq!(rows(&store, &events).await, expected, "in order {order:?}");
    }
}

/// As a handler does: again when the fault is the world's.
async fn until_stored(store: &Store, incoming: &Incoming) {
    let batch = std::slice::from_ref(incoming);
    while let Err(error) = store.store(batch).await {
        assert_eq!(error.blame(), Blame::World, "{error}");
    }
}
