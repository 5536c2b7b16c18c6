//! The streams and consumers are what the contract says, at every start.

use std::time::Duration;

use async_nats::jetstream::{
    consumer::AckPolicy,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use igstream::stream::names::{DEAD_LETTERS, DELIVERIES, EVENTS, REPROCESS, STORED};
use serde_json::{Value, json};

use crate::support::{
    eventually::eventually_true,
    nats::{NatsServer, Streams, own_consumers},
    postgres::TestDatabase,
    setup::Setup,
};

const DAY: Duration = Duration::from_hours(24);
const MAX_BYTES: i64 = 100 * 1024 * 1024;

#[tokio::test]
async fn made_as_promised_and_left_alone_by_the_next_start() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup = Setup::external(&nats, &database).set("stream.max_bytes", MAX_BYTES);
    let mut service = setup.start().await;
    let streams = service.streams().await;
    until_made(&streams).await;

    for (stream, subject, discard, kept_for) in [
        (
            DELIVERIES,
            "instagram.deliveries",
            DiscardPolicy::New,
            Duration::ZERO,
        ),
        (
            EVENTS,
            "instagram.events.*.*",
            DiscardPolicy::New,
            Duration::ZERO,
        ),
        (STORED, "instagram.stored.*.*", DiscardPolicy::Old, 7 * DAY),
        (
            DEAD_LETTERS,
            "instagram.dead_letters.*.*",
            DiscardPolicy::Old,
            7 * DAY,
        ),
    ] {
        let config = streams.config(stream).await;
        assert_eq!(config.subjects, [subject], "{stream}");
        assert_eq!(config.discard, discard, "{stream}");
        assert_eq!(config.max_age, kept_for, "{stream}");
        assert_eq!(config.retention, RetentionPolicy::Limits, "{stream}");
        assert_eq!(config.storage, StorageType::File, "{stream}");
        assert_eq!(config.max_bytes, MAX_BYTES, "{stream}");
        assert_eq!(config.num_replicas, 1, "{stream}");
        assert_eq!(config.duplicate_window, Duration::from_mins(2), "{stream}");
    }
    for (stream, consumer) in own_consumers() {
        let config = streams.consumer(stream, &consumer).await.unwrap().config;
        let filter = match consumer.strip_prefix("handler-") {
            Some(event_type) => format!("instagram.events.{event_type}.*"),
            None => "instagram.deliveries".to_owned(),
        };
        assert_eq!(config.durable_name.as_deref(), Some(consumer.as_str()));
        assert_eq!(config.filter_subject, filter);
        assert_eq!(config.ack_policy, AckPolicy::Explicit, "{consumer}");
        // The server would park a message, silently, after so many deliveries.
        assert_eq!(config.max_deliver, -1, "{consumer}");
    }

    let before = everything(&streams).await;
    service.stop().await;
    service.start_again().await;
    until_made(&streams).await;
    assert_eq!(everything(&streams).await, before);
    assert!(
        !service.log().contains("brought up to date"),
        "{}",
        service.log()
    );

    // What the configuration says of them is brought up to date.
    service.stop().await;
    service.set("stream.keep_days", 3);
    service.start_again().await;
    for (stream, kept_for) in [
        (STORED, 3 * DAY),
        (DEAD_LETTERS, 3 * DAY),
        (EVENTS, Duration::ZERO),
    ] {
        assert_eq!(streams.config(stream).await.max_age, kept_for, "{stream}");
    }
}

async fn until_made(streams: &Streams) {
    eventually_true("every consumer is made", async || {
        for (stream, consumer) in own_consumers() {
            if streams.consumer(stream, &consumer).await.is_err() {
                return false;
            }
        }
        true
    })
    .await;
}

/// When each was made, and how it is configured.
async fn everything(streams: &Streams) -> Vec<Value> {
    let mut all = Vec::new();
    for stream in [DELIVERIES, EVENTS, STORED, DEAD_LETTERS, REPROCESS] {
        let info = streams
            .js
            .get_stream(stream)
            .await
            .unwrap()
            .cached_info()
            .clone();
        all.push(json!([info.created.to_string(), info.config]));
    }
    for (stream, consumer) in own_consumers() {
        let info = streams.consumer(stream, &consumer).await.unwrap();
        all.push(json!([info.created.to_string(), info.config]));
    }
    all
}

#[tokio::test]
async fn a_stream_that_cannot_keep_the_promise_is_refused() {
    for (stream, subject, storage, retention, field) in [
        (
            DELIVERIES,
            "instagram.deliveries",
            StorageType::Memory,
            RetentionPolicy::Limits,
            "storage",
        ),
        (
            EVENTS,
            "instagram.events.*.*",
            StorageType::File,
            RetentionPolicy::WorkQueue,
            "retention",
        ),
        (
            STORED,
            "instagram.stored.*.*",
            StorageType::File,
            RetentionPolicy::Interest,
            "retention",
        ),
    ] {
        let database = TestDatabase::sqlite().await;
        let nats = NatsServer::start().await;
        let found = Config {
            name: stream.to_owned(),
            subjects: vec![subject.to_owned()],
            storage,
            retention,
            ..Default::default()
        };
        let streams = Streams::connect(&nats.url()).await;
        streams.js.create_stream(found).await.unwrap();

        let (code, said) = Setup::external(&nats, &database).gives_up().await;
        assert!(code.is_some_and(|code| code != 0), "{code:?}: {said}");
        for part in [stream, field] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}
