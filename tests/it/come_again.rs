//! What cannot be made durable is answered 503, and Instagram delivers it again: past the load limit, while NATS is
//! away, with a full journal.

use std::time::{Duration, Instant};

use entity::{comment, webhook_event};
use igstream::stream::names::{DELIVERIES, EVENTS};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::support::{
    eventually::{eventually, eventually_true},
    http::{self, Answer, RawRequest, SECRETS, client, signature},
    nats::{NatsServer, Streams},
    payloads::{ACCOUNT, changes, one_comment},
    postgres::TestDatabase,
    setup::Setup,
};

#[tokio::test]
async fn past_the_load_limit_deliveries_are_told_to_come_again() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("server.max_waiting_deliveries", 2);
    let service = setup.start().await;

    let mut open = Vec::new();
    for number in 0..2 {
        let body = one_comment(&format!("held-{number}"));
        let head = format!(
            "POST /api/instagram/webhooks HTTP/1.1\r\nX-Hub-Signature-256: {}\r\nContent-Length: {}",
            signature(SECRETS[0], &body),
            body.len()
        );
        let mut request = RawRequest::start(service.address(), &head).await;
        request.write(&body[..20]).await;
        open.push((request, body));
    }
    let overloaded = eventually("the limit is reached", async || {
        // Without a signature: it takes no place that it does not give back.
        let answer = http::send(client().post(service.webhook())).await;
        match answer.expect("an answer") {
            answer if answer.status == 503 => Ok(answer),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
    assert_retry_after(&overloaded);
    let late = service.post(&one_comment("late")).await;
    assert_eq!(late.status, 503);
    assert_eq!(service.metrics().await.deliveries("overloaded"), 2);

    for (mut request, body) in open {
        request.write(&body[20..]).await;
        let (status, answer) = request.answer().await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(service.post(&one_comment("late")).await.status, 200);
    service.streams().await.drained().await;
    let database = service.database().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 3);
}

fn assert_retry_after(answer: &Answer) {
    let seconds = answer
        .header("retry-after")
        .and_then(|value| value.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds > 0), "{answer:?}");
}

#[tokio::test]
async fn while_nats_is_away_deliveries_are_told_to_come_again() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let setup = Setup::external(&nats, &database).set("server.accept_timeout", "1s");
    let service = setup.start().await;
    assert_eq!(service.post(&one_comment("before")).await.status, 200);

    nats.kill().await;
    let body = one_comment("meanwhile");
    let asked = Instant::now();
    let answer = service.post(&body).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert_retry_after(&answer);
    assert_eq!(service.metrics().await.deliveries("unavailable"), 1);
    let (status, readiness) = service.readiness().await;
    assert_eq!(
        (status, &readiness["nats"]),
        (503, &json!("disconnected")),
        "{readiness}"
    );

    nats.start_again().await;
    service.deliver(&body).await;
    eventually_true("it is ready again", async || {
        service.readiness().await.0 == 200
    })
    .await;
    let streams = Streams::connect(&nats.url()).await;
    streams.drained().await;
    let database = service.database().await;
    let firsts = webhook_event::Entity::find()
        .count(&database)
        .await
        .unwrap();
    assert!(firsts >= 2, "{firsts}");
    let comments = comment::Entity::find().count(&database).await;
    assert_eq!(comments.unwrap(), 2, "each is stored once");
}

#[tokio::test]
async fn a_full_journal_takes_nothing_and_loses_nothing() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("stream.max_bytes", 1024 * 1024);
    let service = setup.start().await;
    let long = "x".repeat(100_000);
    let mut accepted = 0;
    let refused = loop {
        let body = changes(
            ACCOUNT,
            &[json!({ "field": format!("news_{accepted}"), "value": { "text": long } })],
        );
        match service.post(&body.to_string()).await {
            answer if answer.status == 200 => accepted += 1,
            answer => break answer,
        }
        assert!(accepted < 20, "a stream of 1 MiB holds it all");
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_retry_after(&refused);
    assert_eq!(service.metrics().await.deliveries("unavailable"), 1);
    eventually("/readyz says that the journal is full", async || {
        let (status, readiness) = service.readiness().await;
        if status == 503 && readiness["reasons"].to_string().contains("full") {
            Ok(())
        } else {
            Err(readiness.to_string())
        }
    })
    .await;
    let streams = service.streams().await;
    assert_eq!(streams.count(DELIVERIES).await, accepted);
    // The events' stream is as small: what does not fit there waits in the journal.
    let events = streams.count(EVENTS).await;
    assert!(events <= accepted, "{events} of {accepted}");
}
