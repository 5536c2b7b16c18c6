//! Taking messages from a durable pull consumer, a batch at a time.
//!
//! The client library's own fetch ends with the server's word that it is through. A consumer with several
//! replicas says so before the messages come, which wait for a quorum: they would find nobody any more, each time,
//! until the acknowledgement wait is over. So what is asked for comes to an inbox that stays, and what comes late
//! is the next batch.

use std::time::Duration;

use async_nats::jetstream::{self, AckKind, consumer::PullConsumer};
use async_nats::{Message, StatusCode, Subscriber};
use futures::{FutureExt, StreamExt};
use serde::Serialize;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, warn};

/// How much longer than it was asked to wait the server may take to answer. It is not asked again by itself: a
/// request is lost with its connection.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long messages may come after the word that they were sent.
const COME_WITHIN: Duration = Duration::from_secs(2);

/// How long it may take to ask for messages, or to tell what becomes of them: the
/// connection takes nothing while its own queue is full.
const TELL_WITHIN: Duration = Duration::from_secs(5);

/// Why nothing could be fetched.
#[derive(Debug, thiserror::Error)]
#[error("no messages could be fetched from the consumer {consumer}: {reason}")]
pub struct FetchError {
    consumer: String,
    reason: String,
}

/// A durable pull consumer. Each clone has an inbox of its own.
#[derive(Debug)]
pub struct Pull {
    context: jetstream::Context,
    stream: String,
    consumer: String,
    inbox: Option<Inbox>,
}

impl Clone for Pull {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            stream: self.stream.clone(),
            consumer: self.consumer.clone(),
            inbox: None,
        }
    }
}

/// Where what is asked for comes.
#[derive(Debug)]
struct Inbox {
    address: String,
    subscriber: Subscriber,
    /// How often was asked: the number of the request in hand.
    requests: u64,
}

/// What is asked of the server. Source: NATS ADR-13.
#[derive(Serialize)]
struct Request {
    batch: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<usize>,
    /// In nanoseconds: so long it waits for the first message when there is none. Without it, it does not wait.
    #[serde(skip_serializing_if = "is_zero")]
    expires: u128,
    no_wait: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "Serde wants it")]
fn is_zero(nanoseconds: &u128) -> bool {
    *nanoseconds == 0
}

/// What came.
enum Came {
    Message(Message),
    /// The word that there is nothing more.
    Nothing,
    /// The word that all was sent.
    Through,
    /// The word that the next message is larger than what was left of `max_bytes`.
    TooLarge,
    /// The word that nothing will be.
    Refused(String),
    /// Of a request before.
    Old,
}

impl Pull {
    /// Takes from `consumer`, over the connection of `context`.
    #[must_use]
    pub fn new(context: &jetstream::Context, consumer: &PullConsumer) -> Self {
        let info = consumer.cached_info();
        Self {
            context: context.clone(),
            stream: info.stream_name.clone(),
            consumer: info.name.clone(),
            inbox: None,
        }
    }

    /// What the server calls the consumer.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// What waits, at most `limit` messages and `max_bytes` bytes, or one larger message; when nothing waits, the
    /// first that comes within `wait`, and what comes with it.
    pub async fn fetch(
        &mut self,
        limit: usize,
        max_bytes: usize,
        wait: Duration,
    ) -> Result<Vec<jetstream::Message>, FetchError> {
        let mut batch = Batch {
            messages: Vec::new(),
            bytes: 0,
            limit,
            max_bytes,
        };
        let inbox = self.inbox().await?;
        inbox.add_what_is_there(&mut batch);
        if batch.messages.is_empty() {
            let is_too_large = self
                .request(limit, Some(max_bytes), wait, &mut batch)
                .await?;
            if is_too_large {
                self.request(1, None, wait, &mut batch).await?;
            }
        }
        let with_context = |message| jetstream::Message {
            message,
            context: self.context.clone(),
        };
        Ok(batch.messages.into_iter().map(with_context).collect())
    }

    async fn inbox(&mut self) -> Result<&mut Inbox, FetchError> {
        let inbox = match self.inbox.take() {
            Some(inbox) => inbox,
            None => self.open_inbox().await?,
        };
        Ok(self.inbox.insert(inbox))
    }

