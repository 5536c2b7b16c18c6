//! `igstream replay`: stored events are processed again, by the running service.

use std::process::Output;
use std::time::Duration;

use entity::{comment, webhook_event};
use igstream::instagram::types;
use igstream::journal::{pack, unpack};
use igstream::replay::{Ask, from_log};
use igstream::store::replayable::Replayable;
use igstream::stream::names::{DELIVERIES, DELIVERIES_SUBJECT, EVENTS, REPROCESS, STORED};
use igstream::stream::{Connection, ConnectionOptions};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait,
    FromQueryResult, JsonValue, PaginatorTrait, QueryFilter, Statement,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    deliveries,
    eventually::{eventually, eventually_true},
    fixtures::fixtures,
    http::SECRETS,
    nats::{NatsServer, Streams},
    on_both,
    payloads::{ACCOUNT, changes, comment as comment_item, mention, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
    simulator::Simulator,
};

const OTHER: &str = "17841400000000002";

on_both! {
    what_was_falsified_is_right_again_from_the_log_and_from_deliveries,
    a_row_and_its_message_that_are_gone_come_back_from_deliveries,
    only_what_is_named_is_replayed,
    what_was_unsent_stays_blanked,
    what_was_erased_is_passed_over,
    every_fixture_is_the_same_again,
    interrupted_and_repeated,
}

/// Every row but when it was changed, by table.
async fn snapshot(database: &DatabaseConnection) -> Vec<String> {
    let mut all = Vec::new();
    for table in [
        "client_accounts",
        "instagram_webhook_events",
        "instagram_webhook_subscriptions",
        "conversations",
        "messages",
        "instagram_comments",
        "instagram_mentions",
        "instagram_message_reactions",
        "instagram_messaging_postbacks",
        "instagram_messaging_seen",
        "instagram_story_insights_aggregated",
    ] {
        let query = format!("SELECT * FROM {table}");
        let statement = Statement::from_string(database.get_database_backend(), query);
        let rows = JsonValue::find_by_statement(statement).all(database).await;
        let mut rows: Vec<String> = rows
            .unwrap()
            .into_iter()
            .map(|mut row| {
                row.as_object_mut().unwrap().remove("updated_at");
                format!("{table} {row}")
            })
            .collect();
        rows.sort();
        all.extend(rows);
    }
    all
}

fn assert_same(found: &[String], expected: &[String]) {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let more: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    let some = |rows: &[&String]| format!("{} such as {:#?}", rows.len(), rows.first());
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing: {}\nmore: {}",
        some(&missing),
        some(&more)
    );
}

/// What is counted of events and of what is told of them.
async fn counters(service: &Service) -> Vec<u64> {
    let metrics = service.metrics().await;
    let streams = service.streams().await;
    let mut all: Vec<u64> = ["received", "processed"]
        .iter()
        .map(|what| metrics.count(&format!("instagram_webhook_events_{what}_total"), &[]))
        .collect();
    for name in [
        "duplicates",
        "dead_letters",
        "retries",
        "processing_failures",
    ] {
        all.push(metrics.count(&format!("instagram_webhook_{name}_total"), &[]));
    }
    all.push(streams.count(STORED).await);
    all.push(streams.count(EVENTS).await);
    all
}

/// Runs it, and waits until the handlers have had what it sent.
async fn replay(service: &Service, arguments: &[&str]) -> Output {
    let output = service.run(&[&["replay"], arguments].concat()).await;
    let streams = service.streams().await;
    eventually_true("what was sent is processed", async || {
        streams.count(REPROCESS).await == 0
    })
    .await;
    streams.drained().await;
    output
}

