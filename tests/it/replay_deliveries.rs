//! What only a replay from the deliveries in the journal can do: bring back what is
//! gone, and check signatures again.

use entity::{comment, webhook_event};
use igstream::journal::{pack, unpack};
use igstream::stream::names::{DELIVERIES, DELIVERIES_SUBJECT, EVENTS, STORED};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    eventually::{eventually, eventually_true},
    http::SECRETS,
    nats::{Found, NatsServer, Streams},
    on_both,
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    replays::{as_json, assert_same, change, lose, replay, replayed, row, snapshot},
    service::said,
    setup::Setup,
};

const OTHER: &str = "17841400000000002";

on_both! {
    a_row_and_its_message_that_are_gone_come_back,
    a_row_that_is_gone_comes_back_while_its_message_is_remembered,
    what_was_erased_is_passed_over,
}

async fn a_row_and_its_message_that_are_gone_come_back(database: TestDatabase) {
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
    let of_receipt = |found: &&Found| found.header("Nats-Msg-Id") == receipt.to_string();
    assert_eq!(events.iter().filter(of_receipt).count(), 1);
    let again = as_json(&service, &["--all", "--from-deliveries"]).await;
    assert_eq!(again["published"], json!({}));
    assert_eq!(streams.count(STORED).await, stored + 1);
}

async fn a_row_that_is_gone_comes_back_while_its_message_is_remembered(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let items = ["kept", "lost"].map(comment_item);
    service.deliver(&changes(ACCOUNT, &items).to_string()).await;
    let streams = service.streams().await;
    streams.drained().await;
    let db = service.database().await;
    let lost = row(&db, "lost").await.unwrap();
    webhook_event::Entity::delete_by_id(lost.id)
        .exec(&db)
        .await
        .unwrap();
    assert_eq!(service.run(&["audit"]).await.status.code(), Some(1));

    let told = as_json(&service, &["--all", "--from-deliveries"]).await;
    assert_eq!(told["published"], json!({"comment": 1}), "{told}");
    eventually_true("its row is there again", async || {
        row(&db, "lost")
            .await
            .is_some_and(|row| row.status == "stored")
    })
    .await;
    let audit = service.run(&["audit", "--deep"]).await;
    assert_eq!(audit.status.code(), Some(0), "{}", said(&audit));
    assert_eq!(streams.count(EVENTS).await, 2, "its message is there once");
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
