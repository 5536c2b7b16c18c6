//! What a tombstone does to what is stored, on both databases.

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::{self, status};
use igstream::instagram::{Delivery, Event, types, understand};
use igstream::store::erasure::Begun;
use igstream::store::{Outcome, Store, StoreError, accounts::Added};
use sea_orm::{ConnectionTrait, DatabaseConnection, EntityTrait, Statement};
use serde_json::{Value, json};
use uuid::{NoContext, Timestamp, Uuid};

use crate::support::{
    deliveries::{
        IG, PERSON, connect, delivery_to, empty_store_on, from_stream, once_more, put, put_one,
        store_on,
    },
    eventually::eventually_true,
    on_both,
    postgres::TestDatabase,
};

const OTHER: &str = "17841400000000002";
const NO_ERROR: StoreError = StoreError::TooLate(std::time::Duration::ZERO);

on_both! {
    nothing_that_is_covered_is_stored,
    what_comes_later_is_of_an_unknown_account,
    what_is_told_again_later_is_told_for_the_first_time,
    all_rows_go_and_nobody_elses,
    rows_that_waited_for_an_account_go_too,
    an_erased_account_comes_back_by_being_added_alone,
    what_is_covered_is_not_adopted,
    an_erasure_is_begun_once_and_again_when_something_came,
}

/// The events of a body that is received then.
fn events_at(received_at: DateTime<Utc>, body: String) -> Vec<Event> {
    let seconds = received_at.timestamp().unsigned_abs();
    let time = Timestamp::from_unix(NoContext, seconds, received_at.timestamp_subsec_nanos());
    understand(&Delivery {
        id: Uuid::new_v7(time),
        received_at,
        signature: "sha256=00".to_owned(),
        secret_id: "test".to_owned(),
        body: body.into(),
    })
}

fn comment_at(received_at: DateTime<Utc>, account: &str, id: &str) -> Event {
    let item =
        json!({"field": "comments", "value": {"id": id, "text": "so", "from": {"id": PERSON}}});
    events_at(received_at, delivery_to(account, "changes", &[item])).remove(0)
}

fn earlier() -> DateTime<Utc> {
    Utc::now() - TimeDelta::hours(1)
}

fn later() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(1)
}

async fn begin(store: &Store, account: &str) -> entity::erased_account::Model {
    match store.begin_erasure(account).await.unwrap() {
        Begun::Now(tombstone) => tombstone,
        other => panic!("{other:?}"),
    }
}

/// To its end, and what went of each table.
async fn erase(store: &Store, account: &str) -> Vec<(&'static str, u64)> {
    let tombstone = begin(store, account).await;
    let mut gone: Vec<(&'static str, u64)> = Vec::new();
    store
        .delete_erased_rows(&tombstone, &mut |table, rows| match gone
            .iter_mut()
            .find(|(known, _)| *known == table)
        {
            Some((_, sum)) => *sum += rows,
            None => gone.push((table, rows)),
        })
        .await
        .unwrap();
    assert!(store.finish_erasure(&tombstone).await.unwrap());
    gone.retain(|(_, rows)| *rows > 0);
    gone
}

async fn log(store: &Store) -> Vec<webhook_event::Model> {
    let mut rows = webhook_event::Entity::find()
        .all(store.database())
        .await
        .unwrap();
    rows.sort_by_key(|row| row.id);
    rows
}

async fn count(db: &DatabaseConnection, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table}");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "n").unwrap()
}

async fn nothing_that_is_covered_is_stored(database: TestDatabase) {
    let store = store_on(&database).await;
    let stored = comment_at(earlier(), IG, "stored");
    put_one(&store, &stored).await;
    begin(&store, IG).await;
    let before = log(&store).await;

    let new = comment_at(earlier(), IG, "new");
    // One whose rows are there is not told as stored either.
    let outcomes = put(&store, &[&new, &stored]).await;
    assert_eq!(outcomes, [Outcome::Erased, Outcome::Erased]);
    let again = store.store(&[once_more(&new)]).await.unwrap();
    assert_eq!(again, [Outcome::Erased]);
    let failing = from_stream(&new, 7);
    let failed = store.record_failure(&failing, &NO_ERROR, 1).await.unwrap();
    assert_eq!(failed, Outcome::Erased);
    let begun = store.begin_attempt(&failing, 1).await.unwrap();
    assert_eq!(begun, Some(Outcome::Erased));
    assert_eq!(log(&store).await, before);
    // Nobody else is touched.
    store.add_account(OTHER, None).await.unwrap();
    let others = put_one(&store, &comment_at(earlier(), OTHER, "new")).await;
    assert!(matches!(others, Outcome::Stored { .. }), "{others:?}");
}