async fn replayed(service: &Service, arguments: &[&str]) -> String {
    let output = replay(service, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

async fn as_json(service: &Service, arguments: &[&str]) -> Value {
    let told = replayed(service, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&told).unwrap()
}

async fn change(database: &DatabaseConnection, statement: &str) -> u64 {
    let changed = database.execute_unprepared(statement).await;
    changed.unwrap().rows_affected()
}

/// What a fault of the parser may have left, and how many rows it is each.
async fn falsify(database: &DatabaseConnection) -> Vec<(&'static str, &'static str, u64)> {
    let mut false_columns = Vec::new();
    for (table, column, value) in [
        ("messages", "text", "'false'"),
        ("messages", "raw_data", "NULL"),
        ("instagram_comments", "text", "NULL"),
        ("instagram_comments", "from_id", "'false'"),
        ("instagram_mentions", "media_id", "'false'"),
        ("instagram_message_reactions", "emoji", "'false'"),
        ("instagram_messaging_postbacks", "postback_payload", "NULL"),
        ("instagram_messaging_seen", "recipient_ig_id", "'false'"),
        ("instagram_story_insights_aggregated", "impressions", "-7"),
    ] {
        let of = if table == "messages" {
            " WHERE NOT is_deleted AND raw_data IS NOT NULL"
        } else if value == "NULL" {
            &format!(" WHERE {column} IS NOT NULL")
        } else {
            ""
        };
        let rows = change(
            database,
            &format!("UPDATE {table} SET {column} = {value}{of}"),
        )
        .await;
        assert!(rows > 0, "{table}.{column}: the traffic has none");
        false_columns.push((table, column, rows));
    }
    false_columns
}

async fn with_traffic(database: &TestDatabase, count: u64) -> Service {
    let service = Setup::managed(database).start().await;
    Simulator::start(&service, count, 0).finish().await;
    service.streams().await.drained().await;
    service
}

async fn what_was_falsified_is_right_again_from_the_log_and_from_deliveries(
    database: TestDatabase,
) {
    let service = with_traffic(&database, 250).await;
    let db = service.database().await;
    let right = snapshot(&db).await;
    let counted = counters(&service).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let false_columns = falsify(&db).await;
        let wrong = snapshot(&db).await;
        let looked = as_json(&service, &[source, &["--dry-run"]].concat()).await;
        assert_same(&snapshot(&db).await, &wrong);
        let by_column = &looked["changes"]["by_column"];
        for (table, column, rows) in &false_columns {
            assert_eq!(
                by_column[table][column],
                json!(rows),
                "{table}.{column}: {looked:#}"
            );
        }
        let named: u64 = by_column.as_object().unwrap().values().map(columns).sum();
        assert_eq!(named, false_columns.len() as u64, "no other: {by_column:#}");

        // The second time there is nothing to mend, and it does no harm.
        for _ in 0..2 {
            let told = replayed(&service, source).await;
            assert!(told.contains("sent to their handlers once more"), "{told}");
            assert_same(&snapshot(&db).await, &right);
        }
        assert_eq!(counters(&service).await, counted, "a replay is no event");
        let nothing = replayed(&service, &[source, &["--dry-run"]].concat()).await;
        assert!(nothing.contains("Nothing would change"), "{nothing}");
    }
}

fn columns(of_table: &Value) -> u64 {
    of_table.as_object().unwrap().len() as u64
}

async fn row(db: &DatabaseConnection, comment_id: &str) -> Option<webhook_event::Model> {
    webhook_event::Entity::find()
        .filter(webhook_event::Column::ObjectId.eq(comment_id))
        .one(db)
        .await
        .unwrap()
}

/// As when rows and messages were lost, or an older parser did not see the item.
async fn lose(service: &Service, comment_id: &str) -> Uuid {
    let db = service.database().await;
    let lost = row(&db, comment_id).await.unwrap();
    let sequence = lost.stream_sequence.unwrap().unsigned_abs();
    let streams = service.streams().await;
    let events = streams.js.get_stream(EVENTS).await.unwrap();
    assert!(events.delete_message(sequence).await.unwrap());
    webhook_event::Entity::delete_by_id(lost.id)
        .exec(&db)
        .await
        .unwrap();
    comment::Entity::delete_many()
        .filter(comment::Column::Id.eq(comment_id))
        .exec(&db)
        .await
        .unwrap();
    lost.id
}

async fn a_row_and_its_message_that_are_gone_come_back_from_deliveries(database: TestDatabase) {
    // What is sent again is no repetition then.
    let setup = Setup::managed(&database).set("stream.duplicate_window_seconds", 1);
    let service = setup.start().await;
    let items = ["kept", "lost"].map(comment_item);
    service.deliver(&changes(ACCOUNT, &items).to_string()).await;
    let streams = service.streams().await;
    streams.drained().await;
    let receipt = lose(&service, "lost").await;
    let db = service.database().await;
    let without = snapshot(&db).await;

    let log = as_json(&service, &["--all"]).await;
    assert_eq!(log["sent"], json!({"comment": 1}), "the log has it not");
    let looked = as_json(&service, &["--all", "--from-deliveries", "--dry-run"]).await;
    assert_eq!(looked["published"], json!({"comment": 1}));
    assert_same(&snapshot(&db).await, &without);

    let stored = streams.count(STORED).await;
    eventually("the event is there again", async || {
        let told = replayed(&service, &["--type", "comment", "--from-deliveries"]).await;
        match row(&db, "lost").await {
            Some(row) if row.id == receipt && row.status == "stored" => Ok(()),
            other => Err(format!("{other:?} {told}")),
        }
    })
    .await;
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 2);
    eventually_true("subscribers are told", async || {
        streams.count(STORED).await == stored + 1
    })
    .await;
    let events = streams.messages(EVENTS).await;
    let of_receipt =
        |found: &&crate::support::nats::Found| found.header("Nats-Msg-Id") == receipt.to_string();
    assert_eq!(events.iter().filter(of_receipt).count(), 1);
    let again = as_json(&service, &["--all", "--from-deliveries"]).await;
    assert_eq!(again["published"], json!({}));
    assert_eq!(streams.count(STORED).await, stored + 1);
}

