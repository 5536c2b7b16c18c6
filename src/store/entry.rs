//! An event on its way into the database, and what became of it.

use entity::webhook_event::status::{DEAD, DUPLICATE, RETRYING, STORED, UNASSIGNED};
use sea_orm::DbErr;
use uuid::Uuid;

use crate::instagram::{Event, EventType, types};

/// An event as it comes from its stream.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The event.
    pub event: Event,
    /// The sequence of its message in `INSTAGRAM_EVENTS`; `None` when it comes
    /// to be processed once more.
    pub sequence: Option<u64>,
    /// Why it comes.
    pub occasion: Occasion,
}

/// Why an event comes to its handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Instagram told it.
    Told,
    /// It is to be processed once more, though it was given up.
    OnceMore,
    /// It is stored, and its typed rows are to be written again.
    Replay,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its rows are there: to be told. `again` if they were there before.
    Stored {
        /// The account.
        account_id: Uuid,
        /// Its typed rows.
        rows: Vec<StoredRow>,
        /// Whether an earlier delivery by `JetStream` had stored it.
        again: bool,
    },
    /// Instagram had told it before; the row says of which it is a duplicate.
    Duplicate,
    /// Its account is not known; kept until it is.
    Unassigned,
    /// It failed and will be tried again.
    Retry {
        /// How often it has been tried.
        attempts: u32,
    },
    /// It failed for good: to be told as a dead letter.
    Dead {
        /// Why.
        error: String,
        /// How often it was tried.
        attempts: u32,
        /// Its how-manieth death this is.
        deaths: u32,
    },
    /// An operator had it discarded.
    Discarded,
    /// It was stored before, and told; its typed rows were written again, or there is
    /// nothing to write.
    Replayed,
    /// It was erased with its account: nothing is kept of it, and nothing told.
    Erased,
}

/// A row that an event left.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct StoredRow {
    /// Its table.
    pub table: &'static str,
    /// Its id within the account.
    pub id: String,
}

/// What the row of a receipt says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    pub(super) status: String,
    pub(super) attempts: u32,
    pub(super) deaths: u32,
    pub(super) error: String,
    /// The account that the row belongs to.
    pub(super) account_id: Option<Uuid>,
}

/// A receipt of the batch, and what is known of it so far.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) event_type: &'static EventType,
    pub(super) event: &'a Event,
    /// The highest sequence at which the receipt came.
    pub(super) sequence: Option<u64>,
    /// Whether it comes to be processed once more, though it was given up.
    pub(super) reprocess: bool,
    /// Whether its typed rows are to be written again.
    pub(super) replay: bool,
    /// Whether nothing but a replay brings it: then it is no event that could be new.
    pub(super) is_mere_replay: bool,
    pub(super) account_id: Option<Uuid>,
    pub(super) state: State,
    /// How many rows the account was given in this transaction.
    pub(super) given: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Not yet looked at.
    New,
    /// Its row was made, or taken up again, in this transaction: its typed rows
    /// are to be written.
    Fresh,
    /// It is stored, and its typed rows are to be written again.
    Rewritten,
    /// It was to be written again, but its row is not there any more.
    Gone,
    /// There is nothing more to do: this is what its row says.
    Settled(Known),
}

impl<'a> Entry<'a> {
    pub(super) fn new(incoming: &'a Incoming, account_id: Option<Uuid>) -> Self {
        Self {
            event_type: types::by_name(&incoming.event.event_type).unwrap_or(&types::UNKNOWN),
            event: &incoming.event,
            sequence: incoming.sequence,
            reprocess: false,
            replay: false,
            is_mere_replay: true,
            account_id,
            state: State::New,
            given: 0,
        }
        .and(incoming)
    }

    /// The same receipt came once more in its batch.
    pub(super) fn and(mut self, incoming: &Incoming) -> Self {
        self.sequence = self.sequence.max(incoming.sequence);
        self.reprocess |= incoming.occasion == Occasion::OnceMore;
        self.replay |= incoming.occasion == Occasion::Replay;
        self.is_mere_replay &= incoming.occasion == Occasion::Replay;
        self
    }

    /// Whether its typed rows are to be written now.
    pub(super) fn is_fresh(&self) -> bool {
        self.state == State::Fresh
    }

    /// Whether its typed rows are to be written over what is there.
    pub(super) fn is_rewritten(&self) -> bool {
        self.state == State::Rewritten
    }

    /// Whether its event was told before, under another receipt.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(&self.state, State::Settled(known) if known.status == DUPLICATE)
    }

    /// The status of its row when it is the first of its event.
    pub(super) fn first_status(&self) -> &'static str {
        if self.event.malformed().is_some() {
            DEAD
        } else if self.account_id.is_none() {
            UNASSIGNED
        } else {
            STORED
        }
    }

    /// What its row conflicted with was deleted before it could be looked at. It
    /// is the world that changed: the next attempt finds it as it is then.
    pub(super) fn vanished(&self) -> DbErr {
        DbErr::RecordNotFound(format!(
            "the first row of event {} was deleted while receipt {} was stored; store it again",
            self.event.event_id, self.event.receipt_id
        ))
    }
}

impl Known {
    /// What became of an event whose row says so. `None` where its rows are
    /// stored: those have to be told.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        Some(match self.status.as_str() {
            STORED => return None,
            DUPLICATE => Outcome::Duplicate,
            UNASSIGNED => Outcome::Unassigned,
            RETRYING => Outcome::Retry {
                attempts: self.attempts,
            },
            DEAD => Outcome::Dead {
                error: self.error.clone(),
                attempts: self.attempts,
                deaths: self.deaths,
            },
            _ => Outcome::Discarded,
        })
    }
}

pub(super) fn unsettled<'e, 'a>(entries: &'e [Entry<'a>]) -> impl Iterator<Item = &'e Entry<'a>> {
    entries.iter().filter(|entry| entry.state == State::New)
}
