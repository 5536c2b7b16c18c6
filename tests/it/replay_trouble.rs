//! Replays that meet trouble: what is dead, what the database refuses, a server that
//! is away, bad input.

use std::time::Duration;

use entity::comment;
use igstream::instagram::types;
use igstream::replay::{Ask, from_log};
use igstream::store::replayable::Replayable;
use igstream::stream::names::STORED;
use igstream::stream::{Connection, ConnectionOptions};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    deliveries,
    eventually::eventually_true,
    nats::NatsServer,
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    replays::{as_json, change, counters, replay, replayed, row},
    service::said,
    setup::Setup,
};

/// What is dead is tried again, and a malformed item is left alone.
#[tokio::test]
async fn what_is_dead_is_tried_again() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("handlers.max_attempts", 1);
    let service = setup.start().await;
    service.deliver(&one_comment("before")).await;
    service.streams().await.drained().await;
    let db = service.database().await;
    let poison = "CREATE TRIGGER poison BEFORE INSERT ON instagram_comments \
        WHEN NEW.id LIKE 'poison%' BEGIN SELECT RAISE(ABORT, 'no poison here'); END";
    change(&db, poison).await;
    let malformed = json!({ "field": "comments", "value": { "text": "no id" } });
    let items = [comment_item("poison"), malformed];
    service.deliver(&changes(ACCOUNT, &items).to_string()).await;
    service.streams().await.drained().await;
    assert_eq!(row(&db, "poison").await.unwrap().status, "dead");
    change(&db, "DROP TRIGGER poison").await;

    let told = as_json(&service, &["--from", "1h", "--from-deliveries"]).await;
    assert_eq!(told["sent"], json!({"comment": 2}));
    assert_eq!(told["left"], json!({"malformed": 1}));
    assert_eq!(row(&db, "poison").await.unwrap().status, "stored");
    let streams = service.streams().await;
    assert_eq!(streams.count(STORED).await, 2, "this one is told now");
}

/// A server that is away is waited for.
#[tokio::test]
async fn an_outage_of_nats_is_waited_for() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let mut service = Setup::external(&nats, &database).start().await;
    service.deliver(&one_comment("one")).await;
    service.streams().await.drained().await;
    service.stop().await;
    let store = deliveries::connect(&database, |_| {}).await;
    change(
        store.database(),
        "UPDATE instagram_comments SET text = 'false'",
    )
    .await;
    let options = ConnectionOptions {
        urls: vec![nats.url()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.unwrap();
    nats.kill().await;
    eventually_true("the connection is lost", async || {
        !connection.is_connected()
    })
    .await;

    let replaying = tokio::spawn(async move {
        let ask = Ask {
            store: &store,
            connection: &connection,
            which: Replayable::default(),
            dry_run: false,
            rows_stay_days: 0,
        };
        from_log(&ask).await.map(|report| report.sent)
    });
    // Longer than one publish is waited for.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!replaying.is_finished());
    nats.start_again().await;
    let sent = replaying.await.unwrap().unwrap();
    assert_eq!(sent.get("comment"), Some(&1));
    service.start_again().await;
    let db = service.database().await;
    eventually_true("it is right again", async || {
        let row = comment::Entity::find().one(&db).await.unwrap().unwrap();
        row.text.as_deref() == Some("text of one")
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_told_what_is_wrong() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("one")).await;
    service.streams().await.drained().await;
    for (arguments, mend) in [
        (&[] as &[&str], "--all"),
        (&["--dry-run"], "--all"),
        (&["--type", "coment"], "comment"),
        (&["--from", "yesterday"], "2026-11-24T16:00:00Z"),
        (&["--from", "2026-11-24"], "15m"),
        (&["--from", "1h", "--to", "2h"], "later than --to"),
        (&["--account", "not an id"], "17841405822304914"),
        (&["--all", "--from-delivery"], "--from-deliveries"),
    ] {
        let output = service.run(&[&["replay"], arguments].concat()).await;
        let told = said(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains(mend), "{arguments:?}: {told}");
    }
    let nobodys = replayed(&service, &["--account", "1"]).await;
    assert!(nobodys.contains("0 sent"), "{nobodys}");
    let help = service.run(&["replay", "--help"]).await;
    assert!(said(&help).contains("igstream replay --type comment"));
    // What is named in the list has its own line.
    for event_type in types::with_unknown() {
        replayed(&service, &["--type", event_type.name]).await;
    }
    service.stop().await;
}

#[tokio::test]
async fn without_a_server_that_ever_ran_it_says_so() {
    let database = TestDatabase::sqlite().await;
    database.migrated().await.close().await.unwrap();
    let service = Setup::managed(&database).not_started();
    let output = service.run(&["replay", "--all"]).await;
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("igstream serve"), "{told}");
}

/// It is stored, and stays so: what the database refuses of a replay is no failure of
/// the event.
#[tokio::test]
async fn what_the_database_refuses_stays_as_it_was() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let items = ["good", "poison", "fine"].map(comment_item);
    service.deliver(&changes(ACCOUNT, &items).to_string()).await;
    service.streams().await.drained().await;
    let counted = counters(&service).await;
    let db = service.database().await;
    change(&db, "UPDATE instagram_comments SET text = 'false'").await;
    let poison = "CREATE TRIGGER poison BEFORE UPDATE ON instagram_comments \
        WHEN NEW.id = 'poison' BEGIN SELECT RAISE(ABORT, 'no poison here'); END";
    change(&db, poison).await;

    let looked = replay(&service, &["--all", "--dry-run", "--json"]).await;
    assert_eq!(looked.status.code(), Some(1), "{}", said(&looked));
    let changes: Value = serde_json::from_slice(&looked.stdout).unwrap();
    assert_eq!(changes["changes"]["refused"], 1);
    assert_eq!(
        changes["changes"]["by_column"],
        json!({"instagram_comments": {"text": 2}})
    );

    replayed(&service, &["--all"]).await;
    let comments = comment::Entity::find().all(&db).await.unwrap();
    let mut wrong = comments
        .iter()
        .filter(|comment| comment.text.as_deref() == Some("false"));
    assert_eq!(
        wrong.next().map(|comment| comment.id.as_str()),
        Some("poison")
    );
    assert!(wrong.next().is_none());
    assert_eq!(row(&db, "poison").await.unwrap().status, "stored");
    let mut after = counters(&service).await;
    // What the handler met is counted as that, and as nothing else.
    let failures = after.iter().zip(&counted).position(|(a, b)| a != b);
    let failures = failures.expect("a failure is counted");
    after[failures] -= 1;
    assert_eq!(after, counted);
    assert!(service.log().contains("an event could not be replayed"));
}
