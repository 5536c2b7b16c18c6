//! What the process takes at most, as `docs/operation.md` says, whatever comes and whoever does not get on.

use std::sync::Arc;

use bytes::Bytes;
use entity::{comment, message};
use igstream::stream::names::{DELIVERIES, EVENTS, STORED};
use reqwest::header::CONTENT_TYPE;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    eventually::eventually_true,
    http::{SECRETS, client, signature},
    nats::NatsServer,
    payloads::{ACCOUNT, changes},
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
    simulator::{Simulator, deliveries},
};

const MIB: u64 = 1024 * 1024;
/// With ordinary deliveries.
const ORDINARY: u64 = 200 * MIB;
/// With the largest.
const LARGE: u64 = 512 * MIB;
/// With an item that no Instagram sends.
const WORST: u64 = 640 * MIB;

/// Room for what nobody takes out of the streams.
const ROOM: u64 = 1024 * MIB;

fn assert_peak(service: &Service, bound: u64) {
    let peak = service.peak_memory();
    eprintln!("the process took {} MiB at most", peak / MIB);
    assert!(peak < bound, "{} MiB, not {}", peak / MIB, bound / MIB);
}

#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn with_every_handler_stalled_and_the_intake_at_full_speed() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database)
        .set("stream.max_bytes", ROOM)
        .env("IGSTREAM_FAULT", "stall:handlers")
        .start()
        .await;
    Simulator::start(&service, 2 * deliveries(), 0)
        .finish()
        .await;
    let streams = service.streams().await;
    eventually_true("all that came is published", async || {
        let journal = streams.consumer(DELIVERIES, "publisher").await.unwrap();
        journal.num_pending == 0 && journal.num_ack_pending == 0
    })
    .await;
    assert!(streams.count(EVENTS).await > deliveries());
    assert_eq!(streams.count(STORED).await, 0, "no handler gets on");
    assert_peak(&service, ORDINARY);
}

/// A hundred items, which fill a body of the largest size.
fn large_body() -> String {
    let text = "All work and no play makes Jack a dull boy. ".repeat(900);
    let item = |number: usize| -> Value {
        json!({ "field": "comments", "value": {
            "id": format!("large-{number}"), "text": text, "from": { "id": "4711", "username": "ann" },
        } })
    };
    let items: Vec<Value> = (0..100).map(item).collect();
    let body = changes(ACCOUNT, &items).to_string();
    assert!(
        (3_900_000..4_194_304).contains(&body.len()),
        "{}",
        body.len()
    );
    body
}

#[tokio::test]
async fn with_256_connections_that_post_the_largest_bodies() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database)
        .set("stream.max_bytes", ROOM)
        .start()
        .await;
    let body = large_body();
    let signature: Arc<str> = signature(SECRETS[0], &body).into();
    let body = Bytes::from(body);
    let mut posts = JoinSet::new();
    for _ in 0..256 {
        let request = client()
            .post(service.webhook())
            .header(CONTENT_TYPE, "application/json")
            .header("X-Hub-Signature-256", &*signature)
            .body(body.clone());
        posts.spawn(async move { request.send().await.map(|answer| answer.status().as_u16()) });
    }
    let (mut accepted, mut refused) = (0, 0);
    while let Some(answer) = posts.join_next().await {
        match answer.unwrap() {
            Ok(200) => accepted += 1,
            // A refused one may be closed before it was sent whole.
            Ok(503) | Err(_) => refused += 1,
            Ok(other) => panic!("answered {other}"),
        }
    }
    eprintln!("{accepted} were accepted, {refused} refused");
    assert!(accepted >= 4 && refused > 0, "{accepted} {refused}");
    service.streams().await.drained().await;
    assert_peak(&service, LARGE);
}

/// A body of exactly the largest size, whose one item is of `unit`, repeated, between `before` and `behind`.
fn of_one_item(before: &str, unit: &str, behind: &str) -> String {
    let room = 4_194_304 - before.len() - behind.len();
    let filling = unit.repeat(room / unit.len());
    let spaces = " ".repeat(room - filling.len());
    format!("{before}{filling}{behind}{spaces}")
}

/// Larger than what journal and handlers are asked for at once, and hundred-fold its size while it is understood: an
/// array of the smallest values.
#[tokio::test]
async fn with_one_item_that_fills_the_largest_body() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database)
        .set("stream.max_bytes", ROOM)
        .start()
        .await;
    let text = of_one_item(
        &format!(
            r#"{{"object":"instagram","entry":[{{"id":"{ACCOUNT}","time":1764000000,"changes":[{{"field":"comments","value":{{"id":"large","text":""#
        ),
        "All work and no play makes Jack a dull boy. ",
        r#""}}]}]}"#,
    );
    let values = of_one_item(
        &format!(
            r#"{{"object":"instagram","entry":[{{"id":"{ACCOUNT}","time":1764000000,"messaging":[{{"sender":{{"id":"1"}},"recipient":{{"id":"{ACCOUNT}"}},"timestamp":1764000000000,"message":{{"mid":"m_large","attachments":[0"#
        ),
        ",1",
        "]}}]}]}",
    );
    for body in [&text, &values] {
        assert_eq!(body.len(), 4_194_304);
        assert_eq!(service.post(body).await.status, 200);
    }
    service.streams().await.drained().await;
    let db = service.database().await;
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 1);
    assert_eq!(message::Entity::find().count(&db).await.unwrap(), 1);
    assert_peak(&service, WORST);
}
