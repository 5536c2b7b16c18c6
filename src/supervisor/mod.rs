//! Who runs, who failed, and when it is tried again.

mod board;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};
use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr,
    SupervisionEvent,
};
use tracing::{debug, error, info, warn};

use crate::telemetry::metrics::actor_restarts;

pub use board::{ActorState, ActorStatus, Board};
pub use worker::{Turn, Worker, worker};

/// The first pause before a restart; it doubles with each failure in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An actor that ran so long has recovered: its next failure is its first.
pub(crate) const RECOVERED_AFTER: Duration = Duration::from_mins(1);

type Start =
    Arc<dyn Fn(ActorCell) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync>;

/// An actor to be kept running.
#[derive(Clone)]
pub struct Child {
    /// As in labels and in `/readyz`.
    pub name: &'static str,
    start: Start,
}

impl Child {
    /// `start` spawns the actor linked to the supervisor it is given.
    pub fn new<F>(
        name: &'static str,
        start: impl Fn(ActorCell) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self {
            name,
            start: Arc::new(move |supervisor| Box::pin(start(supervisor))),
        }
    }
}

/// What a supervisor is told.
pub enum SupervisorMessage {
    /// Start an actor, and keep it running from now on.
    Keep(Child),
    /// Its pause is over.
    Restart(&'static str),
    /// Restart nothing any more; let the actors of each group finish what they
    /// have, one group after the other, and answer when they have.
    Drain(Vec<Vec<&'static str>>, RpcReplyPort<()>),
}

/// Starts actors and restarts those that fail.
pub struct Supervisor;

/// What a supervisor knows.
pub struct Children {
    board: Board,
    kept: HashMap<&'static str, Kept>,
    names: HashMap<ActorId, &'static str>,
    draining: bool,
}

struct Kept {
    child: Child,
    cell: Option<ActorCell>,
    failures: u32,
    started: Instant,
}

impl Actor for Supervisor {
    type Msg = SupervisorMessage;
    type State = Children;
    type Arguments = Board;

    async fn pre_start(
        &self,
        _: ActorRef<Self::Msg>,
        board: Board,
    ) -> Result<Children, ActorProcessingErr> {
        Ok(Children {
            board,
            kept: HashMap::new(),
            names: HashMap::new(),
            draining: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SupervisorMessage::Keep(child) => {
                let name = child.name;
                let kept = Kept {
                    child,
                    cell: None,
                    failures: 0,
                    started: Instant::now(),
                };
                state.kept.insert(name, kept);
                state.start(&myself, name).await;
            }
            SupervisorMessage::Restart(name) => state.start(&myself, name).await,
            SupervisorMessage::Drain(groups, reply) => {
                for group in groups {
                    state.drain(&group).await;
                }
                let _ = reply.send(());
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(who, error) => {
                state.failed(&myself, &who, &error.to_string());
            }
            SupervisionEvent::ActorTerminated(who, _, _) => state.ended(&who),
            _ => {}
        }
        Ok(())
    }
}

impl Children {
    async fn start(&mut self, myself: &ActorRef<SupervisorMessage>, name: &'static str) {
        if self.draining {
            return;
        }
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        match (kept.child.start)(myself.get_cell()).await {
            Ok(cell) => {
                kept.started = Instant::now();
                self.names.insert(cell.get_id(), name);
                kept.cell = Some(cell);
                self.board.running(name);
            }
            Err(error) => self.restart_later(myself, name, &error.to_string()),
        }
    }

    fn failed(&mut self, myself: &ActorRef<SupervisorMessage>, who: &ActorCell, error: &str) {
        if let Some(name) = self.names.remove(&who.get_id()) {
            self.restart_later(myself, name, error);
        }
    }

    /// An actor that ends by itself has done what it was for.
    fn ended(&mut self, who: &ActorCell) {
        if let Some(name) = self.names.remove(&who.get_id()) {
            self.kept.remove(name);
            self.board.ended(name);
        }
    }

    fn restart_later(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        name: &'static str,
        error: &str,
    ) {
        let Some(kept) = self.kept.get_mut(name) else {
            return;
        };
        kept.cell = None;
        if kept.started.elapsed() > RECOVERED_AFTER {
            kept.failures = 0;
        }
        let pause = pause_after(kept.failures);
        kept.failures += 1;
        kept.started = Instant::now();
        self.board.failed(name, error);
        if self.draining {
            warn!(
                actor = name,
                error, "an actor failed while the service was stopping"
            );
            return;
        }
        error!(
            actor = name,
            error,
            pause_ms = pause.as_millis(),
            "an actor failed; it is started again after a pause"
        );
        actor_restarts(name).increment(1);
        myself.send_after(pause, move || SupervisorMessage::Restart(name));
    }

    async fn drain(&mut self, group: &[&'static str]) {
        self.draining = true;
        let drained = group
            .iter()
            .filter_map(|name| Some((*name, self.kept.get(name)?.cell.clone()?)));
        join_all(drained.map(|(name, cell)| async move {
            match cell.drain_and_wait(None).await {
                Ok(()) => info!(actor = name, "stopped"),
                // It has stopped by itself, having seen that the service stops.
                Err(error) => debug!(actor = name, %error, "stopped already"),
            }
        }))
        .await;
    }
}

/// The pause before the next start, after so many failures in a row.
pub(crate) fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(2u32.saturating_pow(failures))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause_after(0), Duration::from_millis(100));
        assert_eq!(pause_after(3), Duration::from_millis(800));
        assert_eq!(pause_after(1000), LONGEST_PAUSE);
    }
}
