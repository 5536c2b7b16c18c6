//! Publishing many messages as quickly as one synced write an atomic batch
//! allows, each of them once.
//!
//! Every message has a `Nats-Msg-Id` that stays the same when it is sent again.
//! A batch is atomic: one id that `JetStream` remembers refuses all of it (10201),
//! so what may have been sent before goes message by message, where a repeat is
//! told apart and is a success.

use std::time::Duration;

use async_nats::jetstream;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use tracing::debug;
use uuid::Uuid;

use super::acks::NoAnswer;
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
/// How long an atomic batch may take to be sent and committed.
const BATCH_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Publishes messages one by one, and tells of each, in their order, whether it was remembered: then
/// none was added to the stream.
pub async fn publish_telling(
    connection: &Connection,
    messages: &[Outgoing],
) -> Result<Vec<bool>, PublishError> {
    stream::iter(messages.to_vec())
        .map(|message| async move { is_remembered(connection, &message).await })
        .buffered(WINDOW)
        .try_collect()
        .await
}

/// Publishes one message; one that is remembered counts as published.
pub async fn publish_one(connection: &Connection, message: &Outgoing) -> Result<(), PublishError> {
    is_remembered(connection, message).await.map(drop)
}

async fn is_remembered(connection: &Connection, message: &Outgoing) -> Result<bool, PublishError> {
    let answer = connection.publish(message).await;
    let answer = answer.map_err(|error| unanswered(&error, &message.subject))?;
    let answer = read(&answer.payload).map_err(PublishError::Unacknowledged)?;
    match answer.error {
        None => Ok(answer.duplicate),
        Some(error) if error.error_code().0 == STREAM_FULL => {
            Err(PublishError::Full(error.to_string()))
        }
        Some(error) => Err(PublishError::Unacknowledged(error.to_string())),
    }
}

fn unanswered(error: &NoAnswer, subject: &str) -> PublishError {
    match error {
        NoAnswer::NoStream => PublishError::NoStream(subject.to_owned()),
        error => PublishError::Unacknowledged(error.to_string()),
    }
}

fn read(answer: &[u8]) -> Result<Answer, String> {
    serde_json::from_slice(answer).map_err(|error| error.to_string())
}

/// What a stream answers.
#[derive(Deserialize)]
struct Answer {
    error: Option<jetstream::Error>,
    /// Whether its `Nats-Msg-Id` is remembered.
    #[serde(default)]
    duplicate: bool,
    /// How many messages of an atomic batch are stored.
    #[serde(default, rename = "count")]
    stored: usize,
}

/// The headers of an atomic batch. Source: NATS ADR-50.
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// All of `messages` or none. The error only says why the caller has to go
/// another way: the batch may have been stored all the same.
async fn publish_atomically(connection: &Connection, messages: &[Outgoing]) -> Result<(), String> {
    let batch = Uuid::now_v7().simple().to_string();
    let Some((last, members)) = messages.split_last() else {
        return Ok(());
    };
    let answered = async {
        for (message, sequence) in members.iter().zip(1_usize..) {
            let sequence = sequence.to_string();
            let place = [(BATCH_ID, batch.as_str()), (BATCH_SEQUENCE, &sequence)];
            let sent = connection.send(message, message.headers.to_map(&place));
            sent.await.map_err(|error| error.to_string())?;
        }
        let sequence = messages.len().to_string();
        let headers = last.headers.to_map(&[
            (BATCH_ID, &batch),
            (BATCH_SEQUENCE, &sequence),
            (BATCH_COMMIT, "1"),
        ]);
        let answer = connection.publish_with(last, headers, BATCH_TIMEOUT).await;
        read(&answer.map_err(|error| error.to_string())?.payload)
    };
    let answer = tokio::time::timeout(BATCH_TIMEOUT, answered)
        .await
        .map_err(|_| "the batch could not be sent in time".to_owned())??;
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
