//! A delivery that the publisher cannot bear ends dead, whole; no other delivery suffers, were it in the same message of
//! the journal.
#![cfg_attr(not(debug_assertions), allow(dead_code, unused_imports))]

use async_nats::HeaderMap;
use bytes::Bytes;
use chrono::{SubsecRound, Utc};
use entity::{comment, webhook_event};
use igstream::instagram::Delivery;
use igstream::instagram::identity::receipt_id;
use igstream::journal;
use igstream::stream::names::{ATTEMPTS, DEAD_LETTERS, EVENTS, STORED};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    audit::Audit,
    eventually::{eventually, eventually_true},
    nats::{NatsServer, Streams},
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

fn delivery(body: String) -> Delivery {
    Delivery {
        id: Uuid::now_v7(),
        received_at: Utc::now().trunc_subsecs(6),
        signature: "sha256=00".to_owned(),
        secret_id: "test".to_owned(),
        body: Bytes::from(body),
    }
}

/// The poison in the middle of a delivery in the middle of a message, with good items around it.
fn with_poison_in_the_middle() -> (Vec<Delivery>, Delivery) {
    let items = ["before", "poison", "behind"].map(comment_item);
    let poison = delivery(changes(ACCOUNT, &items).to_string());
    let deliveries = vec![
        delivery(one_comment("first")),
        poison.clone(),
        delivery(one_comment("last")),
    ];
    (deliveries, poison)
}

/// As the receiver does with what waits together.
async fn put_in_one_message(streams: &Streams, deliveries: &[Delivery]) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", Uuid::now_v7().to_string());
    let message = journal::pack(deliveries).expect("a message");
    let published = streams
        .js
        .publish_with_headers("instagram.deliveries", headers, message);
    published.await.unwrap().await.unwrap();
}

async fn is_dead_and_nothing_else_is(service: &Service, poison: &Delivery, reason: &str) {
    let streams = service.streams().await;
    let db = service.database().await;
    let row = webhook_event::Entity::find_by_id(receipt_id(poison.id, ""));
    let row = row.one(&db).await.unwrap().expect("a row");
    assert_eq!((row.status.as_str(), row.deaths), ("dead", 1), "{row:?}");
    let error = row.last_processing_error.unwrap();
    assert!(error.contains(reason), "{error}");
    let body: Value = serde_json::from_slice(&poison.body).unwrap();
    assert_eq!(row.payload, Some(body.clone()), "the row has the body");

    let dead = streams.messages(DEAD_LETTERS).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].body["raw"], body, "the dead letter has the body");
    assert_eq!(dead[0].text("receipt_id"), row.id.to_string());
    let raw: &str = std::str::from_utf8(&poison.body).unwrap();
    let told = std::str::from_utf8(&dead[0].payload).unwrap();
    assert!(told.contains(raw), "byte for byte");

    let comments = comment::Entity::find().all(&db).await.unwrap();
    let mut ids: Vec<_> = comments.iter().map(|row| row.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["elsewhere", "first", "last"]);
    assert_eq!(webhook_event::Entity::find().count(&db).await.unwrap(), 4);
    assert_eq!(streams.count(STORED).await, 3);
    let receipts = streams.messages(EVENTS).await;
    let mut receipts: Vec<_> = receipts
        .iter()
        .map(|event| event.text("receipt_id").to_owned())
        .collect();
    receipts.sort_unstable();
    receipts.dedup();
    assert_eq!(receipts.len(), 4, "as many receipts as rows");
    let audit = Audit::balanced(service).await;
    assert_eq!(audit.deep("items"), 4, "what is buried is one item");
}

#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn a_delivery_that_panics_becomes_one_dead_letter() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup =
        Setup::external(&nats, &database).env("IGSTREAM_FAULT", "panic:publisher:on:poison");
    let service = setup.start().await;
    let streams = service.streams().await;
    let (deliveries, poison) = with_poison_in_the_middle();
    put_in_one_message(&streams, &deliveries).await;
    service.deliver(&one_comment("elsewhere")).await;
    streams.drained().await;
    is_dead_and_nothing_else_is(&service, &poison, "the publisher panicked").await;
    let (_, readiness) = service.readiness().await;
    assert_eq!(readiness["actors"]["publisher"]["restarts"], 0);
}

#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn a_delivery_that_does_not_end_becomes_one_dead_letter() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup =
        Setup::external(&nats, &database).env("IGSTREAM_FAULT", "stall:publisher:on:poison");
    let mut service = setup.start().await;
    let streams = service.streams().await;
    let (deliveries, poison) = with_poison_in_the_middle();
    put_in_one_message(&streams, &deliveries).await;
    service.deliver(&one_comment("elsewhere")).await;
    streams.drained().await;
    is_dead_and_nothing_else_is(&service, &poison, "did not get on with it").await;
    assert_eq!(streams.count(ATTEMPTS).await, 0, "nothing is suspected");
    let (code, _) = service.stop().await;
    assert_eq!(code, Some(0), "a thread that hangs holds nothing up");
}

/// Whoever restarts the process, as its orchestrator does.
#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn a_delivery_that_ends_the_process_each_time_becomes_one_dead_letter() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup =
        Setup::external(&nats, &database).env("IGSTREAM_FAULT", "abort:publisher:on:poison");
    let mut service = setup.start().await;
    let streams = service.streams().await;
    let (deliveries, poison) = with_poison_in_the_middle();
    put_in_one_message(&streams, &deliveries).await;
    put_in_one_message(&streams, &[delivery(one_comment("elsewhere"))]).await;

    let mut ends = 0;
    loop {
        // Only the ends that are meant are started again.
        let ended = eventually("the process ends, or is through", async || {
            if service.has_ended() {
                return Ok(true);
            }
            if streams.count(DEAD_LETTERS).await == 1 {
                return Ok(false);
            }
            Err(format!("{ends} ends so far"))
        });
        if !ended.await {
            break;
        }
        ends += 1;
        service.spawn();
    }
    assert_eq!(ends, 6, "three times in company, three times alone");
    service.until_ready().await;
    streams.drained().await;
    is_dead_and_nothing_else_is(&service, &poison, "ended each of the 3 times").await;
    assert_eq!(streams.count(ATTEMPTS).await, 1, "of no other delivery");

    service.deliver(&one_comment("afterwards")).await;
    streams.drained().await;
    let db = service.database().await;
    eventually_true("the journal goes on", async || {
        comment::Entity::find().count(&db).await.unwrap() == 4
    })
    .await;
}
