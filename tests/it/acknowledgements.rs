//! Durable before 200, also when NATS takes a message and its acknowledgement does not come.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use entity::comment;
use futures::{Stream, StreamExt, stream};
use igstream::{
    journal,
    stream::{
        Connection, ConnectionOptions,
        bulk::publish_one,
        message::{Headers, Outgoing},
        names::{DELIVERIES, DELIVERIES_SUBJECT},
    },
};
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::Value;

use crate::support::{
    eventually::{eventually_true, until_none_is_left},
    nats::{NatsServer, Streams},
    nats_proxy::NatsProxy,
    payloads::one_comment,
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

/// `server.accept_timeout` is 2 s; the rest is for a busy machine.
const AT_MOST: Duration = Duration::from_secs(4);

async fn behind(nats: &NatsServer, proxy: &NatsProxy, database: &TestDatabase) -> Service {
    Setup::external(nats, database)
        .set("nats.url", proxy.url())
        .set("server.accept_timeout", "2s")
        .start()
        .await
}

/// Posts comments with these ids, `at_once` at a time; those that were answered 200. Every answer comes in time,
/// and is 200 or 503.
async fn post(
    service: &Service,
    ids: impl Stream<Item = String>,
    at_once: usize,
) -> BTreeSet<String> {
    let answered = ids.map(|id| async move {
        let asked = Instant::now();
        let answer = service.post(&one_comment(&id)).await;
        let took = asked.elapsed();
        assert!(took < AT_MOST, "{id}: {} after {took:?}", answer.status);
        assert!([200, 503].contains(&answer.status), "{}", answer.status);
        assert_eq!(answer.status == 503, answer.header("retry-after").is_some());
        (answer.status == 200).then_some(id)
    });
    let answered = answered.buffer_unordered(at_once);
    answered.filter_map(async |id| id).collect().await
}

fn ids(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |id| format!("{prefix}-{id}"))
}

/// The comments among `of` that are in the journal, each as often as it is there.
async fn journalled(streams: &Streams, of: &BTreeSet<String>) -> Vec<String> {
    let messages = streams.messages(DELIVERIES).await;
    let deliveries = messages
        .iter()
        .flat_map(|message| journal::unpack(&message.payload).unwrap());
    let comments = deliveries.map(|delivery| {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap();
        let id = &body["entry"][0]["changes"][0]["value"]["id"];
        id.as_str().unwrap().to_owned()
    });
    comments.filter(|id| of.contains(id)).collect()
}

async fn comments(service: &Service) -> u64 {
    let database = service.database().await;
    comment::Entity::find().count(&database).await.unwrap()
}

#[tokio::test]
async fn without_acknowledgements_deliveries_are_told_to_come_again_in_time() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let proxy = NatsProxy::before(&nats.url()).await;
    let service = behind(&nats, &proxy, &database).await;

    proxy.lose_answers();
    let accepted = post(&service, stream::iter(ids("lost", 40)), 20).await;
    assert!(accepted.is_empty(), "{accepted:?}");
    let (status, readiness) = service.readiness().await;
    assert_eq!(status, 503, "{readiness}");

    proxy.mend();
    eventually_true("it is ready again without any delivery", async || {
        service.readiness().await.0 == 200
    })
    .await;
    let again: BTreeSet<String> = ids("lost", 40).collect();
    for id in &again {
        service.deliver(&one_comment(id)).await;
    }
    let streams = Streams::connect(&nats.url()).await;
    let found = journalled(&streams, &again).await;
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 40);
    streams.drained().await;
    assert_eq!(comments(&service).await, 40, "each is stored once");
}

#[tokio::test]
async fn what_was_cut_off_after_it_went_out_is_stored_once() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let proxy = NatsProxy::before(&nats.url()).await;
    let service = behind(&nats, &proxy, &database).await;

    proxy.cut_after_publishes(5);
    let mut accepted = BTreeSet::new();
    for id in ids("cut", 10) {
        let answered = post(&service, stream::iter([id]), 1).await;
        accepted.extend(answered);
    }
    assert_eq!(proxy.cuts_left(), 0);
    assert_eq!(accepted.len(), 10, "sent again, and recognised");
    let streams = Streams::connect(&nats.url()).await;
    let found = journalled(&streams, &accepted).await;
    assert_eq!(found.len(), 10, "{found:?}");
    streams.drained().await;
    assert_eq!(comments(&service).await, 10);
}

#[tokio::test]
async fn a_server_that_is_restarted_under_load_holds_nobody_up() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database)
        .set("server.accept_timeout", "2s")
        .start()
        .await;
    let restarts = async {
        for _ in 0..3 {
            let streams = Streams::connect(&nats.url()).await;
            let before = streams.count(DELIVERIES).await;
            eventually_true("it takes deliveries", async || {
                streams.count(DELIVERIES).await >= before + 50
            })
            .await;
            nats.kill().await;
            nats.start_again().await;
        }
    };
    let load = stream::iter(ids("load", usize::MAX)).take_until(restarts);
    let accepted = post(&service, load, 4).await;
    assert!(accepted.len() > 100, "{} were accepted", accepted.len());

    let streams = Streams::connect(&nats.url()).await;
    let found = journalled(&streams, &accepted).await;
    let found: BTreeSet<String> = found.into_iter().collect();
    let missing: Vec<_> = accepted.difference(&found).collect();
    assert!(missing.is_empty(), "answered 200, and lost: {missing:?}");
    streams.drained().await;
    assert!(comments(&service).await >= accepted.len() as u64);
}

/// async-nats would remember each of them for ever.
#[tokio::test]
async fn a_thousand_publishes_without_an_answer_leave_nothing_behind() {
    let nats = NatsServer::start().await;
    let streams = Streams::connect(&nats.url()).await;
    let config = async_nats::jetstream::stream::Config {
        name: DELIVERIES.to_owned(),
        subjects: vec![DELIVERIES_SUBJECT.to_owned()],
        ..Default::default()
    };
    streams.js.create_stream(config).await.unwrap();
    let proxy = NatsProxy::before(&nats.url()).await;
    let options = ConnectionOptions {
        urls: vec![proxy.url()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.unwrap();
    let messages: Vec<Outgoing> = (0..1000).map(numbered).collect();
    let publish_all = async || {
        let sent = stream::iter(&messages)
            .map(|message| publish_one(&connection, message))
            .buffer_unordered(500);
        sent.filter(|published| std::future::ready(published.is_ok()))
            .count()
            .await
    };

    proxy.lose_answers();
    assert_eq!(publish_all().await, 0);
    assert_eq!(connection.unacknowledged(), 0);

    proxy.mend();
    eventually_true("it is connected again", async || connection.is_connected()).await;
    until_none_is_left("all are published", async || {
        Ok(1000 - publish_all().await as u64)
    })
    .await;
    assert_eq!(connection.unacknowledged(), 0);
    assert_eq!(streams.count(DELIVERIES).await, 1000, "each is stored once");
}

fn numbered(number: u32) -> Outgoing {
    Outgoing {
        subject: DELIVERIES_SUBJECT.to_owned(),
        headers: Headers::of_message(number.to_string()),
        body: "x".into(),
    }
}
