//! The way of an erasure, for the eraser and for the command: what a tombstone covers is deleted,
//! rows and messages, until nothing of it can come any more and a last look finds nothing.
//!
//! All that has to last is in the tombstone. What is known of the consumers is only this process's:
//! after a crash it is looked up again, and is stricter then.

use std::sync::Arc;

use async_nats::jetstream::consumer::Info;
use entity::erased_account::Model;

use crate::store::erased::covers;
use crate::store::{Store, StoreError, Told};
use crate::stream::Connection;
use crate::stream::erase::{EraseError, Messages, consumer_info, last_sequence, messages};
use crate::stream::names::{Announcement, DEAD_LETTERS, DELIVERIES, EVENTS, REPROCESS, STORED};
use crate::stream::topology::{ConsumerNames, Topology, TopologyError};

/// The streams that have messages of an account of its own.
const STREAMS: [(&str, Announcement); 4] = [
    (EVENTS, Announcement::Event),
    (STORED, Announcement::Stored),
    (DEAD_LETTERS, Announcement::DeadLetter),
    (REPROCESS, Announcement::Reprocess),
];

/// What an erasure works with.
#[derive(Clone)]
pub struct Tools {
    /// The connection to NATS.
    pub connection: Connection,
    /// The database.
    pub store: Store,
    /// What the service's own consumers are called.
    pub topology: Arc<Topology>,
}

/// Why an erasure cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ErasureError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// NATS.
    #[error(transparent)]
    Stream(#[from] EraseError),
    /// The definitions of consumers.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// Where an erasure stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Something of the account can still come.
    Waits(Waiting),
    /// Nothing is left of it outside the journal.
    Finished,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The consumer that has to get there.
    pub consumer: String,
    /// How many messages wait for it; those of other accounts are among them.
    pub messages: u64,
    /// Up to where it has done all.
    pub floor: u64,
}

/// A consumer that has to have done all up to a sequence.
struct Mark {
    consumer: ConsumerNames,
    sequence: u64,
}

/// An erasure that is under way.
pub struct Erasure {
    tombstone: Model,
    swept: bool,
    /// Where the journal ended after the tombstone was made.
    journal: Option<Mark>,
    /// Where the account's messages ended when the journal up to there was published.
    handlers: Option<Vec<Mark>>,
}

/// The streams with messages of an account, and how many.
pub async fn messages_of(
    connection: &Connection,
    ig_account_id: &str,
) -> Result<Vec<(&'static str, u64)>, EraseError> {
    let mut counts = Vec::new();
    for (stream, announcement) in STREAMS {
        let found = told(connection, stream, announcement, ig_account_id).await?;
        counts.push((stream, found.iter().map(|messages| messages.count).sum()));
    }
    Ok(counts)
}

async fn told(
    connection: &Connection,
    stream: &'static str,
    announcement: Announcement,
    ig_account_id: &str,
) -> Result<Vec<Messages>, EraseError> {
    let filter = announcement.filter(None, Some(ig_account_id));
    messages(&connection.consume, stream, &filter).await
}

impl Erasure {
    /// Goes on with an erasure of which no more is known than its tombstone.
    #[must_use]
    pub fn of(tombstone: Model) -> Self {
        Self {
            tombstone,
            swept: false,
            journal: None,
            handlers: None,
        }
    }

    /// The account and when it was erased.
    #[must_use]
    pub fn tombstone(&self) -> &Model {
        &self.tombstone
    }

    /// Deletes what is there, tells of it (a table or a stream, and how many), and finishes if
    /// nothing more can come. Safe to repeat after an error, and to do several times at once.
    pub async fn go_on(&mut self, tools: &Tools, told: Told<'_>) -> Result<Standing, ErasureError> {
        if !self.swept {
            self.sweep(tools, told).await?;
            self.swept = true;
        }
        if let Some(waiting) = self.waits(tools).await? {
            return Ok(Standing::Waits(waiting));
        }
        while self.sweep(tools, told).await? > 0 {}
        tools.store.finish_erasure(&self.tombstone).await?;
        Ok(Standing::Finished)
    }

