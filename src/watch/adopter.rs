//! Events that were kept for want of an account are processed by themselves
//! once it is there, whoever added it: they go through `INSTAGRAM_REPROCESS` to
//! their handlers, so that they survive a crash like all else.

use std::time::Duration;

use ractor::ActorProcessingErr;
use tracing::{info, warn};

use crate::store::{self, Store, StoreError};
use crate::stream::Connection;
use crate::stream::announce::reprocess;
use crate::stream::bulk::{Freshness, publish_all};
use crate::stream::names::REPROCESS;
use crate::supervisor::{Board, Child, Turn, Worker, worker};

/// The actor's name.
pub const NAME: &str = "adopter";

const LOOK_EVERY: Duration = Duration::from_secs(1);
const PAGE: u64 = 500;

/// The adopter as a supervised child.
#[must_use]
pub fn child(connection: &Connection, store: &Store, board: &Board) -> Child {
    let (connection, store, board) = (connection.clone(), store.clone(), board.clone());
    worker(NAME, move || Adopter {
        connection: connection.clone(),
        store: store.clone(),
        board: board.clone(),
    })
}

struct Adopter {
    connection: Connection,
    store: Store,
    board: Board,
}

impl Worker for Adopter {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        match self.adopt().await {
            Ok(adopted) => {
                self.board.running(NAME);
                self.board.running(store::NAME);
                if adopted > 0 {
                    info!(
                        events = adopted,
                        "events of accounts that became known are processed"
                    );
                }
            }
            Err(error) => {
                warn!(%error, "accounts that became known cannot be looked for");
                let away = if error.is::<StoreError>() {
                    store::NAME
                } else {
                    NAME
                };
                self.board.paused(away, &error.to_string());
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(Turn::Again)
    }
}

impl Adopter {
    /// What was sent before is stored first: so nothing piles up.
    async fn adopt(&self) -> Result<usize, ActorProcessingErr> {
        let stream = self.connection.consume.get_stream(REPROCESS).await?;
        if stream.cached_info().state.messages > 0 {
            return Ok(0);
        }
        let (mut last, mut adopted) = (None, 0);
        loop {
            let page = self.store.adoptable(last.as_ref(), PAGE).await?;
            if page.is_empty() {
                return Ok(adopted);
            }
            let max_payload = self.connection.max_payload();
            let messages = page
                .iter()
                .map(|event| reprocess(event, "adopted", max_payload))
                .collect::<Result<Vec<_>, _>>()?;
            publish_all(&self.connection, &messages, Freshness::Repeated).await?;
            adopted += page.len();
            last = page.into_iter().last();
        }
    }
}