    /// Asks, and adds what comes; whether nothing did since the first message is larger than `max_bytes`.
    async fn request(
        &mut self,
        limit: usize,
        max_bytes: Option<usize>,
        wait: Duration,
        batch: &mut Batch,
    ) -> Result<bool, FetchError> {
        let asked = timeout(TELL_WITHIN, self.ask(limit, max_bytes, wait)).await;
        asked.map_err(|elapsed| self.failed(&elapsed))??;
        self.receive(batch, Instant::now() + wait + ANSWERS_WITHIN)
            .await
    }

    async fn open_inbox(&self) -> Result<Inbox, FetchError> {
        let client = self.context.client();
        let address = client.new_inbox();
        let opened = timeout(TELL_WITHIN, client.subscribe(format!("{address}.*"))).await;
        let opened = opened.map_err(|elapsed| self.failed(&elapsed))?;
        Ok(Inbox {
            address,
            subscriber: opened.map_err(|error| self.failed(&error))?,
            requests: 0,
        })
    }

    async fn ask(
        &mut self,
        limit: usize,
        max_bytes: Option<usize>,
        wait: Duration,
    ) -> Result<(), FetchError> {
        let request = Request {
            batch: limit,
            max_bytes,
            expires: wait.as_nanos(),
            no_wait: true,
        };
        let request = serde_json::to_vec(&request).map_err(|error| self.failed(&error))?;
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            self.stream, self.consumer
        );
        let inbox = self.inbox().await?;
        inbox.requests += 1;
        let reply = inbox.reply();
        let asked = self
            .context
            .client()
            .publish_with_reply(subject, reply, request.into())
            .await;
        asked.map_err(|error| self.failed(&error))
    }

    /// Adds what comes for the request in hand, until it is through; whether the first message is too large for it.
    async fn receive(&mut self, batch: &mut Batch, deadline: Instant) -> Result<bool, FetchError> {
        let mut until = deadline;
        let mut is_through = false;
        let inbox = self.inbox().await?;
        while (batch.messages.is_empty() || !is_through) && !batch.is_full() {
            let Ok(came) = timeout_at(until, inbox.subscriber.next()).await else {
                break;
            };
            let Some(message) = came else {
                self.inbox = None;
                return Err(self.failed(&"the connection is closed"));
            };
            match inbox.read(message) {
                Came::Message(message) => batch.add(message),
                Came::Through => {
                    is_through = true;
                    until = Instant::now() + COME_WITHIN;
                }
                Came::TooLarge if batch.messages.is_empty() => return Ok(true),
                Came::Nothing | Came::TooLarge => break,
                Came::Refused(_) if !batch.messages.is_empty() => break,
                Came::Refused(reason) => return Err(self.failed(&reason)),
                Came::Old => {}
            }
        }
        inbox.add_what_is_there(batch);
        Ok(false)
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> FetchError {
        FetchError {
            consumer: self.consumer.clone(),
            reason: error.to_string(),
        }
    }
}

impl Inbox {
    fn reply(&self) -> String {
        format!("{}.{}", self.address, self.requests)
    }

    /// Adds messages that came already, without waiting for any.
    fn add_what_is_there(&mut self, batch: &mut Batch) {
        while !batch.is_full() {
            match self.subscriber.next().now_or_never().flatten() {
                Some(message) if message.status.is_none() => batch.add(message),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn read(&self, message: Message) -> Came {
        let status = match message.status {
            None | Some(StatusCode::OK) => return Came::Message(message),
            Some(status) => status,
        };
        if message.subject.as_str() != self.reply() {
            return Came::Old;
        }
        let said = message.description.unwrap_or_default();
        match (status, said.as_str()) {
            (StatusCode::NOT_FOUND | StatusCode::TIMEOUT, _) => Came::Nothing,
            // Source: nats-server, `consumer.go`.
            (_, "Batch Completed") => Came::Through,
            (_, "Message Size Exceeds MaxBytes") => Came::TooLarge,
            (status, said) => Came::Refused(format!("{status} {said}")),
        }
    }
}

/// What was taken so far.
struct Batch {
    messages: Vec<Message>,
    bytes: usize,
    limit: usize,
    max_bytes: usize,
}

impl Batch {
    fn add(&mut self, message: Message) {
        self.bytes += message.length;
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= self.limit || self.bytes >= self.max_bytes
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
