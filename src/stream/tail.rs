//! Following a stream from outside the pipeline: what comes, in its order, acknowledged by nobody.
//!
//! The consumer is an ephemeral one, made anew whenever something may have been lost on the way, at the
//! sequence after the last that was seen. (The client's own ordered consumer begins at the start of the
//! stream when it is made anew before its first message.)

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use chrono::{DateTime, Utc};
use tracing::warn;

use super::connection::Connection;
use super::consumer::Pull;

const LIMIT: usize = 256;
const LIMIT_BYTES: usize = 8 * 1024 * 1024;
const WAIT: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_secs(1);
/// After so long the server forgets a consumer that nobody asks.
const INACTIVE: Duration = Duration::from_secs(30);

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// After what is there now.
    New,
    /// With what came since.
    Since(DateTime<Utc>),
    /// With the first that is there.
    First,
}

/// Why a stream cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("the stream {stream} cannot be followed: {reason}")]
pub struct TailError {
    stream: String,
    reason: String,
}

/// The messages of some subjects of one stream, as they come.
pub struct Tail {
    context: jetstream::Context,
    stream: String,
    subjects: Vec<String>,
    /// What one fetch takes, in bytes.
    bytes: usize,
    next: DeliverPolicy,
    open: Open,
}

/// One consumer.
struct Open {
    pull: Pull,
    /// How many messages it has given.
    given: u64,
    /// How many it had still to give, when that was heard last.
    left: u64,
    /// How often the client had connected when it was made.
    connects: u64,
}

impl Tail {
    /// Begins to follow `subjects` of `stream`.
    pub async fn start(
        connection: &Connection,
        stream: &str,
        subjects: Vec<String>,
        start: Start,
    ) -> Result<Self, TailError> {
        let context = connection.consume.clone();
        let next = match start {
            Start::Since(start_time) => DeliverPolicy::ByStartTime { start_time },
            Start::First => DeliverPolicy::All,
            Start::New => after(state(&context, stream).await?.last_sequence),
        };
        let open = open(&context, stream, &subjects, next).await?;
        Ok(Self {
            context,
            stream: stream.to_owned(),
            subjects,
            // No single message is larger.
            bytes: LIMIT_BYTES.max(2 * connection.max_payload()),
            next,
            open,
        })
    }

    /// Whether nothing more was there when it was looked last.
    #[must_use]
    pub fn is_at_the_end(&self) -> bool {
        self.open.left == 0
    }

    /// What came next, at least one message, however long it takes: an outage is waited for.
    pub async fn next(&mut self) -> Vec<jetstream::Message> {
        loop {
            if self.may_have_lost() {
                self.reopen().await;
            }
            match self.open.pull.fetch(LIMIT, self.bytes, WAIT).await {
                Ok(messages) => {
                    let messages = self.in_order(messages);
                    if !messages.is_empty() {
                        return messages;
                    }
                }
                Err(_) => self.reopen().await,
            }
        }
    }

    /// The messages up to the first that is missing; a gap has the consumer made anew.
    fn in_order(&mut self, messages: Vec<jetstream::Message>) -> Vec<jetstream::Message> {
        let mut good = Vec::with_capacity(messages.len());
        for message in messages {
            let Ok(info) = message.info() else { continue };
            if info.consumer_sequence != self.open.given + 1 {
                self.open.connects = 0;
                break;
            }
            self.open.given += 1;
            self.open.left = info.pending;
            self.next = after(info.stream_sequence);
            good.push(message);
        }
        good
    }

    /// What was on its way when a connection broke does not come again by itself.
    fn may_have_lost(&self) -> bool {
        connects(&self.context) != self.open.connects
    }

    async fn reopen(&mut self) {
        let mut warned = false;
        loop {
            match self.try_reopen().await {
                Ok(open) => {
                    self.open = open;
                    return;
                }
                Err(error) if warned => tracing::debug!(%error, "trying again"),
                Err(error) => {
                    warn!(%error, "trying again");
                    warned = true;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_reopen(&mut self) -> Result<Open, TailError> {
        let state = state(&self.context, &self.stream).await?;
        // A stream that was made anew counts from its own beginning.
        if let DeliverPolicy::ByStartSequence { start_sequence } = self.next
            && start_sequence > state.last_sequence + 1
        {
            self.next = after(state.first_sequence.saturating_sub(1));
        }
        open(&self.context, &self.stream, &self.subjects, self.next).await
    }
}

fn after(sequence: u64) -> DeliverPolicy {
    DeliverPolicy::ByStartSequence {
        start_sequence: sequence + 1,
    }
}

fn connects(context: &jetstream::Context) -> u64 {
    let statistics = context.client().statistics();
    statistics
        .connects
        .load(std::sync::atomic::Ordering::Relaxed)
}

async fn state(context: &jetstream::Context, stream: &str) -> Result<stream::State, TailError> {
    match context.get_stream(stream).await {
        Ok(found) => Ok(found.cached_info().state.clone()),
        Err(error) => Err(failed(stream, &error)),
    }
}

async fn open(
    context: &jetstream::Context,
    stream: &str,
    subjects: &[String],
    deliver_policy: DeliverPolicy,
) -> Result<Open, TailError> {
    let connects = connects(context);
    let config = pull::Config {
        deliver_policy,
        ack_policy: AckPolicy::None,
        filter_subjects: subjects.to_vec(),
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..Default::default()
    };
    let consumer = context.create_consumer_on_stream(config, stream).await;
    let consumer = consumer.map_err(|error| failed(stream, &error))?;
    Ok(Open {
        left: consumer.cached_info().num_pending,
        pull: Pull::new(context, &consumer),
        given: 0,
        connects,
    })
}

fn failed(stream: &str, reason: &dyn std::fmt::Display) -> TailError {
    TailError {
        stream: stream.to_owned(),
        reason: reason.to_string(),
    }
}
