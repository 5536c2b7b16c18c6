//! A database that is away keeps nobody from delivering, and costs no event an attempt.

use entity::webhook_event::{self, status};
use igstream::stream::names::{DEAD_LETTERS, DELIVERIES};
use sea_orm::EntityTrait;
use serde_json::Value;

use crate::support::{
    eventually::eventually,
    payloads::{one_comment, one_mention},
    postgres::TestDatabase,
    proxy::Proxy,
    service::{STOPS_WITHIN, Service},
    setup::Setup,
};

#[tokio::test]
async fn from_the_start() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(&database).await;
    let setup = Setup::managed(&database).set("database.url", proxy.url());
    let service = setup.start().await;

    deliver(&service, "early").await;
    let degraded = until_degraded(&service, &["database"]).await;
    let said = &degraded["database"];
    assert!(
        said["since"].is_string() && said["error"].is_string(),
        "{said}"
    );
    let journal = service.streams().await.count(DELIVERIES).await;
    until_waiting(&service, &[("journal", journal), ("comment", 0)]).await;

    proxy.open();
    all_is_stored_at_the_first_attempt(&service, &database, &["early"]).await;
}

#[tokio::test]
async fn in_the_middle() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(&database).await;
    proxy.open();
    let setup = Setup::managed(&database)
        .set("database.url", proxy.url())
        .set("database.acquire_timeout", "1s");
    let service = setup.start().await;
    deliver(&service, "before").await;
    all_is_stored_at_the_first_attempt(&service, &database, &["before"]).await;

    proxy.cut();
    deliver(&service, "meanwhile").await;
    until_degraded(&service, &["database", "comment", "mention"]).await;
    let each = u64::try_from(EACH).unwrap();
    until_waiting(
        &service,
        &[("comment", each), ("mention", each), ("message", 0)],
    )
    .await;
    let (status, readiness) = service.readiness().await;
    assert_eq!(
        status, 200,
        "deliveries are taken all the same: {readiness}"
    );

    proxy.open();
    all_is_stored_at_the_first_attempt(&service, &database, &["before", "meanwhile"]).await;
    eventually("nothing is degraded any more", async || {
        let (_, readiness) = service.readiness().await;
        match readiness["degraded"].as_object() {
            Some(degraded) if degraded.is_empty() => Ok(()),
            degraded => Err(format!("{degraded:?}")),
        }
    })
    .await;
    let failures = "instagram_webhook_processing_failures_total";
    assert_eq!(service.metrics().await.count(failures, &[]), 0);
}

#[tokio::test]
async fn while_it_stops() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(&database).await;
    proxy.open();
    let setup = Setup::managed(&database)
        .set("database.url", proxy.url())
        .set("database.acquire_timeout", "1s");
    let mut service = setup.start().await;
    deliver(&service, "before").await;
    all_is_stored_at_the_first_attempt(&service, &database, &["before"]).await;

    proxy.cut();
    deliver(&service, "meanwhile").await;
    until_degraded(&service, &["comment", "mention"]).await;
    let (code, took) = service.stop().await;
    assert_eq!(code, Some(0), "{}", service.log());
    assert!(took < STOPS_WITHIN, "{took:?}");

    proxy.open();
    service.start_again().await;
    all_is_stored_at_the_first_attempt(&service, &database, &["before", "meanwhile"]).await;
}

const EACH: usize = 10;
const DEPTH: &str = "instagram_webhook_queue_depth";

/// Waits until the metric says how much waits for each of these handlers.
async fn until_waiting(service: &Service, wanted: &[(&str, u64)]) {
    eventually("the queues are as deep as they are", async || {
        let metrics = service.metrics().await;
        for (event_type, wanted) in wanted {
            let depth = metrics.count(DEPTH, &[("event_type", event_type)]);
            if depth != *wanted {
                return Err(format!("{depth} {event_type} events wait, not {wanted}"));
            }
        }
        Ok(())
    })
    .await;
}

async fn deliver(service: &Service, when: &str) {
    for number in 0..EACH {
        let id = format!("{when}-{number}");
        for body in [one_comment(&id), one_mention(&id)] {
            let answer = service.post(&body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

/// Waits until `/readyz` names all of these, and returns what is degraded.
async fn until_degraded(service: &Service, names: &[&str]) -> Value {
    eventually("what is degraded is named", async || {
        let (status, readiness) = service.readiness().await;
        assert_eq!(status, 200, "{readiness}");
        let degraded = &readiness["degraded"];
        if names.iter().all(|name| degraded[name].is_object()) {
            Ok(degraded.clone())
        } else {
            Err(readiness.to_string())
        }
    })
    .await
}

async fn all_is_stored_at_the_first_attempt(
    service: &Service,
    database: &TestDatabase,
    delivered: &[&str],
) {
    let streams = service.streams().await;
    // Before the streams' consumers are made nothing is there to be drained.
    let direct = database.connect().await;
    let wanted = delivered.len() * 2 * EACH;
    let rows = eventually("all is stored", async || {
        let rows = webhook_event::Entity::find().all(&direct).await;
        match rows.map_err(|error| error.to_string())? {
            rows if rows.len() == wanted => Ok(rows),
            rows => Err(format!("{} of {wanted} rows", rows.len())),
        }
    })
    .await;
    for row in rows {
        assert_eq!(row.status, status::STORED, "{row:?}");
        assert_eq!(
            row.processing_attempts, 1,
            "an outage is no attempt: {row:?}"
        );
        assert_eq!(row.last_processing_error, None, "{row:?}");
    }
    streams.drained().await;
    assert_eq!(streams.count(DEAD_LETTERS).await, 0);
}
