//! Streams that fill: it is said long before, nothing is lost, and work goes on when there is room again.

use entity::comment;
use igstream::stream::names::{DEAD_LETTERS, DELIVERIES, EVENTS, REPROCESS, STORED};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::support::{
    eventually::eventually,
    nats::{NatsServer, Streams},
    payloads::{ACCOUNT, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
    small_disk::SmallDisk,
};

const MEBIBYTE: u64 = 1024 * 1024;

/// A delivery of one comment of a hundred thousand bytes; its event has them twice.
fn long_comment(id: &str) -> String {
    one_comment(id).replace("text of", &"x".repeat(100_000))
}

async fn comments(service: &Service) -> u64 {
    let database = service.database().await;
    comment::Entity::find().count(&database).await.unwrap()
}

/// Waits until `/readyz` has this status, and `degraded` an entry of this name that contains `told`.
async fn until_degraded(service: &Service, status: u16, name: &str, told: &str) {
    eventually("/readyz names it", async || {
        let (found, readiness) = service.readiness().await;
        let reason = readiness["degraded"][name].to_string();
        if found == status && reason.contains(told) {
            Ok(())
        } else {
            Err(readiness.to_string())
        }
    })
    .await;
}

async fn until_all_is_well(service: &Service) {
    eventually("/readyz says yes, and nothing is degraded", async || {
        let (status, readiness) = service.readiness().await;
        if status == 200 && readiness["degraded"] == json!({}) {
            Ok(())
        } else {
            Err(readiness.to_string())
        }
    })
    .await;
}

#[tokio::test]
async fn a_journal_is_told_to_fill_and_takes_again_when_it_was_purged() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database)
        .set("stream.max_bytes", 2 * MEBIBYTE)
        .roles("receiver")
        .start()
        .await;
    let streams = Streams::connect(&nats.url()).await;
    for number in 0..17 {
        let answer = service.post(&long_comment(&format!("full-{number}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    until_degraded(&service, 200, DELIVERIES, "filling").await;
    assert!(service.log().contains("a stream is filling up"));
    let metrics = service.metrics().await;
    let of_the_journal = |name| metrics.count(name, &[("stream", DELIVERIES)]);
    assert_eq!(of_the_journal("instagram_stream_max_bytes"), 2 * MEBIBYTE);
    assert!(of_the_journal("instagram_stream_bytes") > 2 * MEBIBYTE * 8 / 10);

    let mut accepted = 17;
    let refused = loop {
        let answer = service
            .post(&long_comment(&format!("full-{accepted}")))
            .await;
        if answer.status != 200 {
            break answer;
        }
        accepted += 1;
    };
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.header("retry-after").is_some());
    until_degraded(&service, 503, DELIVERIES, "filling").await;
    assert_eq!(streams.count(DELIVERIES).await, accepted);

    let journal = streams.js.get_stream(DELIVERIES).await.unwrap();
    journal.purge().await.unwrap();
    until_all_is_well(&service).await;
    let answer = service.post(&long_comment("afterwards")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn events_that_have_no_room_wait_in_the_journal() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let mut service = Setup::external(&nats, &database)
        .set("stream.max_bytes", 2 * MEBIBYTE)
        .start()
        .await;
    // The events are twice as large as their deliveries: their stream is full with half of them.
    for number in 0..15 {
        service
            .deliver(&long_comment(&format!("wait-{number}")))
            .await;
    }
    until_degraded(&service, 200, "publisher", "is full").await;
    until_degraded(&service, 200, EVENTS, "filling").await;
    let streams = Streams::connect(&nats.url()).await;
    assert!(streams.count(EVENTS).await < 15);
    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());

    service.set("stream.max_bytes", 16 * MEBIBYTE);
    service.start_again().await;
    streams.drained().await;
    assert_eq!(comments(&service).await, 15);
    until_all_is_well(&service).await;
}

/// What became known goes through a stream that holds but a part of it, and is told on one that holds less still.
#[tokio::test]
async fn what_is_processed_once_more_waits_for_room() {
    const EVENTS_IN_ALL: u64 = 20;
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database)
        .set("accounts.auto_register", false)
        .set("stream.max_bytes", 2 * MEBIBYTE)
        .start()
        .await;
    let streams = Streams::connect(&nats.url()).await;
    for number in 0..EVENTS_IN_ALL {
        service
            .deliver(&long_comment(&format!("known-{number}")))
            .await;
        if number % 5 == 4 {
            streams.drained().await;
            for stream in [DELIVERIES, EVENTS] {
                let stream = streams.js.get_stream(stream).await.unwrap();
                stream.purge().await.unwrap();
            }
        }
    }
    assert_eq!(comments(&service).await, 0);

    let added = service.run(&["accounts", "add", ACCOUNT]).await;
    assert!(added.status.success(), "{}", said(&added));
    eventually("all are stored", async || match comments(&service).await {
        EVENTS_IN_ALL => Ok(()),
        stored => Err(format!("{stored} are")),
    })
    .await;
    until_all_is_well(&service).await;
    let told = streams.count(STORED).await;
    assert!(told < EVENTS_IN_ALL, "its oldest went: {told}");
}

#[tokio::test]
async fn streams_share_a_small_disk_and_work_on_when_it_has_less() {
    let Some(disk) = SmallDisk::mount(512) else {
        return;
    };
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database)
        .set("nats.data_dir", disk.path().display())
        .set("stream.max_bytes", 10_u64 << 30)
        .not_started();
    let checked = service.run(&["check"]).await;
    assert!(
        said(&checked).contains("the streams stay smaller"),
        "{}",
        said(&checked)
    );
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));

    service.start_again().await;
    assert!(
        service
            .log()
            .contains("the server has less room than is configured")
    );
    service.deliver(&long_comment("first")).await;
    let streams = service.streams().await;
    streams.drained().await;
    for stream in [DELIVERIES, EVENTS, STORED, DEAD_LETTERS, REPROCESS] {
        let max_bytes = streams.config(stream).await.max_bytes;
        assert_eq!(max_bytes, 76 * 1024 * 1024, "{stream}");
    }
    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());

    // Less than the streams reserve, and more than they hold.
    disk.fill_but(64);
    service.start_again().await;
    service.deliver(&long_comment("second")).await;
    service.streams().await.drained().await;
    assert_eq!(comments(&service).await, 2);
    let checked = service.run(&["check"]).await;
    assert!(
        said(&checked).contains("it is full before they are"),
        "{}",
        said(&checked)
    );
    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());
}
