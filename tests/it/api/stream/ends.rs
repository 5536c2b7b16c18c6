//! What ends a stream, how many there may be, and a client that is slow or has nothing to read.

use std::time::{Duration, Instant};

use chrono::Utc;
use futures::TryStreamExt;
use igstream::stream::names::STORED;
use serde_json::{Value, json};

use super::reader::{Reader, ask, gone_consumers, refused, with_account};
use crate::api::client::{Client, deliver_comment, problem, setup, token};
use crate::support::{
    eventually::eventually_true,
    payloads::{ACCOUNT, changes, comment, one_mention},
    postgres::TestDatabase,
};

#[tokio::test]
async fn it_ends_with_its_token() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    // Clocks may differ by 30 s.
    let ends = Utc::now().timestamp() - 30 + 4;
    let client = Client::with(&service, token(json!({ "exp": ends })));
    let mut reader = Reader::open(&client, account, "", None).await;
    reader.ends().await;
    problem(
        &refused(&client, account, "", None).await,
        401,
        "unauthorized",
    );
    gone_consumers(&service).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_it() {
    let database = TestDatabase::sqlite().await;
    let mut service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let mut reader = Reader::open(&Client::of(&service), account, "", None).await;
    let (code, took) = service.stop().await;
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(4), "{took:?}");
    reader.ends().await;
}

#[tokio::test]
async fn there_are_only_so_many() {
    let database = TestDatabase::sqlite().await;
    let setup = setup(&database).await.set("api.max_streams", 2);
    let service = setup.set("api.max_streams_per_token", 1).start().await;
    let account = with_account(&service).await;
    let by = |subject: &str| Client::with(&service, token(json!({ "sub": subject })));
    let first = Reader::open(&by("a"), account, "", None).await;
    let answer = refused(&by("a"), account, "", None).await;
    problem(&answer, 429, "rate-limited");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let _second = Reader::open(&by("b"), account, "", None).await;
    let answer = refused(&by("c"), account, "", None).await;
    problem(&answer, 503, "unavailable");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    drop(first);
    let (token, ended) = (by("c"), Instant::now());
    eventually_true("a place is free again", async || {
        ask(&token, account, "", None).await.status() == 200
    })
    .await;
    assert!(
        ended.elapsed() < Duration::from_secs(10),
        "{:?}",
        ended.elapsed()
    );
}

#[tokio::test]
async fn a_reader_that_is_slow_is_waited_for_in_nats() {
    const EVENTS: usize = 1200;
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let mut reader = Reader::open(&Client::of(&service), account, "", None).await;
    let text = "x".repeat(30_000);
    for delivery in 0..EVENTS / 60 {
        let long = |id: usize| {
            let mut comment = comment(&format!("{delivery}-{id}"));
            comment["value"]["text"] = json!(text);
            comment
        };
        let comments: Vec<Value> = (0..60).map(long).collect();
        service
            .deliver(&changes(ACCOUNT, &comments).to_string())
            .await;
    }
    let streams = service.streams().await;
    streams.drained().await;
    let stored = streams.js.get_stream(STORED).await.unwrap();
    let consumers: Vec<_> = stored.consumers().try_collect().await.unwrap();
    assert_eq!(consumers.len(), 1);
    let left = consumers[0].num_pending;
    assert!(left > 100, "{left} of {EVENTS} are still in NATS");
    let mut ids = reader.ids(EVENTS).await;
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), EVENTS, "each once");
    drop(reader);
    gone_consumers(&service).await;
}

#[tokio::test]
async fn a_quiet_one_says_how_far_it_is_and_ends_with_its_account() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let client = Client::of(&service);
    let mut mentions = Reader::open_at(&client, account, "?type=mention", None).await;
    let begun = mentions.next().await;
    deliver_comment(&service, ACCOUNT, "another").await;
    let far = mentions.next().await;
    assert_eq!(far.0.len(), 1, "only an id: {far:?}");
    assert_eq!(far.sequence(), begun.sequence() + 1);
    // What went by is gone, and nothing of it is missing.
    let streams = service.streams().await;
    let stored = streams.js.get_stream(STORED).await.unwrap();
    stored.purge().await.unwrap();
    service.deliver(&one_mention("17")).await;
    let mention = mentions.event().await;
    let mut again = Reader::open(&client, account, "", Some(far.get("id"))).await;
    assert_eq!(again.event().await, mention);

    let erased = client
        .delete(&format!("/accounts/{account}?erase=true"))
        .await;
    assert_eq!(erased.status, 202, "{erased:?}");
    mentions.ends().await;
    again.ends().await;
    problem(&refused(&client, account, "", None).await, 404, "not-found");
}
