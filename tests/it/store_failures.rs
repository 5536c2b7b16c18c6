//! Attempts that fail: counted in the row, and told from outages.

use std::time::Duration;

use entity::{conversation, messaging_postback, webhook_event, webhook_subscription};
use igstream::instagram::Event;
use igstream::store::error::Blame;
use igstream::store::{Incoming, Outcome, Store, StoreError};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, TransactionTrait};
use serde_json::json;

use crate::store_identity::row_of;
use crate::support::deliveries::{
    IG, NOON, change, connect, empty_store_on, from_stream, inbound, messaging, once_more, put_one,
    store_on, try_put,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    attempts_are_counted_and_the_last_one_is_the_death,
    a_dead_event_comes_back_when_asked_and_only_then,
    a_retry_of_a_dead_event_can_fail_again,
    an_event_without_an_account_that_failed_waits_for_it,
    a_failed_duplicate_is_a_duplicate,
    a_malformed_event_that_failed_is_dead,
    a_refused_value_is_the_events_fault,
    a_missing_table_is_not,
    an_account_deleted_meanwhile_is_not,
    a_closed_connection_is_not,
    a_failing_batch_leaves_nothing,
);

fn postback() -> Event {
    messaging(inbound(
        NOON,
        &json!({"postback": {"mid": "m_4", "title": "Start", "payload": "GO"}}),
    ))
}

fn refused() -> StoreError {
    StoreError::from(sea_orm::DbErr::Custom("no".to_owned()))
}

async fn fail(store: &Store, incoming: &Incoming) -> Outcome {
    store.record_failure(incoming, &refused(), 3).await.unwrap()
}

async fn counted(store: &Store) -> i64 {
    let subscription = webhook_subscription::Entity::find()
        .one(store.database())
        .await
        .unwrap();
    subscription.map_or(0, |subscription| subscription.events_received_count)
}

async fn attempts_are_counted_and_the_last_one_is_the_death(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = postback();
    let incoming = from_stream(&event, 5);
    for attempts in 1..=2 {
        assert_eq!(fail(&store, &incoming).await, Outcome::Retry { attempts });
        let row = row_of(&store, &event).await;
        assert_eq!(
            (row.status.as_str(), row.processed, row.deaths),
            ("retrying", false, 0)
        );
        assert_eq!(
            (row.processing_attempts, row.stream_sequence),
            (i32::try_from(attempts).unwrap(), Some(5))
        );
    }
    let error = refused().to_string();
    assert_eq!(
        fail(&store, &incoming).await,
        Outcome::Dead {
            error: error.clone(),
            attempts: 3,
            deaths: 1
        }
    );
    let row = row_of(&store, &event).await;
    assert_eq!(
        (
            row.status.as_str(),
            row.processed,
            row.processing_attempts,
            row.deaths
        ),
        ("dead", false, 3, 1)
    );
    assert_eq!(
        (row.last_processing_error, row.payload.is_some()),
        (Some(error), true)
    );
    assert!(row.instagram_account_id.is_some());
    assert_eq!(
        messaging_postback::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        0
    );
    assert_eq!(counted(&store).await, 1);
}

async fn a_dead_event_comes_back_when_asked_and_only_then(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = postback();
    for _ in 0..3 {
        fail(&store, &from_stream(&event, 5)).await;
    }
    let dead = Outcome::Dead {
        error: refused().to_string(),
        attempts: 3,
        deaths: 1,
    };
    assert_eq!(put_one(&store, &event).await, dead);
    assert_eq!(
        messaging_postback::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        0
    );
    let outcomes = store.store(&[once_more(&event)]).await.unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Stored { again: false, .. }),
        "{outcomes:?}"
    );
    let row = row_of(&store, &event).await;
    assert_eq!(
        (
            row.status.as_str(),
            row.processed,
            row.processing_attempts,
            row.deaths
        ),
        ("stored", true, 4, 1)
    );
    assert!(row.processed_at.is_some());
    assert_eq!(
        messaging_postback::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        1
    );
    assert_eq!(counted(&store).await, 1);
}

