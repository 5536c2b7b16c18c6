//! What does not add up.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// So many differences are named; of the rest the number is told.
pub const NAMED: usize = 100;

/// What is wrong with a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LedgerWrong)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// It has a message, and no row.
    Missing,
    /// It has a row, and no message.
    Surplus,
    /// It has neither, though the journal has it.
    Lost,
}

/// A receipt that does not add up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LedgerDifference)]
pub struct Difference {
    /// What is wrong.
    pub wrong: Wrong,
    /// The receipt; `None` for a message that has none.
    pub receipt: Option<Uuid>,
    /// Its type.
    pub event_type: String,
    /// Its account, as in the subject of its message or as received.
    pub ig_account_id: String,
    /// What happened.
    pub event_id: String,
    /// The delivery it came in.
    pub delivery_id: Option<Uuid>,
    /// The sequence of its message, where it has or had one.
    pub stream_sequence: Option<u64>,
}