async fn what_comes_later_is_of_an_unknown_account(database: TestDatabase) {
    let store = store_on(&database).await;
    begin(&store, IG).await;
    let new = comment_at(later(), IG, "new");
    assert_eq!(put_one(&store, &new).await, Outcome::Unassigned);
    let failing = comment_at(later(), IG, "failing");
    let failed = store
        .record_failure(&from_stream(&failing, 7), &NO_ERROR, 3)
        .await
        .unwrap();
    assert_eq!(failed, Outcome::Retry { attempts: 1 });
    for row in log(&store).await {
        assert_eq!(row.instagram_account_id, None);
    }
}

async fn what_is_told_again_later_is_told_for_the_first_time(database: TestDatabase) {
    let store = store_on(&database).await;
    for id in ["a", "a", "b"] {
        put_one(&store, &comment_at(earlier(), IG, id)).await;
    }
    begin(&store, IG).await;
    let again = comment_at(later(), IG, "a");
    assert_eq!(put_one(&store, &again).await, Outcome::Unassigned);
    let failing = comment_at(later(), IG, "b");
    store
        .record_failure(&from_stream(&failing, 7), &NO_ERROR, 3)
        .await
        .unwrap();
    let rows = log(&store).await;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, [again.receipt_id, failing.receipt_id]);
    assert!(rows.iter().all(|row| !row.is_duplicate), "{rows:?}");
    assert_eq!(rows[0].status, status::UNASSIGNED);
}

/// Events of every typed table, and more of one kind than a page.
fn many(account: &str) -> Vec<Event> {
    let person = json!({"sender": {"id": PERSON}, "recipient": {"id": account}, "timestamp": 1_795_536_000_000_i64});
    let messaging: Vec<Value> = [
        json!({"message": {"mid": "m1", "text": "hello"}}),
        json!({"message": {"mid": "m2", "attachments": [{"type": "story_mention", "payload": {"url": "https://example.com"}}]}}),
        json!({"reaction": {"mid": "m1", "action": "react", "reaction": "love", "emoji": "❤"}}),
        json!({"postback": {"mid": "m3", "title": "Start", "payload": "START"}}),
        json!({"read": {"mid": "m1"}}),
    ]
    .into_iter()
    .map(|mut item| {
        item.as_object_mut()
            .unwrap()
            .extend(person.as_object().unwrap().clone());
        item
    })
    .collect();
    let comment = |id: String| json!({"field": "comments", "value": {"id": id, "text": "so", "from": {"id": PERSON}}});
    let changes: Vec<Value> = (0..2300)
        .map(|n| comment(format!("c{n}")))
        .chain((0..1200).map(|_| comment("c7".to_owned())))
        .chain([
            json!({"field": "mentions", "value": {"media_id": "1"}}),
            json!({"field": "live_comments", "value": {"id": "l1", "text": "hi", "from": {"id": PERSON}}}),
            json!({"field": "story_insights", "value": {"media_id": "2", "reach": 3}}),
            json!({"field": "something_new", "value": {"id": "x"}}),
            json!({"field": "comments", "value": {"text": "malformed"}}),
        ])
        .collect();
    [("messaging", messaging), ("changes", changes)]
        .into_iter()
        .flat_map(|(list, items)| events_at(earlier(), delivery_to(account, list, &items)))
        .collect()
}

async fn put_all(store: &Store, events: &[Event]) {
    for event_type in types::with_unknown() {
        let of_type: Vec<&Event> = events
            .iter()
            .filter(|event| event.event_type == event_type.name)
            .collect();
        if !of_type.is_empty() {
            put(store, &of_type).await;
        }
    }
}

async fn all_rows_go_and_nobody_elses(database: TestDatabase) {
    let store = store_on(&database).await;
    store.add_account(OTHER, None).await.unwrap();
    put_all(&store, &many(OTHER)).await;
    let tables: Vec<&str> = types::tables()
        .iter()
        .map(|table| table.name)
        .chain(["conversations", "instagram_webhook_subscriptions"])
        .chain(["instagram_webhook_events", "client_accounts"])
        .collect();
    let mut others = Vec::new();
    for table in &tables {
        let rows = count(store.database(), table).await;
        assert!(rows > 0, "{table} is not tried");
        others.push(rows);
    }
    put_all(&store, &many(IG)).await;
    let there = store.rows_of(IG).await.unwrap();

    let gone = erase(&store, IG).await;
    assert_eq!(gone, there, "what was said is what went");
    assert_eq!(gone.len(), tables.len());
    for (table, rows) in tables.iter().zip(others) {
        let rows = if *table == "client_accounts" { 1 } else { rows };
        assert_eq!(count(store.database(), table).await, rows, "{table}");
    }
    assert!(!store.knows(IG).await.unwrap());
}

async fn rows_that_waited_for_an_account_go_too(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    for (account, id) in [(IG, "a"), (IG, "a"), (IG, "b"), (OTHER, "a")] {
        put_one(&store, &comment_at(earlier(), account, id)).await;
    }
    let gone = erase(&store, IG).await;
    assert_eq!(gone, [("instagram_webhook_events", 3)]);
    let left = log(&store).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].ig_account_id, OTHER);
}