async fn a_retry_of_a_dead_event_can_fail_again(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = postback();
    for _ in 0..3 {
        fail(&store, &from_stream(&event, 5)).await;
    }
    // It has all its attempts once more.
    for attempts in 1..3 {
        let outcome = fail(&store, &once_more(&event)).await;
        assert_eq!(outcome, Outcome::Retry { attempts });
    }
    let again = Outcome::Dead {
        error: refused().to_string(),
        attempts: 3,
        deaths: 2,
    };
    assert_eq!(fail(&store, &once_more(&event)).await, again);
    // What is stored has no attempts left to fail.
    store.store(&[once_more(&event)]).await.unwrap();
    assert_eq!(row_of(&store, &event).await.status, "stored");
}

async fn an_event_without_an_account_that_failed_waits_for_it(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let event = postback();
    assert_eq!(
        fail(&store, &from_stream(&event, 5)).await,
        Outcome::Retry { attempts: 1 }
    );
    assert_eq!(put_one(&store, &event).await, Outcome::Unassigned);
    store.add_account(IG, None).await.unwrap();
    assert_eq!(store.adoptable(None, 10).await.unwrap().len(), 1);
    assert!(matches!(
        put_one(&store, &event).await,
        Outcome::Stored { again: false, .. }
    ));
    assert_eq!(
        (
            row_of(&store, &event).await.status.as_str(),
            counted(&store).await
        ),
        ("stored", 1)
    );
}

async fn a_failed_duplicate_is_a_duplicate(database: TestDatabase) {
    let store = store_on(&database).await;
    let (first, second) = (postback(), postback());
    put_one(&store, &first).await;
    assert_eq!(
        fail(&store, &from_stream(&second, 2)).await,
        Outcome::Duplicate
    );
    assert_eq!(
        row_of(&store, &second).await.duplicate_of,
        Some(first.receipt_id)
    );
    assert_eq!(put_one(&store, &second).await, Outcome::Duplicate);
    assert_eq!(counted(&store).await, 2);
}

async fn a_malformed_event_that_failed_is_dead(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change("comments", &json!({"text": "no id"}));
    fail(&store, &from_stream(&event, 1)).await;
    let outcome = put_one(&store, &event).await;
    let error = "a comment without value.id or value.comment_id".to_owned();
    assert_eq!(
        outcome,
        Outcome::Dead {
            error,
            attempts: 2,
            deaths: 1
        }
    );
    assert!(!row_of(&store, &event).await.processed);
}

async fn a_refused_value_is_the_events_fault(database: TestDatabase) {
    let store = store_on(&database).await;
    let mut event = messaging(inbound(
        NOON,
        &json!({"reaction": {"mid": "m_1", "action": "react"}}),
    ));
    event.data.insert("action".to_owned(), json!("wave"));
    let error = try_put(&store, &[&event]).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Event, "{error}");
    event.data.remove("message_id");
    assert_eq!(
        try_put(&store, &[&event]).await.unwrap_err().blame(),
        Blame::Event
    );
}

async fn a_missing_table_is_not(database: TestDatabase) {
    let store = store_on(&database).await;
    store
        .database()
        .execute_unprepared("DROP TABLE instagram_messaging_postbacks")
        .await
        .unwrap();
    let error = try_put(&store, &[&postback()]).await.unwrap_err();
    assert_ne!(error.blame(), Blame::Event, "{error}");
}

/// The account goes between the look at it and the writing of its rows.
async fn an_account_deleted_meanwhile_is_not(database: TestDatabase) {
    let store = store_on(&database).await;
    let goes = match store.database().get_database_backend() {
        DbBackend::Sqlite => {
            "CREATE TRIGGER goes BEFORE INSERT ON conversations BEGIN DELETE FROM client_accounts; END"
        }
        _ => {
            "CREATE FUNCTION goes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM client_accounts; RETURN NEW; END $$; \
             CREATE TRIGGER goes BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION goes()"
        }
    };
    store.database().execute_unprepared(goes).await.unwrap();
    let error = try_put(&store, &[&postback()]).await.unwrap_err();
    assert_eq!(error.blame(), Blame::Unclear, "{error}");
    assert!(
        error.to_string().to_lowercase().contains("foreign key"),
        "{error}"
    );
}