async fn only_what_is_named_is_replayed(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    for (account, id) in [(ACCOUNT, "first"), (OTHER, "second"), (ACCOUNT, "third")] {
        let items = [comment_item(id), mention(&format!("media-{id}"))];
        service.deliver(&changes(account, &items).to_string()).await;
    }
    streams.drained().await;
    let db = service.database().await;
    let at = |id: &'static str| {
        let db = db.clone();
        async move { row(&db, id).await.unwrap().received_at }
    };
    let (first, third) = (at("first").await, at("third").await);
    let (to, from) = (first.to_rfc3339(), third.to_rfc3339());
    for source in [&[] as &[&str], &["--from-deliveries"]] {
        for (which, right) in [
            (
                &["--type", "comment"] as &[&str],
                ["first", "second", "third"].as_slice(),
            ),
            (&["--type", "mention"], &[]),
            (&["--account", OTHER], &["second"]),
            (&["--to", &to], &["first"]),
            (&["--from", &from, "--to", "0s"], &["third"]),
            (
                &["--from", "1h", "--to", &from],
                &["first", "second", "third"],
            ),
            (&["--to", "1h"], &[]),
            (
                &["--account", ACCOUNT, "--type", "comment", "--from", &from],
                &["third"],
            ),
        ] {
            change(&db, "UPDATE instagram_comments SET text = 'false'").await;
            replayed(&service, &[which, source].concat()).await;
            let mut mended: Vec<String> = comment::Entity::find()
                .filter(comment::Column::Text.ne("false"))
                .all(&db)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.id)
                .collect();
            mended.sort();
            assert_eq!(mended, right, "{which:?} {source:?}");
        }
    }
}

async fn what_was_unsent_stays_blanked(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let said = json!({"message": {"mid": "m_1", "text": "secret"}});
    let unsaid = json!({"message": {"mid": "m_1", "is_deleted": true}});
    for item in [
        deliveries::inbound(deliveries::NOON, &said),
        deliveries::inbound(deliveries::NOON + 1000, &unsaid),
    ] {
        let body = deliveries::delivery("messaging", &[item]);
        service.deliver(&body).await;
    }
    service.streams().await.drained().await;
    let db = service.database().await;
    let blank = snapshot(&db).await;
    assert!(!blank.concat().contains("secret"));
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let told = as_json(&service, source).await;
        assert_eq!(
            (&told["sent"], &told["left"]),
            (&json!({"message": 1}), &json!({"blanked": 1})),
            "the unsend itself is replayed"
        );
        assert_same(&snapshot(&db).await, &blank);
    }
}

async fn what_was_erased_is_passed_over(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    for (account, id) in [
        (ACCOUNT, "kept"),
        (OTHER, "erased"),
        (OTHER, "erased and gone"),
    ] {
        let items = [comment_item(id)];
        service.deliver(&changes(account, &items).to_string()).await;
    }
    service.streams().await.drained().await;
    lose(&service, "erased and gone").await;
    let db = service.database().await;
    entity::erased_account::Entity::insert(entity::erased_account::ActiveModel {
        ig_account_id: Set(OTHER.to_owned()),
        erased_at: Set(chrono::Utc::now()),
        finished_at: Set(None),
        confirmation_code: Set(None),
    })
    .exec_without_returning(&db)
    .await
    .unwrap();
    let before = snapshot(&db).await;
    for (source, left) in [
        (&["--all"] as &[&str], 1),
        (&["--all", "--from-deliveries"], 2),
    ] {
        let told = as_json(&service, source).await;
        assert_eq!(
            (&told["sent"], &told["published"], &told["left"]),
            (&json!({"comment": 1}), &json!({}), &json!({"erased": left}))
        );
        assert_same(&snapshot(&db).await, &before);
    }
}

