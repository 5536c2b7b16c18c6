//! Following a stream from outside the pipeline: what comes, in its order, acknowledged by nobody.
//!
//! The consumer is an ephemeral one, made anew whenever something may have been lost on the way, at the
//! sequence after the last that was seen. (The client's own ordered consumer begins at the start of the
//! stream when it is made anew before its first message.)

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use chrono::{DateTime, Utc};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::connection::Connection;
use super::consumer::Pull;
use super::place::{Kept, Place};

const PAUSE: Duration = Duration::from_secs(1);
/// After so long the server forgets a consumer that nobody asks.
const INACTIVE: Duration = Duration::from_secs(30);
/// How long the server may take to forget a consumer when it is told to.
const DELETED_WITHIN: Duration = Duration::from_secs(2);

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub enum Start {
    /// After a place of this stream.
    After(Place),
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

/// What is fetched at once.
#[derive(Debug, Clone, Copy)]
pub struct Portion {
    /// How many messages at most.
    pub messages: usize,
    /// How many bytes at most, unless it is one message.
    pub bytes: usize,
    /// How long to wait for the first.
    pub wait: Duration,
}

impl Portion {
    /// For one reader that does nothing else.
    pub const LARGE: Self = Self {
        messages: 256,
        bytes: 8 * 1024 * 1024,
        wait: Duration::from_secs(1),
    };
    /// For one of many readers.
    pub const SMALL: Self = Self {
        messages: 64,
        bytes: 256 * 1024,
        wait: Duration::from_secs(2),
    };
}

/// The messages of some subjects of one stream, as they come.
pub struct Tail {
    context: jetstream::Context,
    stream: String,
    subjects: Vec<String>,
    portion: Portion,
    /// See [`Place::epoch`].
    epoch: u64,
    next: DeliverPolicy,
    open: Open,
    /// The next sequence when it was looked last.
    looked: u64,
    may_have_missed: bool,
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
        portion: Portion,
    ) -> Result<Self, TailError> {
        let context = connection.consume.clone();
        let kept = kept(&context, stream).await?;
        let next = match start {
            Start::Since(start_time) => DeliverPolicy::ByStartTime { start_time },
            Start::First => DeliverPolicy::All,
            Start::New => after(kept.last),
            Start::After(place) => after(place.sequence),
        };
        let open = open(&context, stream, &subjects, next).await?;
        let mut tail = Self {
            context,
            stream: stream.to_owned(),
            subjects,
            portion,
            epoch: kept.epoch,
            next,
            open,
            looked: 0,
            may_have_missed: false,
        };
        tail.looked = tail.next_sequence().unwrap_or(kept.first);
        Ok(tail)
    }

    /// Whether nothing more was there when it was looked last.
    #[must_use]
    pub fn is_at_the_end(&self) -> bool {
        self.open.left == 0
    }

    /// Whether messages may be gone that were not given: the stream was made anew meanwhile, or keeps nothing that is
    /// so old any more.
    #[must_use]
    pub fn may_have_missed(&self) -> bool {
        self.may_have_missed
    }

    /// The place after a message that was given.
    #[must_use]
    pub fn place(&self, sequence: u64) -> Place {
        Place {
            epoch: self.epoch,
            sequence,
        }
    }

    /// What came next, at least one message, however long it takes: an outage is waited for.
    pub async fn next(&mut self) -> Vec<jetstream::Message> {
        let mut warned = false;
        loop {
            match self.turn().await {
                Ok(messages) if messages.is_empty() => warned = false,
                Ok(messages) => return messages,
                Err(error) if warned => debug!(%error, "trying again"),
                Err(error) => {
                    warn!(%error, "trying again");
                    warned = true;
                }
            }
        }
    }

    /// What came next, nothing where nothing came for a while.
    ///
    /// # Errors
    /// In an outage, after a pause: it is to be tried again.
    pub async fn turn(&mut self) -> Result<Vec<jetstream::Message>, TailError> {
        if self.may_have_lost()
            && let Err(error) = self.reopen().await
        {
            tokio::time::sleep(PAUSE).await;
            return Err(error);
        }
        let Portion {
            messages,
            bytes,
            wait,
        } = self.portion;
        if let Ok(messages) = self.open.pull.fetch(messages, bytes, wait).await {
            return Ok(self.in_order(messages));
        }
        self.open.connects = 0;
        Ok(Vec::new())
    }

    /// Looks at the stream: the place up to which all was given, if nothing waits. From time to time, so that it is
    /// known whether something [was missed](Self::may_have_missed), and the place moves on where little comes.
    pub async fn look(&mut self) -> Option<Place> {
        let kept = kept(&self.context, &self.stream).await.ok()?;
        let next = self.next_sequence()?;
        // What was to be read has been there all the time since, if the place of that time is still there.
        if kept.epoch != self.epoch || kept.first > self.looked {
            self.may_have_missed = true;
            return None;
        }
        self.looked = next;
        if !self.has_all().await {
            return None;
        }
        let sequence = kept.last.max(next - 1);
        self.next = after(sequence);
        self.looked = sequence + 1;
        Some(self.place(sequence))
    }

    /// Whether all was given that the consumer has. What the stream held before it is asked is counted in it.
    async fn has_all(&self) -> bool {
        let (consumer, stream) = (self.open.pull.consumer(), &self.stream);
        let found = self.context.get_consumer_from_stream(consumer, stream);
        let Ok(found): Result<PullConsumer, _> = found.await else {
            return false;
        };
        let info = found.cached_info();
        info.num_pending == 0 && info.delivered.consumer_sequence == self.open.given
    }

    fn next_sequence(&self) -> Option<u64> {
        match self.next {
            DeliverPolicy::ByStartSequence { start_sequence } => Some(start_sequence),
            _ => None,
        }
    }

    /// Ends it, and has the server forget the consumer at once.
    pub async fn close(self) {
        let (consumer, stream) = (self.open.pull.consumer(), &self.stream);
        let deleted = self.context.delete_consumer_from_stream(consumer, stream);
        if !matches!(timeout(DELETED_WITHIN, deleted).await, Ok(Ok(_))) {
            debug!("a consumer could not be deleted; the server forgets it by itself");
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

    async fn reopen(&mut self) -> Result<(), TailError> {
        let kept = kept(&self.context, &self.stream).await?;
        if let Some(next) = self.next_sequence() {
            let is_another = kept.epoch != self.epoch || next > kept.last + 1;
            self.may_have_missed |= is_another || next < kept.first;
            // It counts from its own beginning.
            if is_another {
                self.next = after(kept.beginning().sequence);
            }
        }
        self.epoch = kept.epoch;
        self.open = open(&self.context, &self.stream, &self.subjects, self.next).await?;
        Ok(())
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

async fn kept(context: &jetstream::Context, stream: &str) -> Result<Kept, TailError> {
    let kept = Kept::of(context, stream).await;
    kept.map_err(|error| failed(stream, &error))
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
