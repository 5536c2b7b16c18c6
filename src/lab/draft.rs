//! An item in the making.

use super::{
    expectation::Expectation,
    kind::{Kind, Place},
    shapes::Number,
};

/// An item that is not yet put into an entry.
pub(super) struct Draft {
    /// The `event_id` it must get, if that is known.
    pub event_id: Option<String>,
    /// The field of a change that tells it.
    pub field: &'static str,
    /// Where Instagram puts it most of the time.
    pub place: Place,
    /// The value of a change, or the messaging item.
    pub json: Vec<u8>,
}

/// A draft, and what comes of it later.
pub(super) type Drafts = (Draft, Option<(Kind, Expectation, Draft)>);

/// When an item happens.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// In milliseconds since 1970.
    pub ms: u64,
    /// The `entry.time` of an item that is told as a change.
    pub entry_time: Number,
}
