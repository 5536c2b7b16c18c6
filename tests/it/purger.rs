//! What is old is purged once it is done with, and nothing else is.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use igstream::stream::consumer::Pull;
use igstream::stream::names::{Announcement, EVENTS};
use igstream::stream::topology::{StreamSettings, Topology};
use igstream::stream::{Connection, ConnectionOptions};
use igstream::watch::purger::purge_done;

use crate::support::nats::NatsServer;

const MEBIBYTE: i64 = 1024 * 1024;

async fn streams() -> (NatsServer, Connection, Topology) {
    let server = NatsServer::start().await;
    let options = ConnectionOptions {
        urls: vec![server.url()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.unwrap();
    let topology = Topology::new(StreamSettings {
        replicas: 1,
        keep_days: 1,
        max_bytes: 64 * MEBIBYTE,
        duplicate_window: Duration::from_mins(2),
    })
    .unwrap();
    topology
        .ensure_stream(&connection.consume, EVENTS, 1)
        .await
        .unwrap();
    (server, connection, topology)
}

async fn publish(connection: &Connection, event_type: &str, messages: usize) {
    for _ in 0..messages {
        let subject = Announcement::Event.subject(event_type, "1");
        let acknowledged = connection.consume.publish(subject, "{}".into()).await;
        acknowledged.unwrap().await.unwrap();
    }
}

async fn left(connection: &Connection) -> u64 {
    let stream = connection.consume.get_stream(EVENTS).await.unwrap();
    stream.cached_info().state.messages
}

#[tokio::test]
async fn what_is_old_goes_once_its_own_handler_has_done_with_it() {
    let (_server, connection, topology) = streams().await;
    let context = &connection.consume;
    publish(&connection, "comment", 10).await;
    publish(&connection, "message", 5).await;
    let comments = topology
        .ensure_consumer(context, "handler", "comment")
        .await
        .unwrap();
    let messages = topology
        .ensure_consumer(context, "handler", "message")
        .await
        .unwrap();
    for message in Pull::new(context, &comments)
        .fetch(6, 1024 * 1024, Duration::from_secs(1))
        .await
        .unwrap()
    {
        message.double_ack().await.unwrap();
    }
    let names = |event_type| topology.consumer_names("handler", event_type).unwrap();
    let (past, now) = (
        Utc::now() - TimeDelta::hours(1),
        Utc::now() + TimeDelta::hours(1),
    );

    assert_eq!(
        purge_done(context, &names("comment"), past).await.unwrap(),
        0
    );
    assert_eq!(
        purge_done(context, &names("message"), now).await.unwrap(),
        0
    );
    assert_eq!(left(&connection).await, 15, "too young, or not done with");

    assert_eq!(
        purge_done(context, &names("comment"), now).await.unwrap(),
        6
    );
    assert_eq!(
        purge_done(context, &names("comment"), now).await.unwrap(),
        0
    );
    assert_eq!(left(&connection).await, 9);
    let rest = Pull::new(context, &messages)
        .fetch(9, 1024 * 1024, Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(rest.len(), 5, "another type's messages are all there");
}
