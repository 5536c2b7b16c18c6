//! What is old is purged once it is done with, and nothing else is.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use entity::comment;
use igstream::stream::Connection;
use igstream::stream::consumer::Pull;
use igstream::stream::names::{Announcement, DELIVERIES, EVENTS};
use igstream::stream::topology::Topology;
use igstream::watch::purger::purge_done;
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::support::{
    eventually::eventually_true,
    nats::{NatsServer, Streams, connected},
    payloads::one_comment,
    postgres::TestDatabase,
    setup::Setup,
};

async fn streams() -> (NatsServer, Connection, Topology) {
    let server = NatsServer::start().await;
    let (connection, topology) = connected(&server).await;
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

#[tokio::test]
async fn nothing_goes_from_the_first_on_that_is_not_acknowledged() {
    let (_server, connection, topology) = streams().await;
    let context = &connection.consume;
    publish(&connection, "comment", 10).await;
    let comments = topology.ensure_consumer(context, "handler", "comment");
    let mut comments = Pull::new(context, &comments.await.unwrap());
    let batch = comments.fetch(10, 1024 * 1024, Duration::from_secs(1));
    // The third is with a handler that is slow, or gone.
    let batch = batch.await.unwrap();
    for (message, place) in batch.iter().zip(1..) {
        if place != 3 {
            message.double_ack().await.unwrap();
        }
    }
    let names = topology.consumer_names("handler", "comment").unwrap();
    let now = Utc::now() + TimeDelta::hours(1);
    assert_eq!(purge_done(context, &names, now).await.unwrap(), 2);
    assert_eq!(left(&connection).await, 8);
    batch[2].double_ack().await.unwrap();
    assert_eq!(purge_done(context, &names, now).await.unwrap(), 8);
}

/// All of it is older than it is kept, as after a week.
#[tokio::test]
async fn handlers_that_are_behind_lose_nothing() {
    const COMMENTS: u64 = 30;
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup = |roles| Setup::external(&nats, &database).roles(roles);
    let mut before = setup("receiver,publisher").start().await;
    for number in 0..COMMENTS {
        before.deliver(&one_comment(&format!("old-{number}"))).await;
    }
    let streams = Streams::connect(&nats.url()).await;
    eventually_true("all are published", async || {
        streams.count(EVENTS).await == COMMENTS
    })
    .await;
    eventually_true("the journal is done with", async || {
        let publisher = streams.consumer(DELIVERIES, "publisher").await.unwrap();
        publisher.num_pending == 0 && publisher.num_ack_pending == 0
    })
    .await;

    let (connection, topology) = connected(&nats).await;
    let purge_all = async || {
        let now = Utc::now() + TimeDelta::hours(1);
        for (kind, event_type) in [("publisher", ""), ("handler", "comment")] {
            let names = topology.consumer_names(kind, event_type).unwrap();
            purge_done(&connection.consume, &names, now).await.unwrap();
        }
    };
    purge_all().await;
    assert_eq!(streams.count(DELIVERIES).await, 0);
    assert_eq!(streams.count(EVENTS).await, COMMENTS, "no handler had them");
    before.stop().await;

    let after = setup("handlers").start().await;
    streams.drained().await;
    purge_all().await;
    assert_eq!(streams.count(EVENTS).await, 0);
    let database = after.database().await;
    let stored = comment::Entity::find().count(&database).await.unwrap();
    assert_eq!(stored, COMMENTS);
}
