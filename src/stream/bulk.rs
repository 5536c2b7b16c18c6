//! Publishing many messages as quickly as one synced write an atomic batch
//! allows, each of them once.
//!
//! Every message has a `Nats-Msg-Id` that stays the same when it is sent again.
//! A batch is atomic: one id that `JetStream` remembers refuses all of it (10201),
//! so what may have been sent before goes message by message, where a repeat is
//! told apart and is a success.

use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream;
use async_nats::jetstream::context::PublishErrorKind;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tokio::time::timeout;
use tracing::debug;
use uuid::Uuid;

use super::connection::Connection;
use super::message::Outgoing;

/// `JetStream`'s own limit of an atomic batch.
const BATCH_MESSAGES: usize = 1000;
/// What is on the way at once, in bytes.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Below it single publishes are quicker: a batch has a fixed cost of some syncs.
const SMALLEST_BATCH: usize = 12;
/// Single publishes under way at once.
const WINDOW: usize = 256;
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long messages may wait to be taken by the connection, which takes none
/// while its own queue is full: as while a server does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether some of the messages may have been sent before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// None was: they may go as an atomic batch.
    Fresh,
    /// Some may have been: message by message.
    Repeated,
}

/// Why messages could not be made durable. Each may or may not be stored.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The stream is full (`stream.max_bytes`) and discards nothing.
    #[error("a stream is full (`stream.max_bytes`): {0}")]
    Full(String),
    /// No stream takes the subject.
    #[error("no stream takes the subject {0}")]
    NoStream(String),
    /// The server did not answer in time, or refused.
    #[error("the NATS server did not acknowledge: {0}")]
    Unacknowledged(String),
}

/// What would wait in the connection's queue until the server is back is sent
/// again by whoever wants it sent: nothing piles up there.
const NOT_CONNECTED: &str = "NATS is not connected";
const NOT_TAKEN: &str = "the connection took the message not in time";

/// `JetStream`'s code for a stream that is full.
const STREAM_FULL: u64 = 10077;

/// Publishes all of `messages` and waits until `JetStream` has acknowledged each,
/// or until one is not acknowledged in time. Safe to repeat with the same messages
/// after an error.
pub async fn publish_all(
    connection: &Connection,
    messages: &[Outgoing],
    freshness: Freshness,
) -> Result<(), PublishError> {
    for chunk in chunks(messages) {
        if freshness == Freshness::Fresh && chunk.len() >= SMALLEST_BATCH {
            match publish_atomically(connection, chunk).await {
                Ok(()) => continue,
                Err(reason) => debug!(
                    reason,
                    "an atomic batch was not taken; sending its messages one by one"
                ),
            }
        }
        publish_singly(connection, chunk).await?;
    }
    Ok(())
}

fn chunks(messages: &[Outgoing]) -> impl Iterator<Item = &[Outgoing]> {
    let mut rest = messages;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(BATCH_MESSAGES).take_while(|message| {
            bytes += message.weight();
            bytes <= BATCH_BYTES
        });
        let (chunk, later) = rest.split_at(fits.count().max(1).min(rest.len()));
        rest = later;
        (!chunk.is_empty()).then_some(chunk)
    })
}

async fn publish_singly(
    connection: &Connection,
    messages: &[Outgoing],
) -> Result<(), PublishError> {
    // Owned, since a borrowed one would tie this future to one lifetime.
    stream::iter(messages.to_vec())
        .map(|message| async move { publish_one(connection, &message).await })
        .buffer_unordered(WINDOW)
        .try_collect()
        .await
}

/// Publishes one message; one that is remembered counts as published.
pub async fn publish_one(connection: &Connection, message: &Outgoing) -> Result<(), PublishError> {
    if !connection.is_connected() {
        return Err(PublishError::Unacknowledged(NOT_CONNECTED.to_owned()));
    }
    let sent = connection.publish.publish_with_headers(
        message.subject.clone(),
        message.headers.clone(),
        message.body.clone(),
    );
    let acknowledged = match timeout(SEND_TIMEOUT, sent).await {
        Err(_) => return Err(PublishError::Unacknowledged(NOT_TAKEN.to_owned())),
        Ok(Ok(acknowledgement)) => acknowledgement.await,
        Ok(Err(error)) => Err(error),
    };
    acknowledged
        .map(|_| ())
        .map_err(|error| refused(&error, &message.subject))
}

fn refused(error: &jetstream::context::PublishError, subject: &str) -> PublishError {
    let code = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<jetstream::Error>())
        .map(|error| error.error_code().0);
    match (error.kind(), code) {
        (_, Some(STREAM_FULL)) => PublishError::Full(error.to_string()),
        (PublishErrorKind::StreamNotFound, _) => PublishError::NoStream(subject.to_owned()),
        _ => PublishError::Unacknowledged(error.to_string()),
    }
}

/// The headers of an atomic batch. Source: NATS ADR-50.
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

#[derive(Deserialize)]
struct BatchAnswer {
    error: Option<jetstream::Error>,
    #[serde(default, rename = "count")]
    stored: usize,
}

/// All of `messages` or none. The error only says why the caller has to go
/// another way: the batch may have been stored all the same.
async fn publish_atomically(connection: &Connection, messages: &[Outgoing]) -> Result<(), String> {
    if !connection.is_connected() {
        return Err(NOT_CONNECTED.to_owned());
    }
    let client = connection.publish.client();
    let batch = Uuid::now_v7().simple().to_string();
    let Some((last, members)) = messages.split_last() else {
        return Ok(());
    };
    let sent = send_members(&client, &batch, members);
    timeout(SEND_TIMEOUT, sent)
        .await
        .map_err(|_| NOT_TAKEN.to_owned())?
        .map_err(|error| error.to_string())?;
    let mut headers = last.headers.clone();
    headers.insert(BATCH_ID, batch.as_str());
    headers.insert(BATCH_SEQUENCE, messages.len().to_string());
    headers.insert(BATCH_COMMIT, "1");
    let commit = client.request_with_headers(last.subject.clone(), headers, last.body.clone());
    let answer = timeout(COMMIT_TIMEOUT, commit)
        .await
        .map_err(|_| "no answer to the commit in time".to_owned())?
        .map_err(|error| error.to_string())?;
    let answer: BatchAnswer =
        serde_json::from_slice(&answer.payload).map_err(|error| error.to_string())?;
    match answer.error {
        Some(error) => Err(error.to_string()),
        None if answer.stored == messages.len() => Ok(()),
        None => Err(format!(
            "{} of {} messages were committed",
            answer.stored,
            messages.len()
        )),
    }
}

/// All but the last one, which commits them.
async fn send_members(
    client: &Client,
    batch: &str,
    members: &[Outgoing],
) -> Result<(), async_nats::PublishError> {
    for (index, message) in members.iter().enumerate() {
        let mut headers = message.headers.clone();
        headers.insert(BATCH_ID, batch);
        headers.insert(BATCH_SEQUENCE, (index + 1).to_string());
        let sent =
            client.publish_with_headers(message.subject.clone(), headers, message.body.clone());
        sent.await?;
    }
    Ok(())
}
