//! A NATS server that does not read, or is away, holds nobody up for ever.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use igstream::stream::bulk::{Freshness, publish_all};
use igstream::stream::message::{Headers, Outgoing};
use igstream::stream::{Connection, ConnectionOptions};
use tokio::time::{Instant, timeout};

use crate::support::{
    eventually::eventually,
    nats::{NatsServer, Streams},
    proxy::Proxy,
};

const STREAM: &str = "LARGE";
const NUMBER: usize = 3000;
/// An atomic batch is given up, then single messages are: some seconds each.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Together more than all buffers on the way hold.
fn messages() -> Vec<Outgoing> {
    let body = Bytes::from(vec![b'x'; 16 * 1024]);
    let message = |number: usize| Outgoing {
        subject: "large".to_owned(),
        headers: Headers::of_message(number.to_string()),
        body: body.clone(),
    };
    (0..NUMBER).map(message).collect()
}

#[tokio::test]
async fn every_wait_for_a_server_that_does_not_read_ends() {
    let nats = NatsServer::start().await;
    let proxy = Proxy::to(&nats.url()).await;
    proxy.open();
    let streams = Streams::connect(&nats.url()).await;
    let config = Config {
        name: STREAM.to_owned(),
        subjects: vec!["large".to_owned()],
        allow_atomic_publish: true,
        ..Config::default()
    };
    streams.js.create_stream(config).await.expect("a stream");
    let options = ConnectionOptions {
        urls: vec![proxy.url().to_owned()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.expect("a connection");
    let messages = messages();

    proxy.stall();
    for freshness in [Freshness::Fresh, Freshness::Fresh, Freshness::Repeated] {
        let published = publish_all(&connection, &messages, freshness);
        let published = timeout(ENDS_WITHIN, published).await;
        let error = published.expect("it ends").unwrap_err().to_string();
        assert!(error.contains("did not acknowledge"), "{error}");
    }

    proxy.open();
    eventually("all are published once the server reads", async || {
        let published = publish_all(&connection, &messages, Freshness::Repeated);
        published.await.map_err(|error| error.to_string())
    })
    .await;
    assert_eq!(streams.count(STREAM).await, NUMBER as u64, "each once");
}

#[tokio::test]
async fn nothing_waits_in_the_connection_while_the_server_is_away() {
    let mut nats = NatsServer::start().await;
    let options = ConnectionOptions {
        urls: vec![nats.url()],
        ..ConnectionOptions::default()
    };
    let connection = Connection::open(&options).await.expect("a connection");
    nats.kill().await;
    eventually("the connection notices", async || {
        if connection.is_connected() {
            Err("not yet".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
    let started = Instant::now();
    let messages = messages();
    let published = publish_all(&connection, &messages, Freshness::Fresh).await;
    let error = published.unwrap_err().to_string();
    assert!(error.contains("acknowledge"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(15));
    assert_eq!(connection.unacknowledged(), 0);
}
