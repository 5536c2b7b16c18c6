//! What the databases really say, and whose error it is: the table in `docs/operation.md`, provoked.

use std::time::Duration;

use entity::{comment, webhook_event};
use igstream::instagram::Event;
use igstream::store::error::Blame;
use igstream::store::{Outcome, Store, StoreError};
use igstream::stream::names::DEAD_LETTERS;
use sea_orm::sqlx::{self, Executor as _};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, Statement};
use serde_json::json;

use crate::support::deliveries::{
    IG, NOON, connect, from_stream, inbound, messaging, put_one, store_on, try_put, type_of,
};
use crate::support::eventually::eventually_true;
use crate::support::on_both;
use crate::support::payloads::{ACCOUNT, changes, comment as comment_item, one_comment};
use crate::support::postgres::TestDatabase;
use crate::support::setup::Setup;

on_both!(
    a_probe_says_whether_a_type_can_be_stored,
    a_probe_leaves_nothing,
);

fn message(mid: &str) -> Event {
    messaging(inbound(
        NOON,
        &json!({"message": {"mid": mid, "text": mid}}),
    ))
}

async fn is_well(store: &Store, event: &Event) -> bool {
    let incoming = [from_stream(event, 1)];
    store.probe(type_of(event), &incoming).await.is_ok()
}