async fn an_erased_account_comes_back_by_being_added_alone(database: TestDatabase) {
    empty_store_on(&database).await;
    let store = connect(&database, |options| options.auto_register = true).await;
    put_one(&store, &comment_at(earlier(), IG, "a")).await;
    let tombstone = begin(&store, IG).await;
    let added = store.add_account(IG, None).await.unwrap();
    assert_eq!(added, Added::BeingErased(tombstone.erased_at));
    store
        .delete_erased_rows(&tombstone, &mut |_, _| {})
        .await
        .unwrap();
    assert!(store.finish_erasure(&tombstone).await.unwrap());
    let new = comment_at(later(), IG, "b");
    assert_eq!(put_one(&store, &new).await, Outcome::Unassigned);
    assert_eq!(store.accounts().await.unwrap(), []);

    assert_eq!(store.add_account(IG, None).await.unwrap(), Added::New);
    let stored = put_one(&store, &comment_at(later(), IG, "c")).await;
    assert!(matches!(stored, Outcome::Stored { .. }), "{stored:?}");
    // The tombstone stays.
    let old = comment_at(earlier(), IG, "d");
    assert_eq!(put_one(&store, &old).await, Outcome::Erased);
    // What an instance does that does not know yet that it is finished touches nothing new.
    store
        .delete_erased_rows(&tombstone, &mut |table, rows| {
            assert_eq!(rows, 0, "{table}");
        })
        .await
        .unwrap();
    assert!(!store.finish_erasure(&tombstone).await.unwrap());
    assert_eq!(log(&store).await.len(), 2);
}

async fn what_is_covered_is_not_adopted(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    put_one(&store, &comment_at(earlier(), IG, "old")).await;
    put_one(&store, &comment_at(later(), IG, "new")).await;
    begin(&store, IG).await;
    // As where somebody adds the row by hand.
    let account = crate::support::rows::client_account();
    crate::support::rows::insert(
        store.database(),
        entity::client_account::Model {
            instagram_business_account_id: IG.to_owned(),
            ..account
        },
    )
    .await
    .unwrap();
    let adoptable = store.adoptable(None, 10).await.unwrap();
    let ids: Vec<_> = adoptable.iter().map(|event| &event.object_id).collect();
    assert_eq!(ids, [&Some("new".to_owned())]);
}

async fn an_erasure_is_begun_once_and_again_when_something_came(database: TestDatabase) {
    let store = store_on(&database).await;
    assert_eq!(store.begin_erasure(OTHER).await.unwrap(), Begun::Unknown);
    let first = begin(&store, IG).await;
    assert_eq!(
        store.begin_erasure(IG).await.unwrap(),
        Begun::Before(first.clone())
    );
    assert_eq!(
        store.erasures().await.unwrap(),
        std::slice::from_ref(&first)
    );
    assert!(!store.accounts().await.unwrap()[0].active);
    store
        .delete_erased_rows(&first, &mut |_, _| {})
        .await
        .unwrap();
    assert!(store.finish_erasure(&first).await.unwrap());
    assert_eq!(store.erasures().await.unwrap(), []);
    let begun = store.begin_erasure(IG).await.unwrap();
    assert!(matches!(begun, Begun::Finished(_)), "{begun:?}");

    // What came since waits for an account; it can be erased as well.
    let since = first.erased_at + TimeDelta::milliseconds(1);
    put_one(&store, &comment_at(since, IG, "since")).await;
    let second = begin(&store, IG).await;
    assert!(second.erased_at > first.erased_at && second.finished_at.is_none());
    // An instance that has not heard of it finishes nothing.
    assert!(!store.finish_erasure(&first).await.unwrap());
    store
        .delete_erased_rows(&second, &mut |_, _| {})
        .await
        .unwrap();
    assert_eq!(log(&store).await, []);
}

/// Who stores in `PostgreSQL` has read the tombstones: none is made before they have ended.
#[tokio::test]
async fn a_tombstone_waits_for_those_who_have_not_seen_it() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let db = database.connect().await;
    let storing = sea_orm::TransactionTrait::begin(&db).await.unwrap();
    storing
        .execute_unprepared("SELECT * FROM erased_accounts WHERE ig_account_id = '1' FOR KEY SHARE")
        .await
        .unwrap();
    let begun = tokio::spawn(async move { store.begin_erasure(IG).await });
    eventually_true("it waits", async || {
        count(
            &db,
            "pg_locks WHERE NOT granted AND relation = 'erased_accounts'::regclass \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await
            == 1
    })
    .await;
    assert!(!begun.is_finished());
    storing.commit().await.unwrap();
    let begun = begun.await.unwrap().unwrap();
    assert!(matches!(begun, Begun::Now(_)), "{begun:?}");
}
