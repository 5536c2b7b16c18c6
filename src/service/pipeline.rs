//! Brings up what lies behind the receiver, as soon as the world allows it: the
//! database, the streams that need it read first, publisher, handlers, adopter, eraser, retention.

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorProcessingErr, ActorRef};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::handlers::{self, HandlerSettings, Intake, Precedence, Tools};
use crate::instagram::{EventType, types};
use crate::publisher;
use crate::store::{self, Store, StoreOptions};
use crate::stream::Connection;
use crate::stream::consumer::Pull;
use crate::stream::names::EVENTS;
use crate::stream::topology::{Topology, TopologyError};
use crate::supervisor::{Board, Child, SupervisorMessage, Turn, Worker, worker};
use crate::watch::{adopter, eraser, erasure, purger, retention};

/// The actor's name.
pub(super) const NAME: &str = "pipeline";

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the pipeline is brought up from.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) topology: Arc<Topology>,
    pub(super) connection: Connection,
    pub(super) supervisor: ActorRef<SupervisorMessage>,
    pub(super) board: Board,
    pub(super) publishes: bool,
    pub(super) handles: bool,
    pub(super) store: StoreOptions,
    pub(super) migrate: bool,
    pub(super) keep: Duration,
    pub(super) handlers: HandlerSettings,
    pub(super) retention: retention::Settings,
    pub(super) stopping: CancellationToken,
    pub(super) fatal: mpsc::Sender<String>,
}

/// Brings the streams up to date that are there, and makes those that can be
/// made without the database.
pub(super) async fn ensure_what_can_be(
    topology: &Topology,
    connection: &Connection,
) -> Result<(), TopologyError> {
    let context = &connection.consume;
    for stream in topology.stream_names() {
        if !topology.needs_database(stream)? || topology.exists(context, stream).await? {
            topology.ensure_stream(context, stream, 1).await?;
        }
    }
    // From now on the sampler sees what waits in the journal.
    topology.ensure_consumer(context, "publisher", "").await?;
    Ok(())
}

/// The pipeline's builder as a supervised child; it ends when all is up.
pub(super) fn child(plan: Plan) -> Child {
    worker(NAME, move || Builder {
        plan: plan.clone(),
        published: false,
        pause: FIRST_PAUSE,
    })
}

struct Builder {
    plan: Plan,
    published: bool,
    pause: Duration,
}

impl Worker for Builder {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        match self.build().await {
            Ok(()) => return Ok(Turn::Done),
            Err(NotYet::Wrong(error)) => {
                let _ = self.plan.fatal.send(error.to_string()).await;
                return Ok(Turn::Done);
            }
            Err(NotYet::Away(error)) => {
                warn!(
                    error,
                    pause_ms = self.pause.as_millis(),
                    "waiting for the database or for NATS; deliveries are taken"
                );
                self.plan.board.paused(store::NAME, &error);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(self.pause) => {}
            () = self.plan.stopping.cancelled() => return Ok(Turn::Done),
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(Turn::Again)
    }
}

enum NotYet {
    /// It passes.
    Away(String),
    /// Only a person can mend it.
    Wrong(TopologyError),
}

impl From<TopologyError> for NotYet {
    fn from(error: TopologyError) -> Self {
        match error {
            TopologyError::Refused { .. } => Self::Away(error.to_string()),
            wrong => Self::Wrong(wrong),
        }
    }
}

impl Builder {
    async fn build(&mut self) -> Result<(), NotYet> {
        let context = &self.plan.connection.consume;
        // A stream that is there needs no database to be published to.
        if self.plan.topology.exists(context, EVENTS).await? {
            self.start_publisher().await?;
        }
        if !self.plan.publishes && !self.plan.handles {
            return Ok(());
        }
        let store = self.open_store().await.map_err(NotYet::Away)?;
        let first = store
            .highest_sequence()
            .await
            .map_err(|error| NotYet::Away(error.to_string()))?
            + 1;
        self.plan
            .topology
            .ensure_stream(&self.plan.connection.consume, EVENTS, first)
            .await?;
        self.plan.board.running(store::NAME);
        let intakes = self.ensure_intakes().await?;
        self.keep(purger::child(
            &self.plan.connection,
            &self.plan.topology,
            &self.plan.board,
            self.plan.keep,
            &self.plan.stopping,
        )?);
        self.start_publisher().await?;
        if self.plan.handles {
            self.start_handlers(&store, &intakes);
        }
        Ok(())
    }

    async fn open_store(&self) -> Result<Store, String> {
        let store = Store::connect(&self.plan.store)
            .await
            .map_err(|error| error.to_string())?;
        if self.plan.migrate {
            let applied = migration::up(store.database(), None)
                .await
                .map_err(|error| format!("{error:#}"))?;
            if !applied.is_empty() {
                info!(
                    migrations = applied.len(),
                    "the database's schema is up to date"
                );
            }
        }
        Ok(store)
    }

    async fn start_publisher(&mut self) -> Result<(), NotYet> {
        if !self.plan.publishes || self.published {
            return Ok(());
        }
        let journal = self.consumer("publisher", "").await?;
        self.keep(publisher::child(
            &self.plan.connection,
            &journal,
            &self.plan.board,
            &self.plan.stopping,
        ));
        self.published = true;
        Ok(())
    }

    /// The handlers' consumers are there before anyone handles: what waits for
    /// them is counted from the first event on.
    async fn ensure_intakes(&self) -> Result<Vec<(&'static EventType, Intake)>, NotYet> {
        let mut intakes = Vec::new();
        for event_type in types::with_unknown() {
            let events = self.consumer("handler", event_type.name).await?;
            let reprocess = self.consumer("reprocess", event_type.name).await?;
            intakes.push((event_type, Intake::new(events, reprocess)));
        }
        Ok(intakes)
    }

    fn start_handlers(&self, store: &Store, intakes: &[(&'static EventType, Intake)]) {
        let tools = Tools {
            precedence: Precedence::new(self.plan.handlers.at_once),
            together: Arc::default(),
            connection: self.plan.connection.clone(),
            store: store.clone(),
            board: self.plan.board.clone(),
            settings: self.plan.handlers.clone(),
            stopping: self.plan.stopping.clone(),
        };
        for (event_type, intake) in intakes {
            self.keep(handlers::child(event_type, intake, &tools));
        }
        self.keep(adopter::child(
            &self.plan.connection,
            store,
            &self.plan.board,
        ));
        let tools = erasure::Tools {
            connection: self.plan.connection.clone(),
            store: store.clone(),
            topology: self.plan.topology.clone(),
        };
        let (board, stopping) = (&self.plan.board, &self.plan.stopping);
        self.keep(eraser::child(&tools, board, stopping));
        let settings = &self.plan.retention;
        self.keep(retention::child(&tools, settings, board, stopping));
    }

    async fn consumer(&self, kind: &str, event_type: &str) -> Result<Pull, NotYet> {
        let context = &self.plan.connection.consume;
        let topology = &self.plan.topology;
        let consumer = topology.ensure_consumer(context, kind, event_type);
        Ok(Pull::new(context, &consumer.await?))
    }

    fn keep(&self, child: Child) {
        if self
            .plan
            .supervisor
            .cast(SupervisorMessage::Keep(child))
            .is_err()
        {
            warn!("the supervisor is gone: the service is stopping");
        }
    }
}