    /// Returns how many rows and messages went.
    async fn sweep(&self, tools: &Tools, told: Told<'_>) -> Result<u64, ErasureError> {
        let mut swept = 0;
        let mut counting = |of: &'static str, gone: u64| {
            swept += gone;
            told(of, gone);
        };
        let store = &tools.store;
        store
            .delete_erased_rows(&self.tombstone, &mut counting)
            .await?;
        for (stream, announcement) in STREAMS {
            self.sweep_stream(tools, stream, announcement, &mut counting)
                .await?;
        }
        Ok(swept)
    }

    async fn sweep_stream(
        &self,
        tools: &Tools,
        stream: &'static str,
        announcement: Announcement,
        told: Told<'_>,
    ) -> Result<(), ErasureError> {
        let (connection, account) = (&tools.connection, &self.tombstone.ig_account_id);
        for messages in self::told(connection, stream, announcement, account).await? {
            let through = match handler_of(tools, &messages)? {
                Some(handler) => done_by(tools, &handler).await?,
                None => u64::MAX,
            };
            // What a handler has done of a work queue is gone already.
            if through == 0 || (stream == REPROCESS && through < u64::MAX) {
                continue;
            }
            let covered = |receipt| covers(self.tombstone.erased_at, receipt);
            let context = &connection.consume;
            told(stream, messages.delete(context, through, covered).await?);
        }
        Ok(())
    }

    async fn waits(&mut self, tools: &Tools) -> Result<Option<Waiting>, ErasureError> {
        let journal = match &mut self.journal {
            Some(mark) => mark,
            mark => mark.insert(Mark {
                sequence: last_sequence(&tools.connection.consume, DELIVERIES).await?,
                consumer: tools.topology.consumer_names("publisher", "")?,
            }),
        };
        if let Some(waiting) = journal.waits(tools).await? {
            return Ok(Some(waiting));
        }
        let account = &self.tombstone.ig_account_id;
        let handlers = match &mut self.handlers {
            Some(marks) => marks,
            marks => marks.insert(marks_of(tools, account).await?),
        };
        for mark in handlers {
            if let Some(waiting) = mark.waits(tools).await? {
                return Ok(Some(waiting));
            }
        }
        Ok(None)
    }
}

/// The handlers that have messages of the account before them, and up to where.
async fn marks_of(tools: &Tools, ig_account_id: &str) -> Result<Vec<Mark>, ErasureError> {
    let mut marks = Vec::new();
    for (stream, announcement) in STREAMS {
        for messages in told(&tools.connection, stream, announcement, ig_account_id).await? {
            let Some(consumer) = handler_of(tools, &messages)? else {
                continue;
            };
            let last = messages.last(&tools.connection.consume).await?;
            marks.extend(last.map(|sequence| Mark { consumer, sequence }));
        }
    }
    Ok(marks)
}

impl Mark {
    /// What waits for the consumer, if it has not got there.
    async fn waits(&self, tools: &Tools) -> Result<Option<Waiting>, ErasureError> {
        let Some(info) = consumer_info(&tools.connection.consume, &self.consumer).await? else {
            // Without a stream, or a handler that knows the type, nothing is in anyone's hands.
            return Ok(None);
        };
        if is_idle(&info) || info.ack_floor.stream_sequence >= self.sequence {
            return Ok(None);
        }
        Ok(Some(Waiting {
            consumer: self.consumer.name.clone(),
            messages: in_hand(&info) + info.num_pending,
            floor: info.ack_floor.stream_sequence,
        }))
    }
}

/// The handler that takes these messages. None takes what is told to others.
fn handler_of(tools: &Tools, messages: &Messages) -> Result<Option<ConsumerNames>, TopologyError> {
    let kind = match messages.stream {
        EVENTS => "handler",
        REPROCESS => "reprocess",
        _ => return Ok(None),
    };
    let event_type = messages.subject.split('.').nth(2).unwrap_or_default();
    tools.topology.consumer_names(kind, event_type).map(Some)
}

/// Up to where a handler has done all. What it has in its hands, or before it, is not taken from
/// it: what it acknowledges tells when nothing more of the account can come of it.
async fn done_by(tools: &Tools, handler: &ConsumerNames) -> Result<u64, EraseError> {
    let info = consumer_info(&tools.connection.consume, handler).await?;
    Ok(info.map_or(u64::MAX, |info| {
        let floor = info.ack_floor.stream_sequence;
        if is_idle(&info) {
            floor.max(info.delivered.stream_sequence)
        } else {
            floor
        }
    }))
}

fn is_idle(info: &Info) -> bool {
    info.num_pending == 0 && in_hand(info) == 0
}

fn in_hand(info: &Info) -> u64 {
    u64::try_from(info.num_ack_pending).unwrap_or(0)
}
