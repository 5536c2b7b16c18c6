//! Of an account's messages those go whose receipts are covered, wherever they stand, and no others.

use std::collections::BTreeSet;

use igstream::stream::Connection;
use igstream::stream::erase::{delete_sequences, messages};
use igstream::stream::names::{Announcement, EVENTS, STORED};
use uuid::Uuid;

use crate::support::nats::{NatsServer, Streams, connected};

const ERASED: &str = "1";
const OTHER: &str = "2";

async fn streams() -> (NatsServer, Connection) {
    let server = NatsServer::start().await;
    let (connection, topology) = connected(&server).await;
    let made = topology.ensure_stream(&connection.consume, EVENTS, 1).await;
    made.unwrap();
    (server, connection)
}

async fn publish(connection: &Connection, account: &str, id: &str) -> u64 {
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Msg-Id", id);
    let subject = Announcement::Event.subject("comment", account);
    let context = &connection.consume;
    let sent = context.publish_with_headers(subject, headers, "{}".into());
    sent.await.unwrap().await.unwrap().sequence
}

async fn left(server: &NatsServer) -> Vec<String> {
    let messages = Streams::connect(&server.url()).await.messages(EVENTS).await;
    let id = |message: &crate::support::nats::Found| message.header("Nats-Msg-Id").to_owned();
    messages.iter().map(id).collect()
}

#[tokio::test]
async fn those_that_are_covered_go_wherever_they_stand() {
    let (server, connection) = streams().await;
    let context = &connection.consume;
    let ids: Vec<Uuid> = (0..8).map(|_| Uuid::now_v7()).collect();
    let covered: BTreeSet<Uuid> = [0, 1, 3, 5, 7].into_iter().map(|at| ids[at]).collect();
    let mut sequences = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        publish(&connection, OTHER, &format!("other-{at}")).await;
        sequences.push(publish(&connection, ERASED, &id.to_string()).await);
    }
    let foreign = publish(&connection, ERASED, "somebody else's").await;
    let filter = Announcement::Event.filter(None, Some(ERASED));
    let found = messages(context, EVENTS, &filter).await.unwrap();
    let [found] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(found.count, 9);
    assert_eq!(found.last(context).await.unwrap(), Some(foreign));

    // The last one is still in a handler's hands.
    let is_covered = |receipt| covered.contains(&receipt);
    let deleted = found.delete(context, sequences[6], is_covered).await;
    assert_eq!(deleted.unwrap(), 4);
    let deleted = found.delete(context, u64::MAX, is_covered).await;
    assert_eq!(deleted.unwrap(), 1);
    let deleted = found.delete(context, u64::MAX, is_covered).await;
    assert_eq!(deleted.unwrap(), 0, "there are no more");
    let left = left(&server).await;
    let theirs: Vec<String> = [2, 4, 6].map(|at| ids[at].to_string()).to_vec();
    let of_account: Vec<&String> = left.iter().filter(|id| !id.starts_with("other")).collect();
    assert_eq!(of_account[..3], theirs.iter().collect::<Vec<_>>());
    assert_eq!(of_account.len(), 4, "what names no receipt is not ours");
    assert_eq!(left.len(), 12, "the other account's are all there");
}

#[tokio::test]
async fn what_is_gone_already_is_no_failure() {
    let (server, connection) = streams().await;
    let context = &connection.consume;
    let first = publish(&connection, ERASED, "first").await;
    publish(&connection, ERASED, "second").await;
    let deleted = async |sequences: &[u64]| delete_sequences(context, EVENTS, sequences).await;
    assert_eq!(deleted(&[first]).await.unwrap(), 1);
    assert_eq!(deleted(&[first, first + 1, 1000]).await.unwrap(), 1);
    assert_eq!(left(&server).await, Vec::<String>::new());
    // A stream that was never made has nothing.
    let none = messages(context, STORED, "instagram.stored.*.1").await;
    assert_eq!(none.unwrap().len(), 0);
}
