//! What the service must make of what it is sent.

/// What must become of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It is new: its typed row is there.
    Stored,
    /// It was told before: one more row in the generic log, and nothing else.
    Duplicate,
    /// It ends as a dead letter.
    Dead,
    /// Its delivery is not accepted: no trace of it.
    Refused,
    /// Its delivery is accepted and dropped, since it is not Instagram's.
    Ignored,
}
