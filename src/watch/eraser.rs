//! Goes on with the erasures that are under way, whoever began them and whatever ended since: the
//! command that did, or the service.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::erasure::{Erasure, ErasureError, Standing, Tools};
use crate::store;
use crate::supervisor::{Board, Child, Turn, Worker, worker};

/// The actor's name.
pub const NAME: &str = "eraser";

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Where one is under way.
const GO_ON_EVERY: Duration = Duration::from_secs(1);

/// The eraser as a supervised child.
#[must_use]
pub fn child(tools: &Tools, board: &Board, stopping: &CancellationToken) -> Child {
    let (tools, board, stopping) = (tools.clone(), board.clone(), stopping.clone());
    worker(NAME, move || Eraser {
        tools: tools.clone(),
        board: board.clone(),
        stopping: stopping.clone(),
        under_way: HashMap::new(),
    })
}

struct Eraser {
    tools: Tools,
    board: Board,
    stopping: CancellationToken,
    under_way: HashMap<(String, DateTime<Utc>), Erasure>,
}

impl Worker for Eraser {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let stopping = self.stopping.clone();
        // What it leaves half done, the next look does.
        tokio::select! {
            () = self.look_and_rest() => Ok(Turn::Again),
            () = stopping.cancelled() => Ok(Turn::Done),
        }
    }
}

impl Eraser {
    async fn look_and_rest(&mut self) {
        match self.look().await {
            Ok(()) => self.board.running(NAME),
            Err(error) => {
                warn!(%error, "accounts that are being erased have to wait");
                let away = match error {
                    ErasureError::Store(_) => store::NAME,
                    _ => NAME,
                };
                self.board.paused(away, &error.to_string());
            }
        }
        let rest = if self.under_way.is_empty() {
            LOOK_EVERY
        } else {
            GO_ON_EVERY
        };
        tokio::time::sleep(rest).await;
    }

    async fn look(&mut self) -> Result<(), ErasureError> {
        let tombstones = self.tools.store.erasures().await?;
        self.board.running(store::NAME);
        let mut before = std::mem::take(&mut self.under_way);
        for tombstone in tombstones {
            let key = (tombstone.ig_account_id.clone(), tombstone.erased_at);
            let erasure = before
                .remove(&key)
                .unwrap_or_else(|| Erasure::of(tombstone));
            self.under_way.insert(key, erasure);
        }
        for erasure in self.under_way.values_mut() {
            go_on(&self.tools, erasure).await?;
        }
        Ok(())
    }
}

async fn go_on(tools: &Tools, erasure: &mut Erasure) -> Result<(), ErasureError> {
    let mut deleted: BTreeMap<&'static str, u64> = BTreeMap::new();
    let standing = erasure
        .go_on(tools, &mut |of, gone| {
            *deleted.entry(of).or_default() += gone;
        })
        .await?;
    deleted.retain(|_, gone| *gone > 0);
    let account = &erasure.tombstone().ig_account_id;
    if !deleted.is_empty() {
        info!(
            account,
            ?deleted,
            "rows and messages of an erased account are deleted"
        );
    }
    match standing {
        Standing::Finished => info!(
            account,
            "an account is erased: only the journal holds it still"
        ),
        Standing::Waits(waiting) => debug!(account, ?waiting, "an erasure waits"),
    }
    Ok(())
}
