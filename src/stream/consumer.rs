//! Taking messages from a durable pull consumer, a batch at a time.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::FetchBuilder;
use futures::StreamExt;
use tokio::time::timeout;
use tracing::{debug, warn};

/// Why nothing could be fetched.
#[derive(Debug, thiserror::Error)]
#[error("no messages could be fetched from the consumer {consumer}: {reason}")]
pub struct FetchError {
    consumer: String,
    reason: String,
}

/// How long it may take to ask for messages, or to tell what becomes of them: the
/// connection takes nothing while its own queue is full.
const TELL_WITHIN: Duration = Duration::from_secs(5);
/// What the server says when the first message that waits is larger than all that
/// was asked for. Source: nats-server, `consumer.go`.
const TOO_LARGE: &str = "Message Size Exceeds MaxBytes";

/// A durable pull consumer.
#[derive(Debug, Clone)]
pub struct Pull(PullConsumer);

impl Pull {
    /// Takes from `consumer`.
    #[must_use]
    pub fn new(consumer: PullConsumer) -> Self {
        Self(consumer)
    }

    /// What waits, at most `limit` messages and `max_bytes` bytes, or one larger
    /// message; when nothing waits, the first that comes within `wait`, and what
    /// comes with it.
    pub async fn fetch(
        &self,
        limit: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<jetstream::Message>, FetchError> {
        let fetch = self.0.fetch().max_messages(limit).max_bytes(max_bytes);
        match self.all_of(fetch.expires(wait)).await {
            Err(error) if error.reason.contains(TOO_LARGE) => {
                self.all_of(self.0.fetch().max_messages(1).expires(wait))
                    .await
            }
            fetched => fetched,
        }
    }

    async fn all_of(&self, fetch: FetchBuilder<'_>) -> Result<Vec<jetstream::Message>, FetchError> {
        let mut batch = timeout(TELL_WITHIN, fetch.messages())
            .await
            .map_err(|elapsed| self.failed(&elapsed))?
            .map_err(|error| self.failed(&error))?;
        let mut messages = Vec::new();
        while let Some(message) = batch.next().await {
            match message {
                Ok(message) => messages.push(message),
                // What came before the failure came whole.
                Err(_) if !messages.is_empty() => break,
                Err(error) => return Err(self.failed(&*error)),
            }
        }
        Ok(messages)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> FetchError {
        FetchError {
            consumer: self.0.cached_info().name.clone(),
            reason: error.to_string(),
        }
    }
}

/// Tells the server what becomes of messages, as far as it can be told within a
/// few seconds. What it was not told means that the message comes again.
pub async fn settle(told: Vec<(&jetstream::Message, AckKind)>) {
    let tell = async {
        for (message, kind) in told {
            if let Err(error) = message.ack_with(kind).await {
                debug!(%error, "an acknowledgement could not be sent; the message comes again");
            }
        }
    };
    if timeout(TELL_WITHIN, tell).await.is_err() {
        warn!("acknowledgements could not be sent in time; their messages come again");
    }
}