async fn a_closed_connection_is_not(database: TestDatabase) {
    let store = store_on(&database).await;
    store.database().clone().close().await.unwrap();
    let error = try_put(&store, &[&postback()]).await.unwrap_err();
    assert_eq!(error.blame(), Blame::World, "{error}");
}

async fn a_failing_batch_leaves_nothing(database: TestDatabase) {
    let store = store_on(&database).await;
    let good = messaging(inbound(
        NOON,
        &json!({"reaction": {"mid": "m_1", "action": "react"}}),
    ));
    let mut bad = messaging(inbound(
        NOON,
        &json!({"reaction": {"mid": "m_2", "action": "react"}}),
    ));
    bad.data.insert("action".to_owned(), json!("wave"));
    try_put(&store, &[&good, &bad]).await.unwrap_err();
    assert_eq!(
        webhook_event::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        conversation::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        0
    );
    assert!(matches!(
        put_one(&store, &good).await,
        Outcome::Stored { again: false, .. }
    ));
    assert_eq!(counted(&store).await, 1);
}

#[tokio::test]
async fn a_read_only_postgres_is_the_worlds_fault() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let read_only = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
    store
        .database()
        .execute_unprepared(read_only)
        .await
        .unwrap();
    let store = connect(&database, |_| {}).await;
    let error = try_put(&store, &[&postback()]).await.unwrap_err();
    assert_eq!(error.blame(), Blame::World, "{error}");
}

#[tokio::test]
async fn a_killed_postgres_connection_is_the_worlds_fault_and_is_made_anew() {
    let database = TestDatabase::postgres().await;
    let admin = store_on(&database).await;
    let store = connect(&database, |options| options.max_connections = 1).await;
    let lock = "BEGIN; LOCK TABLE instagram_webhook_events";
    let locked = admin.database().get_postgres_connection_pool();
    let mut holder = locked.acquire().await.unwrap();
    sea_orm::sqlx::Executor::execute(&mut *holder, lock)
        .await
        .unwrap();
    let event = postback();
    let storing = tokio::spawn({
        let (store, event) = (store.clone(), event.clone());
        async move { try_put(&store, &[&event]).await }
    });
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'igstream' \
                AND datname = current_database() AND wait_event_type = 'Lock'";
    tokio::time::timeout(Duration::from_secs(20), async {
        while admin
            .database()
            .query_all_raw(sea_orm::Statement::from_string(DbBackend::Postgres, kill))
            .await
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the store waits for the lock");
    let error = storing.await.unwrap().unwrap_err();
    assert_ne!(error.blame(), Blame::Event, "{error}");
    sea_orm::sqlx::Executor::execute(&mut *holder, "ROLLBACK")
        .await
        .unwrap();
    assert!(matches!(
        put_one(&store, &event).await,
        Outcome::Stored { again: false, .. }
    ));
}

#[tokio::test]
async fn a_read_only_sqlite_is_the_worlds_fault() {
    let database = TestDatabase::sqlite().await;
    store_on(&database).await;
    let read_only = connect(&database, |options| {
        options.url = options.url.replace("mode=rwc", "mode=ro");
    })
    .await;
    let error = try_put(&read_only, &[&postback()]).await.unwrap_err();
    assert_eq!(error.blame(), Blame::World, "{error}");
}

/// As it does itself when the disk is full.
#[tokio::test]
async fn a_sqlite_that_rolled_back_by_itself_is_not_left_locked() {
    let database = TestDatabase::sqlite().await;
    let store = store_on(&database).await;
    let transaction = store.database().begin().await.unwrap();
    transaction.execute_unprepared("ROLLBACK").await.unwrap();
    drop(transaction);
    let transaction = store.database().begin().await.unwrap();
    let statement = "CREATE TABLE taken_back (id integer)";
    transaction.execute_unprepared(statement).await.unwrap();
    drop(transaction);

    let other = connect(&database, |_| {}).await;
    put_one(&other, &postback()).await;
}