/// Each shape that Instagram sends, and many that it does not, several of one comment
/// or message.
async fn every_fixture_is_the_same_again(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    for (_, _, fixture) in fixtures() {
        service.deliver(fixture.body()).await;
    }
    service.streams().await.drained().await;
    let db = service.database().await;
    let before = snapshot(&db).await;
    let counted = counters(&service).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let looked = replayed(&service, &[source, &["--dry-run"]].concat()).await;
        assert!(looked.contains("Nothing would change"), "{looked}");
        replayed(&service, source).await;
        assert_same(&snapshot(&db).await, &before);
    }
    assert_eq!(counters(&service).await, counted);
}

/// What no handler has had yet is none's loss.
#[tokio::test]
async fn what_is_under_way_is_left_to_its_handler() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let mut first = Setup::external(&nats, &database).start().await;
    first.deliver(&one_comment("stored")).await;
    first.streams().await.drained().await;
    first.stop().await;
    let taking = Setup::external(&nats, &database).roles("receiver,publisher");
    let service = taking.start().await;
    service.deliver(&one_comment("under way")).await;
    let streams = service.streams().await;
    eventually_true("it is published", async || streams.count(EVENTS).await == 2).await;
    let output = service
        .run(&["replay", "--all", "--from-deliveries", "--json"])
        .await;
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&told["sent"], &told["published"], &told["left"]),
        (&json!({"comment": 1}), &json!({}), &json!({"in_flight": 1})),
        "{}",
        said(&output)
    );
    assert_eq!(streams.count(EVENTS).await, 2);
}

async fn interrupted_and_repeated(database: TestDatabase) {
    let mut service = with_traffic(&database, 300).await;
    let db = service.database().await;
    let right = snapshot(&db).await;
    falsify(&db).await;
    let stored = service.streams().await.count(STORED).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let mut interrupted = service
            .command(&[&["replay"], source].concat())
            .spawn()
            .expect("igstream runs");
        let streams = service.streams().await;
        eventually_true("some are under way, or it is over", async || {
            streams.count(REPROCESS).await > 0 || interrupted.try_wait().unwrap().is_some()
        })
        .await;
        let _ = interrupted.kill().await;
        service.kill().await;
        service.start_again().await;
    }
    replayed(&service, &["--all"]).await;
    assert_same(&snapshot(&db).await, &right);
    assert_eq!(service.streams().await.count(STORED).await, stored);
}

/// A delivery of the journal, as somebody may have put it there.
async fn forge(streams: &Streams, body: &str) -> Uuid {
    let journal = streams.messages(DELIVERIES).await;
    let mut delivery = unpack(&journal[0].payload).unwrap().remove(0);
    delivery.id = Uuid::now_v7();
    delivery.body = body.to_owned().into();
    let message = pack([&delivery]).unwrap();
    let sent = streams.js.publish(DELIVERIES_SUBJECT, message).await;
    sent.unwrap().await.unwrap();
    delivery.id
}

#[tokio::test]
async fn a_delivery_whose_signature_does_not_hold_is_refused_and_named() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("true")).await;
    let streams = service.streams().await;
    streams.drained().await;
    let forged = forge(&streams, &one_comment("forged")).await;
    streams.drained().await;
    let db = service.database().await;
    change(&db, "UPDATE instagram_comments SET text = 'false'").await;

    let output = replay(&service, &["--all", "--from-deliveries"]).await;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("1 refused"), "{told}");
    assert!(told.contains(&forged.to_string()), "{told}");
    let text = async |id: &str| {
        let found = comment::Entity::find().filter(comment::Column::Id.eq(id));
        found.one(&db).await.unwrap().unwrap().text
    };
    assert_eq!(text("true").await.as_deref(), Some("text of true"));
    assert_eq!(text("forged").await.as_deref(), Some("false"));

    // Without the secret nothing can be said of it.
    let unchecked = service
        .command(&["replay", "--all", "--from-deliveries"])
        .env("IGSTREAM__INSTAGRAM__APP_SECRETS", SECRETS[1])
        .output()
        .await
        .unwrap();
    let told = said(&unchecked);
    assert_eq!(unchecked.status.code(), Some(0), "{told}");
    assert!(told.contains("2 taken unchecked"), "{told}");
}

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
