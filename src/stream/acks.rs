//! Messages that are sent to be acknowledged, and the acknowledgements that are waited for.
//!
//! async-nats keeps what it knows of a request until that is answered, also when nobody waits for it any more, and
//! lets whoever waits find out by a timeout that the connection was lost (its issue 1617; so in 0.51). Each outage
//! would leave something behind. Here a wait that ends takes its place with it, whatever ends it, and nothing is
//! sent while there is no connection: it would only pile up before it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap, Message, StatusCode, SubscribeError, Subscriber};
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::message::Outgoing;

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Why there is no acknowledgement. The message may be stored all the same.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Nobody listens on its subject: no stream takes it.
    #[error("no stream takes the subject")]
    NoStream,
    /// The connection was lost meanwhile.
    #[error("the connection to NATS was lost")]
    Lost,
    /// It did not come in time.
    #[error("no acknowledgement in time")]
    TooLate,
    /// The client refused to send it.
    #[error("it could not be sent: {0}")]
    Unsent(String),
}

/// Those who wait, each under the last token of the subject that answers it; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Waits(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Message>>,
}

impl Waits {
    /// What was sent before the connection was lost is answered no more: whoever waits need not.
    pub(super) fn lose_all(&self) {
        self.lock().waiting.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.lock().waiting.len()
    }

    fn begin(&self) -> Wait {
        let (sender, answer) = oneshot::channel();
        let mut table = self.lock();
        let token = table.next;
        table.next += 1;
        table.waiting.insert(token, sender);
        Wait {
            waits: self.clone(),
            token,
            answer,
        }
    }

    fn answered(&self, message: Message) {
        let token = message.subject.rsplit('.').next();
        let Some(token) = token.and_then(|token| token.parse().ok()) else {
            return;
        };
        let waiting = self.lock().waiting.remove(&token);
        if let Some(waiting) = waiting {
            // Who has just given up needs it no more.
            let _ = waiting.send(message);
        }
    }

    /// A panic while it was held leaves it whole: every change is one insertion or removal.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait, given back when dropped.
struct Wait {
    waits: Waits,
    token: u64,
    answer: oneshot::Receiver<Message>,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.lock().waiting.remove(&self.token);
    }
}

/// Sends messages of one client, and hands their acknowledgements to who waits for them.
#[derive(Debug)]
pub(super) struct Acknowledged {
    client: Client,
    inbox: String,
    waits: Waits,
    answers: JoinHandle<()>,
}

impl Acknowledged {
    /// For `client`; `waits` are told by the client's events that the connection was lost.
    pub(super) async fn open(client: Client, waits: Waits) -> Result<Self, SubscribeError> {
        let inbox = client.new_inbox();
        let answers = client.subscribe(format!("{inbox}.*")).await?;
        let answers = tokio::spawn(hand_out(answers, waits.clone()));
        Ok(Self {
            client,
            inbox,
            waits,
            answers,
        })
    }

    /// Sends `message` with `headers`, which may be more than its own, and returns what answers it within `within`.
    pub(super) async fn request(
        &self,
        message: &Outgoing,
        headers: HeaderMap,
        within: Duration,
    ) -> Result<Message, NoAnswer> {
        let answered = async {
            self.until_connected().await;
            let mut wait = self.waits.begin();
            let reply = format!("{}.{}", self.inbox, wait.token);
            let (subject, body) = (message.subject.clone(), message.body.clone());
            let sent = self
                .client
                .publish_with_reply_and_headers(subject, reply, headers, body);
            sent.await
                .map_err(|error| NoAnswer::Unsent(error.to_string()))?;
            (&mut wait.answer).await.map_err(|_| NoAnswer::Lost)
        };
        let answer = timeout(within, answered)
            .await
            .map_err(|_| NoAnswer::TooLate)??;
        if answer.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(NoAnswer::NoStream);
        }
        Ok(answer)
    }

    /// How many messages wait for their acknowledgement now.
    pub(super) fn waiting(&self) -> usize {
        self.waits.count()
    }

    /// Returns once there is a connection; it may be lost again at once.
    pub(super) async fn until_connected(&self) {
        while self.client.connection_state() != State::Connected {
            sleep(LOOK_EVERY).await;
        }
    }
}

async fn hand_out(mut answers: Subscriber, waits: Waits) {
    while let Some(message) = answers.next().await {
        waits.answered(message);
    }
}

impl Drop for Acknowledged {
    fn drop(&mut self) {
        self.answers.abort();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn answer(token: u64) -> Message {
        Message {
            subject: format!("_INBOX.x.{token}").into(),
            reply: None,
            payload: "{}".into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    #[tokio::test]
    async fn every_wait_gets_its_own_answer_and_leaves_nothing_behind() {
        let waits = Waits::default();
        let (mut first, mut second) = (waits.begin(), waits.begin());
        waits.answered(answer(second.token));
        waits.answered(answer(99));
        assert!((&mut second.answer).await.is_ok());
        assert!(first.answer.try_recv().is_err());
        drop(first);
        assert_eq!(waits.count(), 0);
        let mut third = waits.begin();
        waits.lose_all();
        assert!((&mut third.answer).await.is_err());
        assert_eq!(waits.count(), 0);
    }
}