async fn run(store: &Store, statement: &str) {
    let done = store.database().execute_unprepared(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// What the database says must hold `said`.
fn assert_blame(error: &StoreError, said: &str, blame: Blame) {
    let text = error.to_string();
    assert!(text.contains(said), "{said} is not in: {text}");
    assert_eq!(error.blame(), blame, "{text}");
}

async fn a_probe_says_whether_a_type_can_be_stored(database: TestDatabase) {
    let store = store_on(&database).await;
    let (stored, postback) = (
        message("m_1"),
        messaging(inbound(
            NOON,
            &json!({"postback": {"mid": "m_4", "title": "Start"}}),
        )),
    );
    assert!(is_well(&store, &stored).await && is_well(&store, &postback).await);
    run(&store, "DROP TABLE instagram_messaging_postbacks").await;
    assert!(is_well(&store, &stored).await);
    assert!(!is_well(&store, &postback).await);
    run(
        &store,
        "ALTER TABLE instagram_webhook_events RENAME TO elsewhere",
    )
    .await;
    assert!(!is_well(&store, &stored).await);
}

async fn a_probe_leaves_nothing(database: TestDatabase) {
    let store = store_on(&database).await;
    assert!(is_well(&store, &message("m_1")).await);
    let rows = webhook_event::Entity::find().count(store.database()).await;
    assert_eq!(rows.unwrap(), 0);
}

#[tokio::test]
async fn a_full_sqlite_is_the_worlds_fault() {
    let database = TestDatabase::sqlite().await;
    store_on(&database).await;
    let store = connect(&database, |options| options.max_connections = 1).await;
    // The limit is the connection's own, and never less than what is there.
    run(&store, "PRAGMA max_page_count = 1").await;
    let mut error = None;
    for number in 0..200 {
        let text = "x".repeat(100_000);
        let item = json!({"message": {"mid": format!("m_{number}"), "text": text}});
        if let Err(full) = try_put(&store, &[&messaging(inbound(NOON, &item))]).await {
            error = Some(full);
            break;
        }
    }
    assert_blame(&error.expect("it is full"), "full", Blame::World);
    run(&store, "PRAGMA max_page_count = 1000000").await;
    let outcome = put_one(&store, &message("m_after")).await;
    assert!(matches!(outcome, Outcome::Stored { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_the_worlds_fault() {
    let database = TestDatabase::postgres().await;
    let admin = store_on(&database).await;
    let limit = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET lock_timeout = 200', current_database()); END $$";
    run(&admin, limit).await;
    let store = connect(&database, |_| {}).await;
    let pool = admin.database().get_postgres_connection_pool();
    let mut holder = pool.acquire().await.unwrap();
    let lock = "BEGIN; LOCK TABLE conversations";
    holder.execute(lock).await.unwrap();
    let error = try_put(&store, &[&message("m_1")]).await.unwrap_err();
    assert_blame(&error, "lock timeout", Blame::World);
    assert!(
        !is_well(&store, &message("m_1")).await,
        "the probe waits for it, too"
    );
    holder.execute("ROLLBACK").await.unwrap();
    put_one(&store, &message("m_1")).await;
}

#[tokio::test]
async fn a_busy_sqlite_is_the_worlds_fault() {
    let database = TestDatabase::sqlite().await;
    let store = store_on(&database).await;
    let one = connect(&database, |options| options.max_connections = 1).await;
    // As patient as a test is.
    run(&one, "PRAGMA busy_timeout = 100").await;
    let pool = store.database().get_sqlite_connection_pool();
    let mut holder = pool.acquire().await.unwrap();
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    let error = try_put(&one, &[&message("m_1")]).await.unwrap_err();
    assert_blame(&error, "locked", Blame::World);
    holder.execute("ROLLBACK").await.unwrap();
    put_one(&one, &message("m_1")).await;
}

/// Somebody takes what the store has, and has what the store takes: a lock in a trigger stands between the two.
#[tokio::test]
async fn a_deadlock_is_the_worlds_fault() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let wait = "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NEW; END $$; \
                CREATE TRIGGER waits BEFORE INSERT ON conversations FOR EACH ROW EXECUTE FUNCTION waits()";
    run(&store, wait).await;
    let event = message("m_1");
    let pool = store.database().get_postgres_connection_pool();
    let mut holder = pool.acquire().await.unwrap();
    // The one whose patience ends first is the one that is refused.
    let patient = "SET deadlock_timeout = '1h'; BEGIN; SELECT pg_advisory_xact_lock(7)";
    holder.execute(patient).await.unwrap();
    let storing = tokio::spawn({
        let (store, event) = (store.clone(), event.clone());
        async move { try_put(&store, &[&event]).await }
    });
    let waiting = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waiting = Statement::from_string(DbBackend::Postgres, waiting);
    while store
        .database()
        .query_all_raw(waiting.clone())
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
    let taken = sqlx::query(
        "UPDATE client_accounts SET username = username WHERE instagram_business_account_id = $1",
    );
    let locked = "LOCK TABLE instagram_webhook_events";
    let holding = async {
        holder.execute(locked).await.unwrap();
        taken.bind(IG).execute(&mut *holder).await.unwrap();
        holder.execute("ROLLBACK").await.unwrap();
    };
    let (stored, ()) = tokio::join!(storing, holding);
    assert_blame(&stored.unwrap().unwrap_err(), "deadlock", Blame::World);
    put_one(&store, &event).await;
}

#[tokio::test]
async fn a_value_that_postgres_does_not_take_is_the_events_fault() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let mut wrong = messaging(inbound(
        NOON,
        &json!({"reaction": {"mid": "m_1", "action": "react"}}),
    ));
    wrong.data.insert("action".to_owned(), json!("wave"));
    let error = try_put(&store, &[&wrong]).await.unwrap_err();
    assert_blame(&error, "check constraint", Blame::Event);

    let mut long = message("m_2");
    long.event_id = "x".repeat(600);
    let outcome = put_one(&store, &long).await;
    assert!(matches!(outcome, Outcome::Stored { .. }), "it is cut");
}

#[tokio::test]
async fn what_a_trigger_raises_is_unclear() {
    let database = TestDatabase::postgres().await;
    let store = store_on(&database).await;
    let raise = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not on Tuesdays'; END $$; \
                 CREATE TRIGGER no BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION no()";
    run(&store, raise).await;
    let error = try_put(&store, &[&message("m_1")]).await.unwrap_err();
    assert_blame(&error, "not on Tuesdays", Blame::Unclear);
    assert!(is_well(&store, &message("m_1")).await, "no row, no trigger");
}

#[tokio::test]
async fn no_answer_within_the_patience_for_a_connection_is_the_worlds_fault() {
    let database = TestDatabase::sqlite().await;
    store_on(&database).await;
    let store = connect(&database, |options| {
        options.max_connections = 1;
        options.acquire_timeout = Duration::from_millis(100);
    })
    .await;
    let pool = store.database().get_sqlite_connection_pool();
    let held = pool.acquire().await.unwrap();
    let error = try_put(&store, &[&message("m_1")]).await.unwrap_err();
    assert_blame(&error, "timed out", Blame::World);
    drop(held);
    put_one(&store, &message("m_1")).await;
}

/// An error that says nothing of whose it is stays: the batch is halved, the others are stored.
#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn an_event_with_an_unclear_error_does_not_stop_its_type() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database)
        .set("handlers.max_attempts", 1)
        .env("IGSTREAM_FAULT", "odd:comment:on:poison");
    let service = setup.start().await;
    let comments = ["first", "poison", "third"].map(comment_item);
    service
        .deliver(&changes(ACCOUNT, &comments).to_string())
        .await;
    service.deliver(&one_comment("behind")).await;
    let db = service.database().await;
    eventually_true("the others are stored", async || {
        // There is no table before the first start has made it.
        let count = comment::Entity::find().count(&db).await;
        count.is_ok_and(|count| count == 3)
    })
    .await;
    let streams = service.streams().await;
    streams.drained().await;
    let dead = streams.messages(DEAD_LETTERS).await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].text("event_id").contains("poison"));
}

/// And one of the world's that stays costs nobody an attempt.
#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn an_unclear_error_while_the_database_is_not_well_counts_no_attempt() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("before")).await;
    service.streams().await.drained().await;
    let db = service.database().await;
    let away = "ALTER TABLE instagram_comments RENAME TO elsewhere";
    db.execute_unprepared(away).await.unwrap();
    service.deliver(&one_comment("waits")).await;
    // Longer than it takes to lose patience.
    let paused = "a handler waits";
    eventually_true("the handler has tried often", async || {
        let log = service.log();
        log.lines()
            .filter(|line| line.contains(paused) && line.contains("comment"))
            .count()
            >= 10
    })
    .await;
    assert_eq!(webhook_event::Entity::find().count(&db).await.unwrap(), 1);
    let back = "ALTER TABLE elsewhere RENAME TO instagram_comments";
    db.execute_unprepared(back).await.unwrap();
    service.streams().await.drained().await;
    let row = webhook_event::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (row.status.as_str(), row.processing_attempts),
        ("stored", 1)
    );
}
