//! Deletes from the generic log what has stayed long enough, in small batches with pauses between them, and writes it
//! to the archive first where there is one.
//!
//! `rules` says what goes, `streams` what the streams have lost for good: a row goes after its message and its
//! delivery, so the ledger balances at any moment. Nothing has to last: after a crash the next look finds what is left.
//! Several instances share the work, see [`crate::store::retention`].

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::archive::{Archive, NotArchived};
pub use self::rules::Days;
use self::rules::{RULES, Rule, Settled, Streams, Verdict};
use self::streams::StreamsError;
use super::erasure::Tools;
use crate::store::retention::{Among, Head, Place};
use crate::store::{self, StoreError};
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::{archive_failures, retention_deleted};

mod archive;
mod files;
mod frames;
mod rules;
mod streams;

/// The actor's name.
pub const NAME: &str = "retention";

const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How many rows are looked at at once.
const PAGE: usize = 1000;
/// How many rows one transaction deletes.
const BATCH: usize = 500;
/// What a batch that is archived holds of items at most, unless it is one larger item.
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// A pause is so many times what the batch before it took: at most a fifth of one connection is used.
const PAUSE_FACTOR: u32 = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// After so long all rows are looked at once more: also those that could not go when their turn came.
const ANEW_AFTER: TimeDelta = TimeDelta::hours(6);

/// What `retention.*` says.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long rows stay.
    pub days: Days,
    /// Where they are written before they are deleted.
    pub archive_dir: Option<PathBuf>,
}

/// The actor as a supervised child.
#[must_use]
pub fn child(
    tools: &Tools,
    settings: &Settings,
    board: &Board,
    stopping: &CancellationToken,
) -> Child {
    let (tools, settings) = (tools.clone(), settings.clone());
    let (board, stopping) = (board.clone(), stopping.clone());
    worker(NAME, move || Retention {
        tools: tools.clone(),
        days: settings.days,
        archive: settings.archive_dir.clone().map(Archive::new),
        board: board.clone(),
        stopping: stopping.clone(),
        settled: Settled::default(),
        anew_at: None,
    })
}

struct Retention {
    tools: Tools,
    days: Days,
    archive: Option<Archive>,
    board: Board,
    stopping: CancellationToken,
    /// Of all rows in the order of receipts.
    settled: Settled,
    anew_at: Option<DateTime<Utc>>,
}

/// Why a look ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Streams(#[from] StreamsError),
    #[error(transparent)]
    Archive(#[from] NotArchived),
    #[error("the service stops")]
    Stopping,
    #[error("another process archives in the same directory")]
    Elsewhere,
}

impl Worker for Retention {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let looked = self.look().await;
        self.tell(looked);
        Ok(match self.rest(LOOK_EVERY).await {
            Ok(()) => Turn::Again,
            Err(_) => Turn::Done,
        })
    }
}

impl Retention {
    fn tell(&self, looked: Result<(), Ended>) {
        let away = match &looked {
            Ok(()) | Err(Ended::Stopping | Ended::Elsewhere) => {
                self.board.running(store::NAME);
                return self.board.running(NAME);
            }
            Err(Ended::Store(_)) => store::NAME,
            Err(Ended::Archive(_)) => {
                archive_failures().increment(1);
                NAME
            }
            Err(Ended::Streams(_)) => NAME,
        };
        if let Err(error) = looked {
            warn!(%error, "rows that have stayed long enough are not deleted");
            self.board.paused(away, &error.to_string());
        }
    }

