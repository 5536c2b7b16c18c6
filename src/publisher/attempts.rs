//! How often a delivery was tried that may be what ended the process each time.
//! Written down in a stream, durably, before it is tried: the publisher has no
//! database, and what is in memory ends with the process.

use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stream::Connection;
use crate::stream::bulk::{PublishError, publish_one};
use crate::stream::message::{Headers, Outgoing};
use crate::stream::names::{ATTEMPTS, attempts_subject};

/// So often a delivery is tried alone.
pub(super) const MOST: u32 = 3;

/// Why it cannot be known, or written down, how often a delivery was tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptsError {
    /// The stream cannot be read or purged.
    #[error("the stream {ATTEMPTS} cannot be read: {0}")]
    Unreadable(String),
    /// It cannot be written to.
    #[error(transparent)]
    Unwritten(#[from] PublishError),
}

#[derive(Serialize, Deserialize)]
struct Attempts {
    delivery_id: Uuid,
    attempts: u32,
}

/// Writes down that `delivery_id` is about to be tried. `false` if it was tried
/// so often before that it is not tried again.
pub(super) async fn begin(
    connection: &Connection,
    delivery_id: Uuid,
) -> Result<bool, AttemptsError> {
    let before = before(connection, delivery_id).await?;
    if before >= MOST {
        return Ok(false);
    }
    let attempts = Attempts {
        delivery_id,
        attempts: before + 1,
    };
    let body = serde_json::to_vec(&attempts)
        .map_err(|error| AttemptsError::Unreadable(error.to_string()))?;
    let message = Outgoing {
        subject: attempts_subject(delivery_id),
        headers: Headers::of_message(Uuid::now_v7().to_string()),
        body: Bytes::from(body),
    };
    publish_one(connection, &message).await?;
    Ok(true)
}

/// The delivery was not what ended the process: its attempts are forgotten.
pub(super) async fn forget(
    connection: &Connection,
    delivery_id: Uuid,
) -> Result<(), AttemptsError> {
    let stream = stream(connection).await?;
    let purged = stream.purge().filter(attempts_subject(delivery_id)).await;
    purged
        .map(drop)
        .map_err(|error| AttemptsError::Unreadable(error.to_string()))
}

async fn before(connection: &Connection, delivery_id: Uuid) -> Result<u32, AttemptsError> {
    let subject = attempts_subject(delivery_id);
    let last = stream(connection).await?;
    match last.get_last_raw_message_by_subject(&subject).await {
        // What cannot be read is no count of ours.
        Ok(message) => Ok(serde_json::from_slice(&message.payload)
            .map_or(0, |attempts: Attempts| attempts.attempts)),
        Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(0),
        Err(error) => Err(AttemptsError::Unreadable(error.to_string())),
    }
}

async fn stream(connection: &Connection) -> Result<Stream<()>, AttemptsError> {
    let stream = connection.consume.get_stream_no_info(ATTEMPTS).await;
    stream.map_err(|error| AttemptsError::Unreadable(error.to_string()))
}
