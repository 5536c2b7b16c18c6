//! Taking messages from a durable pull consumer, a batch at a time.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::PullConsumer;
use futures::StreamExt;

/// Why nothing could be fetched.
#[derive(Debug, thiserror::Error)]
#[error("no messages could be fetched from the consumer {consumer}: {reason}")]
pub struct FetchError {
    consumer: String,
    reason: String,
}

/// A durable pull consumer.
#[derive(Debug, Clone)]
pub struct Pull(PullConsumer);

impl Pull {
    /// Takes from `consumer`.
    #[must_use]
    pub fn new(consumer: PullConsumer) -> Self {
        Self(consumer)
    }

    /// What waits, at most `limit` messages and `max_bytes` bytes; when nothing
    /// waits, the first that comes within `wait`, and what comes with it.
    pub async fn fetch(
        &self,
        limit: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<jetstream::Message>, FetchError> {
        let fetch = self
            .0
            .fetch()
            .max_messages(limit)
            .max_bytes(max_bytes)
            .expires(wait);
        let mut batch = fetch
            .messages()
            .await
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