    /// Waits, unless the service stops.
    async fn rest(&self, pause: Duration) -> Result<(), Ended> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stopping.cancelled() => Err(Ended::Stopping),
        }
    }

    async fn look(&mut self) -> Result<(), Ended> {
        let now = self.tools.store.now().await?;
        let streams = tokio::select! {
            streams = streams::look(&self.tools, now) => streams?,
            () = self.stopping.cancelled() => return Err(Ended::Stopping),
        };
        for rule in RULES {
            if let Some(cutoff) = self.days.cutoff(rule.kind, now) {
                self.apply(rule, now, cutoff, &streams).await?;
            }
        }
        Ok(())
    }

    async fn apply(
        &mut self,
        rule: Rule,
        now: DateTime<Utc>,
        cutoff: DateTime<Utc>,
        streams: &Streams,
    ) -> Result<(), Ended> {
        let mut place = self.first_place(rule, now);
        loop {
            let store = &self.tools.store;
            let page = store
                .heads_among(rule.among, cutoff, place, PAGE as u64)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            place = last.place();
            // Rows are written about in the order of their receipts: behind these all are younger.
            if !page.iter().any(|head| head.created_at < cutoff) {
                return Ok(());
            }
            let judged = page.iter().map(|head| rule.verdict(head, cutoff, streams));
            let verdicts: Vec<Verdict> = judged.collect();
            let going = page.iter().zip(&verdicts);
            let going = going.filter(|(_, verdict)| **verdict == Verdict::Goes);
            let going: Vec<Head> = going.map(|(head, _)| head.clone()).collect();
            for batch in going.chunks(BATCH) {
                self.delete(rule, batch).await?;
            }
            if rule.among == Among::All {
                for (head, verdict) in page.iter().zip(verdicts) {
                    self.settled.pass(head, verdict);
                }
            }
        }
    }

    /// Among all rows, where nothing has to be looked at again.
    fn first_place(&mut self, rule: Rule, now: DateTime<Utc>) -> Place {
        if rule.among != Among::All {
            return Place::default();
        }
        if self.anew_at.is_none_or(|at| now >= at) {
            self.settled = Settled::default();
            self.anew_at = Some(now + ANEW_AFTER);
        }
        self.settled.reopen();
        self.settled.place
    }

    /// Deletes those of `heads` that nobody holds, in one transaction or, where they are large, in several.
    async fn delete(&mut self, rule: Rule, heads: &[Head]) -> Result<(), Ended> {
        let mut rest = heads.to_vec();
        while !rest.is_empty() {
            let began = Instant::now();
            let (claimed, is_all) = self.delete_claimed(rule, &rest).await?;
            self.rest((began.elapsed() * PAUSE_FACTOR).clamp(SHORTEST_PAUSE, LONGEST_PAUSE))
                .await?;
            if is_all {
                return Ok(());
            }
            rest.retain(|head| !claimed.contains(&head.id));
        }
        Ok(())
    }

    /// Returns which of them went, and whether these are all that can.
    async fn delete_claimed(
        &mut self,
        rule: Rule,
        heads: &[Head],
    ) -> Result<(Vec<uuid::Uuid>, bool), Ended> {
        let began = Instant::now();
        let turn = match &mut self.archive {
            Some(archive) => Some(archive.take_turn().await?.ok_or(Ended::Elsewhere)?),
            None => None,
        };
        let bytes = turn.is_some().then_some(BATCH_BYTES);
        let claim = self.tools.store.claim(heads, bytes).await?;
        if claim.receipts().is_empty() {
            return Ok((Vec::new(), true));
        }
        let (receipts, is_all) = (claim.receipts().to_vec(), claim.is_all());
        let mut archived = None;
        if let (Some(archive), Some(turn)) = (&mut self.archive, turn) {
            let lines = claim.lines().await?;
            // Nobody else archives these before they are deleted.
            archived = Some(archive.append(turn, lines).await?);
        }
        #[cfg(debug_assertions)]
        crate::fault::in_retention();
        let rows = claim.delete().await?;
        retention_deleted(rule.kind).increment(rows);
        info!(
            kind = rule.kind.as_str(),
            rows,
            archived_bytes = archived.map(|(_, bytes)| bytes),
            took_ms = began.elapsed().as_millis(),
            "rows that have stayed long enough are deleted"
        );
        Ok((receipts, is_all))
    }
}
