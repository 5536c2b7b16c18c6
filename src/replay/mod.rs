//! Stored events are processed again, after a fault in the parser was mended or for
//! a new column: from the generic log, or from the deliveries in the journal.
//!
//! An event that is stored goes through `INSTAGRAM_REPROCESS` to its handler, which
//! writes its typed rows over what is there, counts nothing and tells nobody. So a
//! replay survives a crash like all else, and repeating it does no harm. What waits
//! or is dead is tried again. What has no row, though its delivery
//! is in the journal, is published like new: for that it is.

mod dead_letters;
mod deliveries;
mod log;
mod progress;
mod report;
mod work;

use crate::store::Store;
use crate::store::StoreError;
use crate::store::replayable::Replayable;
use crate::stream::Connection;
use crate::stream::bulk::PublishError;
use crate::stream::tail::TailError;

pub use dead_letters::{Retried, once_more};
pub use deliveries::from_deliveries;
pub use log::{from_log, from_log_telling};
pub use report::{Changes, Deliveries, Report};

/// What is asked for, and what it takes.
#[derive(Debug)]
pub struct Ask<'a> {
    /// The database.
    pub store: &'a Store,
    /// The connection to NATS.
    pub connection: &'a Connection,
    /// Which events.
    pub which: Replayable,
    /// Whether only to say what would go, and what that would change.
    pub dry_run: bool,
    /// How many days processed rows stay in the generic log (`retention.processed_days`); 0 is for ever.
    pub rows_stay_days: u32,
}

/// Why a replay did not come to its end. What was sent is processed all the same;
/// the whole can be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The database cannot be read.
    #[error("{0}; what was sent is processed all the same: run the replay again")]
    Store(#[from] StoreError),
    /// What is to be processed cannot be sent.
    #[error("{0}; what was sent is processed all the same: run the replay again")]
    Unsent(#[from] PublishError),
    /// The journal cannot be read.
    #[error("{0}; run the replay again once NATS is back")]
    Journal(#[from] TailError),
    /// How far the service has got cannot be seen.
    #[error(
        "how far {consumer} has got in {stream} cannot be seen: {reason}; start `igstream serve` once, which makes it, or run the replay again once NATS is back"
    )]
    Progress {
        /// The consumer.
        consumer: String,
        /// Its stream.
        stream: String,
        /// What the server says.
        reason: String,
    },
    /// An event cannot be written as JSON.
    #[error("an event cannot be written: {0}")]
    Unwritable(#[from] serde_json::Error),
}
