//! Reading a stretch of a stream from outside the pipeline, page by page, acknowledged by nobody.
//!
//! The consumer is an ephemeral one that goes at the end. What is lost on the way is an error, never a
//! shorter page: whoever compares must not take it for something that is not there.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{RawMessageErrorKind, State};
use async_nats::jetstream::{self, ErrorCode, context::GetStreamErrorKind};
use futures::StreamExt;

const WAIT: Duration = Duration::from_millis(500);
/// After so long the server forgets a consumer that nobody asks.
const INACTIVE: Duration = Duration::from_mins(1);

/// Which messages are read.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Of this stream.
    pub stream: String,
    /// Of these subjects.
    pub filter: String,
    /// After this sequence.
    pub after: u64,
    /// Up to this sequence.
    pub up_to: u64,
    /// Without their bodies.
    pub headers_only: bool,
}

/// Why a stretch could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the stream {stream} could not be read: {reason}")]
pub struct PagesError {
    stream: String,
    reason: String,
}

/// A stretch, as it is read.
pub struct Pages {
    context: jetstream::Context,
    stretch: Stretch,
    /// `None` once everything was read.
    consumer: Option<jetstream::consumer::PullConsumer>,
    /// How many messages the consumer has given.
    given: u64,
}

impl Pages {
    /// Begins to read.
    pub async fn open(context: &jetstream::Context, stretch: Stretch) -> Result<Self, PagesError> {
        let mut pages = Self {
            context: context.clone(),
            stretch,
            consumer: None,
            given: 0,
        };
        if pages.stretch.after < pages.stretch.up_to {
            pages.consumer = Some(pages.create().await?);
        }
        Ok(pages)
    }

    async fn create(&self) -> Result<jetstream::consumer::PullConsumer, PagesError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: self.stretch.after + 1,
            },
            ack_policy: AckPolicy::None,
            filter_subject: self.stretch.filter.clone(),
            headers_only: self.stretch.headers_only,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..Default::default()
        };
        let created = self
            .context
            .create_consumer_on_stream(config, &self.stretch.stream);
        created.await.map_err(|error| self.failed(&error))
    }

    /// The next messages, at most `limit` and `max_bytes`; none when all were read.
    pub async fn next(
        &mut self,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<jetstream::Message>, PagesError> {
        while self.consumer.is_some() {
            let page = self.fetch(limit, max_bytes).await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
        Ok(Vec::new())
    }

    async fn fetch(
        &mut self,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<jetstream::Message>, PagesError> {
        let Some(consumer) = &self.consumer else {
            return Ok(Vec::new());
        };
        let fetch = consumer
            .fetch()
            .max_messages(limit)
            .max_bytes(max_bytes)
            .expires(WAIT);
        let mut fetched = fetch
            .messages()
            .await
            .map_err(|error| self.failed(&error))?;
        let (mut page, mut ended) = (Vec::new(), false);
        while let Some(message) = fetched.next().await {
            let message = message.map_err(|error| self.failed(&*error))?;
            let info = message.info().map_err(|error| self.failed(&*error))?;
            if info.consumer_sequence != self.given + 1 {
                return Err(self.failed(&"messages were lost on the way"));
            }
            self.given += 1;
            ended |= info.stream_sequence >= self.stretch.up_to;
            if info.stream_sequence <= self.stretch.up_to {
                page.push(message);
            }
        }
        if ended || (page.is_empty() && self.is_exhausted().await?) {
            self.close().await;
        }
        Ok(page)
    }

    /// Whether the server has given all there was, and all of it came.
    async fn is_exhausted(&self) -> Result<bool, PagesError> {
        let Some(consumer) = &self.consumer else {
            return Ok(true);
        };
        let info = consumer
            .get_info()
            .await
            .map_err(|error| self.failed(&error))?;
        if info.delivered.consumer_sequence != self.given {
            return Err(self.failed(&"messages were lost on the way"));
        }
        Ok(info.num_pending == 0)
    }

    /// Ends the reading.
    pub async fn close(&mut self) {
        let Some(consumer) = self.consumer.take() else {
            return;
        };
        let name = &consumer.cached_info().name;
        // One that stays is forgotten by the server, after a while.
        let _ = self
            .context
            .delete_consumer_from_stream(name, &self.stretch.stream)
            .await;
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> PagesError {
        failed(&self.stretch.stream, reason)
    }
}

fn failed(stream: &str, reason: &dyn std::fmt::Display) -> PagesError {
    PagesError {
        stream: stream.to_owned(),
        reason: reason.to_string(),
    }
}

/// What the stream holds; `None` where there is no such stream.
pub async fn state(
    context: &jetstream::Context,
    stream: &str,
) -> Result<Option<State>, PagesError> {
    match context.get_stream(stream).await {
        Ok(found) => Ok(Some(found.cached_info().state.clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(failed(stream, &error)),
        },
    }
}

/// Which message of some subjects.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// The first.
    First,
    /// The last.
    Last,
}

/// The sequence of the first or the last message of `filter`, as the stream's leader says; `None` where
/// there is none.
pub async fn sequence_of(
    context: &jetstream::Context,
    stream: &str,
    filter: &str,
    end: End,
) -> Result<Option<u64>, PagesError> {
    let found = context
        .get_stream_no_info(stream)
        .await
        .map_err(|error| failed(stream, &error))?;
    let message = match end {
        End::First => found.get_first_raw_message_by_subject(filter, 1).await,
        End::Last => found.get_last_raw_message_by_subject(filter).await,
    };
    match message {
        Ok(message) => Ok(Some(message.sequence)),
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => Ok(None),
            RawMessageErrorKind::JetStream(reason)
                if reason.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(failed(stream, &error)),
        },
    }
}
