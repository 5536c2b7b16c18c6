//! NATS away, lost, or without what a client asks for.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use igstream::stream::names::STORED;

use super::reader::{Reader, refused, with_account};
use crate::api::client::{Client, deliver_comment, problem, setup};
use crate::support::{
    nats::NatsServer,
    payloads::{ACCOUNT, one_mention},
    postgres::TestDatabase,
    setup::Setup,
};

#[tokio::test]
async fn who_comes_too_late_is_told_what_to_look_for() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let mut reader = Reader::open(&Client::of(&service), account, "", None).await;
    for id in ["1", "2", "3"] {
        deliver_comment(&service, ACCOUNT, id).await;
        service.streams().await.drained().await;
    }
    let (one, two) = (reader.event().await, reader.event().await);
    let three = reader.event().await;
    let streams = service.streams().await;
    let stored = streams.js.get_stream(STORED).await.unwrap();
    stored.purge().sequence(three.sequence()).await.unwrap();

    // Nothing is missing for who had the second.
    let client = Client::of(&service);
    let mut good = Reader::open(&client, account, "", Some(two.get("id"))).await;
    assert_eq!(good.event().await, three);
    let mut late = Reader::open_at(&client, account, "", Some(one.get("id"))).await;
    let gap = late.next().await;
    assert_eq!((gap.get("event"), gap.get("retry")), ("gap", "3000"));
    assert_eq!(gap.data()["reason"], "expired");
    assert_eq!(gap.get("id"), two.get("id"));
    assert_eq!(late.event().await, three);
    let until: DateTime<Utc> = gap.data()["until"].as_str().unwrap().parse().unwrap();
    let until = until.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let missed = client
        .all(&format!("/webhooks/events/{account}?to={until}"))
        .await;
    assert!(
        missed.iter().any(|event| event["object_id"] == "2"),
        "{missed:?}"
    );

    let epoch = three.get("id").split_once('-').unwrap().0;
    let beyond = format!("{epoch}-1000000");
    let mut beyond = Reader::open_at(&client, account, "", Some(&beyond)).await;
    let gap = beyond.next().await;
    assert_eq!(gap.data()["reason"], "lost");
    assert_eq!(gap.get("id"), three.get("id"));

    // Another stream of that name: who was reading is sent away, and whoever comes is told so.
    let mut open = Reader::open(&client, account, "", Some(three.get("id"))).await;
    let config = streams.config(STORED).await;
    streams.js.delete_stream(STORED).await.unwrap();
    streams.js.create_stream(config).await.unwrap();
    for id in ["4", "5", "6", "7", "8", "9"] {
        deliver_comment(&service, ACCOUNT, id).await;
        service.streams().await.drained().await;
    }
    while let Some(sent) = open.try_next().await {
        assert_eq!(sent.get("data"), "", "{sent:?}");
    }
    let mut other = Reader::open_at(&client, account, "", Some(three.get("id"))).await;
    let gap = other.next().await;
    assert_eq!(
        (gap.get("event"), gap.data()["reason"].as_str()),
        ("gap", Some("made_anew"))
    );
    assert_eq!(other.ids(6).await, ["4", "5", "6", "7", "8", "9"]);
}

/// NATS goes away in the middle of traffic, and the management API runs apart.
#[tokio::test]
async fn it_goes_on_when_nats_was_away_without_a_gap_or_a_repeat() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let pipeline = Setup::external(&nats, &database).roles("receiver,publisher,handlers");
    let pipeline = pipeline.start().await;
    let account = with_account(&pipeline).await;
    let api = setup(&database)
        .await
        .set("nats.mode", "external")
        .set("nats.url", nats.url())
        .roles("api")
        .start()
        .await;
    let mut reader = Reader::open(&Client::of(&api), account, "", None).await;
    let mut quiet = Reader::open(&Client::of(&api), account, "?type=mention", None).await;
    let mut wanted = Vec::new();
    for id in 0..60 {
        if id % 20 == 10 {
            nats.kill().await;
            nats.start_again().await;
        }
        let id = id.to_string();
        deliver_comment(&pipeline, ACCOUNT, &id).await;
        wanted.push(id);
    }
    pipeline.deliver(&one_mention("17")).await;
    wanted.push("17".to_owned());
    let mut found = reader.ids(wanted.len()).await;
    assert_eq!(quiet.event().await.get("event"), "mention");
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn it_goes_on_with_a_nats_of_its_own_that_was_killed() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let mut reader = Reader::open(&Client::of(&service), account, "", None).await;
    deliver_comment(&service, ACCOUNT, "before").await;
    assert_eq!(reader.ids(1).await, ["before"]);
    service.kill_nats().await;
    deliver_comment(&service, ACCOUNT, "after").await;
    assert_eq!(reader.ids(1).await, ["after"]);
}

#[tokio::test]
async fn while_nats_is_away_none_begins() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let service = setup(&database)
        .await
        .set("nats.mode", "external")
        .set("nats.url", nats.url())
        .start()
        .await;
    let account = with_account(&service).await;
    nats.kill().await;
    let began = Instant::now();
    let answer = refused(&Client::of(&service), account, "", None).await;
    problem(&answer, 503, "unavailable");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}
