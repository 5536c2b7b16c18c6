//! The turns of a handler: how often it takes a batch, and how many it has under way.
//!
//! One batch at a time would bound a type by the waits of one batch, whatever its priority: while it is announced,
//! the database has nothing of this type to do. So where a batch is full, the next is taken beside it.
//!
//! And where batches are small, a turn costs more than its events. So turns begin a moment apart: an event that
//! comes after a pause goes at once, and those of a stream go some together.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, join};
use ractor::ActorProcessingErr;
use tokio::time::{Instant, sleep_until};

use super::{Handler, Unfinished};
use crate::supervisor::{Turn, Worker};

/// Batches of one type under way at once. Each is in memory several times over.
const LANES: usize = 2;
/// How far apart turns begin, unless batches are full.
const APART: Duration = Duration::from_millis(10);

/// The lanes of one type.
pub(super) struct Lanes {
    lanes: Vec<Handler>,
    /// When the next turn begins at the earliest.
    next: Instant,
}

impl Lanes {
    pub(super) fn new(lane: impl Fn() -> Handler) -> Self {
        Self {
            lanes: std::iter::repeat_with(lane).take(LANES).collect(),
            next: Instant::now(),
        }
    }
}

impl Worker for Lanes {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        if self.lanes.iter().all(Handler::is_cut_off) {
            return Ok(Turn::Done);
        }
        sleep_until(self.next).await;
        let began = Instant::now();
        match in_lanes(&mut self.lanes).await {
            Ok(was_full) => {
                self.next = if was_full { began } else { began + APART };
                Ok(Turn::Again)
            }
            Err(Unfinished::Stopping) => Ok(Turn::Done),
            Err(Unfinished::Failed(error)) => Err(error),
        }
    }
}

/// Takes a batch, and one for each of the other lanes while batches are full: whether the first was.
fn in_lanes(lanes: &mut [Handler]) -> BoxFuture<'_, Result<bool, Unfinished>> {
    Box::pin(async move {
        let Some((lane, others)) = lanes.split_first_mut() else {
            return Ok(false);
        };
        let Some((batch, is_full)) = lane.take().await? else {
            return Ok(false);
        };
        if !is_full || others.is_empty() {
            lane.process_parts(batch).await?;
            return Ok(is_full);
        }
        let this = AssertUnwindSafe(lane.process_parts(batch)).catch_unwind();
        let others = AssertUnwindSafe(in_lanes(others)).catch_unwind();
        match join(this, others).await {
            // The other lane is through: it is not given up in the middle of its batch.
            (Err(panic), _) | (_, Err(panic)) => resume_unwind(panic),
            (Ok(this), Ok(others)) => this.and(others).map(|_| true),
        }
    })
}
