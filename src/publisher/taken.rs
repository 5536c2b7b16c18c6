//! Messages of the journal while they are worked on.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use tokio::task::JoinHandle;
use tracing::error;

use crate::instagram::Delivery;
use crate::journal;
use crate::stream::Connection;
use crate::stream::consumer::settle;

/// How often the server is told that they are worked on: well within the
/// consumer's `ack_wait_seconds`.
const KEEP_EVERY: Duration = Duration::from_secs(3);
/// So often a message is read together with others.
const UNSUSPECTED_DELIVERIES: i64 = 3;
/// A message of the journal that cannot be read waits for a program that can.
const UNREADABLE_PAUSE: Duration = Duration::from_mins(1);

/// A message of the journal, unpacked.
pub(super) struct Read {
    /// The message itself.
    pub(super) message: Message,
    /// What it holds.
    pub(super) deliveries: Vec<Delivery>,
}

/// Messages that were fetched. As long as they are held the server hands them to
/// nobody else.
pub(super) struct Taken {
    read: Arc<Vec<Read>>,
    keeper: JoinHandle<()>,
}

impl Read {
    fn is_suspect(&self) -> bool {
        let info = self.message.info();
        info.is_ok_and(|info| info.delivered > UNSUSPECTED_DELIVERIES)
    }
}

impl Taken {
    /// Those of `messages` that can be read; the others go back.
    pub(super) async fn of(messages: Vec<Message>, connection: &Connection) -> Self {
        let mut read = Vec::new();
        for message in messages {
            match journal::unpack(&message.payload) {
                Ok(deliveries) => read.push(Read {
                    message,
                    deliveries,
                }),
                Err(error) => {
                    error!(%error, "a message of the journal cannot be read; it stays there");
                    settle(vec![(&message, AckKind::Nak(Some(UNREADABLE_PAUSE)))]).await;
                }
            }
        }
        let read = Arc::new(read);
        let keeper = tokio::spawn(keep(Arc::clone(&read), connection.clone()));
        Self { read, keeper }
    }

    /// Those that were delivered so often that one of their deliveries may be
    /// what ended the process each time; and all others.
    pub(super) fn suspects_and_others(&self) -> (Vec<&Read>, Vec<&Read>) {
        self.read.iter().partition(|read| read.is_suspect())
    }

    /// They come again after a pause; what is acknowledged does not.
    pub(super) async fn put_back(self, pause: Duration) {
        self.keeper.abort();
        settle(told(self.read.iter(), AckKind::Nak(Some(pause)))).await;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// They are done with.
pub(super) async fn acknowledge(messages: &[&Read]) {
    settle(told(messages.iter().copied(), AckKind::Ack)).await;
}

/// What is acknowledged meanwhile stays so. Without a connection nobody hears it.
async fn keep(read: Arc<Vec<Read>>, connection: Connection) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        if connection.is_connected() {
            settle(told(read.iter(), AckKind::Progress)).await;
        }
    }
}

fn told<'a>(read: impl Iterator<Item = &'a Read>, kind: AckKind) -> Vec<(&'a Message, AckKind)> {
    read.map(|read| (&read.message, kind)).collect()
}
