//! What a type says about its rows: which table, under which key, and how two
//! tellings of one row become one, whichever comes first. Pure: the store turns
//! it into statements.

use std::borrow::Cow;

use entity::columns::Column;
use serde_json::{Map, Value};

/// A table as a type writes to it.
#[derive(Debug)]
pub struct Table {
    /// Its name in the database.
    pub name: &'static str,
    /// Its columns, from its entity.
    pub columns: fn() -> &'static [Column],
    /// The columns that make a row the same row.
    pub key: &'static [&'static str],
    /// What becomes of a column when its row is there already; a column that is
    /// not named keeps what it has.
    pub merge: &'static [(&'static str, Merge)],
    /// The columns that are blanked once `is_deleted` is set, unless
    /// `privacy.keep_unsent`.
    pub blanked: &'static [&'static str],
    /// The types whose events can tell of one and the same row, each by its
    /// `object_id`; none where a row is one event's own.
    pub told_by: &'static [&'static str],
}

impl Table {
    /// What becomes of `column` when its row is there already, if a rule says so.
    #[must_use]
    pub fn rule(&self, column: &str) -> Option<Merge> {
        let named = self.merge.iter().find(|(name, _)| *name == column);
        named.map(|(_, merge)| *merge)
    }
}

/// How a column of a row that is there and of one that comes become one. None of
/// them depends on which came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// Set once is set.
    Either,
    /// The greater one.
    Greatest,
    /// Both together.
    Sum,
    /// The one whose row has the later `timestamp`; of two that are of one time
    /// the smaller, or the one that is there at all.
    Newer,
    /// The one whose row is the message itself (`message_type` is set), and what
    /// either has where the other has nothing.
    Original,
    /// The text of the highest edit; one that brings no text changes nothing.
    HighestEdit,
}

/// The rows of one event, but for what only the store knows: account, receipt,
/// conversation, raw data.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// One a row.
    pub writes: Vec<Write<'a>>,
    /// Whose conversation it belongs to.
    pub thread: Thread,
}

/// One row of one table.
#[derive(Debug)]
pub struct Write<'a> {
    /// The table.
    pub table: &'static Table,
    /// Its columns by name; the event's `data` itself where they are the same.
    pub row: Cow<'a, Map<String, Value>>,
    /// Whether the event is what the row is about, not a change to it (an edit,
    /// an unsend): only then its raw data are the row's.
    pub is_whole: bool,
}

/// Whether an event belongs to a conversation, and who is asked first for the
/// other party when neither side is the account itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Thread {
    /// To none.
    #[default]
    None,
    /// The account received it: the other party is the sender.
    Inbound,
    /// The account sent it (an echo, a self item): the other party is the
    /// recipient.
    Outbound,
}

impl Thread {
    /// Of an item that says whether the account sent it itself.
    #[must_use]
    pub fn of(outbound: bool) -> Self {
        if outbound {
            Self::Outbound
        } else {
            Self::Inbound
        }
    }

    /// The other party: whichever of sender and recipient is not the account.
    #[must_use]
    pub fn participant<'a>(
        self,
        account: &str,
        sender: Option<&'a str>,
        recipient: Option<&'a str>,
    ) -> Option<&'a str> {
        let (first, second) = match self {
            Self::None => return None,
            Self::Inbound => (sender, recipient),
            Self::Outbound => (recipient, sender),
        };
        [first, second]
            .into_iter()
            .flatten()
            .find(|party| *party != account)
    }
}

impl<'a> Plan<'a> {
    /// `row` as the one row of `table`.
    #[must_use]
    pub fn one(
        table: &'static Table,
        row: impl Into<Cow<'a, Map<String, Value>>>,
        thread: Thread,
    ) -> Self {
        Self {
            writes: vec![Write {
                table,
                row: row.into(),
                is_whole: true,
            }],
            thread,
        }
    }
}
