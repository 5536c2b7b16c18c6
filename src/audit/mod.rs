//! The ledger: what was received against what is stored, from the streams and the database alone.
//!
//! A receipt is one item of one delivery. It has one message on `INSTAGRAM_EVENTS` (copies after a crash
//! longer than the stream's window) and one row. A handler acknowledges a message after its row is
//! committed, so of a type all that is at or below its handler's floor F must have a row, and each row from
//! there its message. Everything changes while it is compared; what makes the numbers true all the same is
//! the order of reading:
//!
//! 1. F. What is acknowledged by then stays so, and has its row from then on.
//! 2. A page of messages; those up to F are compared.
//! 3. The rows whose `stream_sequence` lies in the page's stretch of the stream, then by receipt the rows
//!    of the messages that found none there.
//! 4. The tombstones: an erasure writes its own before it deletes anything.
//! 5. Only where something does not match: what the stream holds of the type. Rows and messages go away
//!    by retention: a message is purged before its row is deleted. So a message without a row that is still
//!    in the stream now is missing one, and one that is not is left out.
//!
//! The cases that look like a fault and are none:
//!
//! - **Copies.** A row's `stream_sequence` is that of its latest copy. A message whose row is at another
//!   sequence up to F is a copy, and is counted there. Where the row's copy lies after F (raised meanwhile,
//!   or the earlier one at or below F alone), the row is counted here, once a receipt. A row whose message
//!   is gone while an earlier copy is there is found by a second reading, which only a suspicion sets off.
//! - **Rows without a sequence** were made from `INSTAGRAM_REPROCESS`. They lie in no stretch; one whose
//!   message is there is found by its receipt.
//! - **The purger** goes subject by subject, so the stream's first sequence may lie far below the first
//!   message of a type. A row from below that whose delivery is older than `stream.keep_days` (and an hour,
//!   for clocks) may have been purged, and is left out. A younger one was not: it is surplus.
//! - **An idle handler's floor is 0**, as is that of a consumer made anew: nothing is compared, and what
//!   has no row is in flight.
//! - **A stream made anew** starts above every row; what lies below its first sequence is left out. One
//!   that is not there yet holds nothing, and all rows are left out.
//! - **Erased accounts** are left out of both sides, by the account's token in the subject or the row.
//!
//! Memory holds a page of messages and one of rows, and what is suspected, up to a bound.

mod deep;
mod difference;
mod items;
mod journal;
mod ledger;
mod named;
mod pass;
mod suspects;
mod told;

use std::time::Duration;

use async_nats::jetstream;
use futures::FutureExt;
use futures::future::BoxFuture;
use tracing::warn;

use crate::instagram::types;
use crate::store::{Store, StoreError};
use crate::stream::pages::PagesError;
use crate::stream::topology::{ConsumerNames, Topology, TopologyError};

pub use difference::{Difference, NAMED, Wrong};
pub use ledger::{Counts, Deep, Ledger, Rows, TypeLedger, Waiting};
use named::Named;

/// How many messages or rows are held at once.
const PAGE: usize = 10_000;
/// A page's weight, in bytes; one of the journal can be as heavy as a single message.
const PAGE_BYTES: usize = 16 * 1024 * 1024;
/// A server that is started again breaks a reading off; it is begun anew so often.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// Why no ledger could be drawn up. It says nothing about whether the books balance.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A stream cannot be read.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// A consumer cannot be looked at.
    #[error("the consumer {name} could not be looked at: {reason}")]
    Consumer {
        /// The consumer.
        name: String,
        /// What the server says.
        reason: String,
    },
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The definitions of consumers are wrong.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// What the ledger is drawn up from.
pub struct Sources<'a> {
    /// The streams.
    pub context: &'a jetstream::Context,
    /// What consumers are called.
    pub topology: &'a Topology,
    /// The database. Only read.
    pub store: &'a Store,
    /// How long messages are kept before they may be purged (`stream.keep_days`).
    pub keep: Duration,
}

/// How far a consumer has got.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Everything at or below it is acknowledged.
    floor: u64,
    /// Whether anything after it waits.
    waits: bool,
}

/// Draws up the ledger; `is_deep` begins at the journal.
pub async fn audit(sources: &Sources<'_>, is_deep: bool) -> Result<Ledger, AuditError> {
    // First the journal: what leaves it meanwhile is in flight twice rather than not at all.
    let journal = patiently(|| journal::waiting(sources).boxed()).await?;
    let (mut ledgers, mut named) = (Vec::new(), Named::default());
    for event_type in types::with_unknown() {
        let (ledger, differences) =
            patiently(|| pass::of_type(sources, event_type).boxed()).await?;
        ledgers.push(ledger);
        named.append(differences);
    }
    let deep = if is_deep {
        let (deep, lost) = patiently(|| deep::compare(sources, &named).boxed()).await?;
        named.append(lost);
        Some(deep)
    } else {
        None
    };
    Ok(Ledger::of(journal, ledgers, deep, named))
}

/// Nothing half read counts: what breaks off is begun anew.
async fn patiently<'a, T>(
    mut read: impl FnMut() -> BoxFuture<'a, Result<T, AuditError>>,
) -> Result<T, AuditError> {
    for _ in 1..ATTEMPTS {
        match read().await {
            Err(error) => warn!(%error, "reading again"),
            done => return done,
        }
        tokio::time::sleep(PAUSE).await;
    }
    read().await
}

impl Sources<'_> {
    async fn progress(&self, names: &ConsumerNames) -> Result<Progress, AuditError> {
        let info = names.info(self.context).await;
        let info = info.map_err(|error| AuditError::Consumer {
            name: names.name.clone(),
            reason: error.to_string(),
        })?;
        // One that is not there yet has everything before it.
        let none = Progress {
            floor: 0,
            waits: true,
        };
        Ok(info.map_or(none, |info| Progress {
            floor: info.ack_floor.stream_sequence,
            waits: info.num_pending > 0 || info.num_ack_pending > 0,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The management API draws it up on any of its threads. Checked when it is compiled.
    #[test]
    fn a_ledger_can_be_drawn_up_on_any_thread() {
        fn is_send<T: Send>(_: impl FnOnce(&'static Sources<'static>) -> T) {}
        is_send(|sources| audit(sources, true));
    }
}
