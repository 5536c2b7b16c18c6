//! The nats-server of the service's own as an actor: started again when it dies, when it hangs, and when it can
//! store nothing more, which is what a full disk leaves behind.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ractor::ActorProcessingErr;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::stream::managed::{
    ACTOR, DataDir, Exit, Look, Looker, ManagedError, ManagedServer, Options, Verdict, Vigil,
};
use crate::supervisor::{Board, Child, RECOVERED_AFTER, Turn, Worker, pause_after, worker};
use crate::telemetry::metrics::actor_restarts;

/// Where the board tells of a store that is not whole though it takes deliveries.
const STORE: &str = "nats-server store";
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So much must be free on its disk before a server is started again: with less it would soon be where it was.
const ROOM_BYTES: u64 = 32 * 1024 * 1024;

/// Tells the server to stop, and that it has.
#[derive(Debug, Clone, Default)]
pub(super) struct NatsTokens {
    pub(super) stop: CancellationToken,
    pub(super) stopped: CancellationToken,
}

/// Starts the server, and returns the actor that keeps it running, and its URL.
pub(super) async fn start(
    data_dir: DataDir,
    options: Options,
    board: &Board,
    tokens: &NatsTokens,
) -> Result<(Child, String), ManagedError> {
    let looker = Looker::new()?;
    let server = ManagedServer::start_in(&data_dir, &options).await?;
    let url = server.url().to_owned();
    // The first incarnation of the actor takes the server that runs.
    let first = Arc::new(Mutex::new(Some(server)));
    let (board, tokens) = (board.clone(), tokens.clone());
    let child = worker(ACTOR, move || Keeper {
        data_dir: data_dir.clone(),
        options: options.clone(),
        board: board.clone(),
        tokens: tokens.clone(),
        looker: looker.clone(),
        vigil: Vigil::default(),
        server: first.lock().unwrap_or_else(PoisonError::into_inner).take(),
        started: Instant::now(),
        failures: 0,
        told: None,
    });
    Ok((child, url))
}

struct Keeper {
    data_dir: DataDir,
    options: Options,
    board: Board,
    tokens: NatsTokens,
    looker: Looker,
    vigil: Vigil,
    server: Option<ManagedServer>,
    started: Instant,
    /// How often in a row it did not run for long.
    failures: u32,
    /// What was last logged of what is wrong.
    told: Option<&'static str>,
}

enum Seen {
    Ended(Exit),
    Looked(Look),
}

impl Worker for Keeper {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let stop = self.tokens.stop.clone();
        tokio::select! {
            () = self.keep() => return Ok(Turn::Again),
            () = stop.cancelled() => {}
        }
        if let Some(server) = self.server.take() {
            let exit = server.stop().await;
            info!(status = exit.status, "nats-server stopped");
        }
        self.tokens.stopped.cancel();
        Ok(Turn::Done)
    }
}

impl Keeper {
    /// One step: a start, or a look.
    async fn keep(&mut self) {
        let Some(mut server) = self.server.take() else {
            return self.start().await;
        };
        let monitor = server.monitor().to_owned();
        let seen = tokio::select! {
            exit = server.wait() => Seen::Ended(exit),
            look = look(&self.looker, &monitor) => Seen::Looked(look),
        };
        match seen {
            Seen::Ended(exit) => {
                error!(%exit, "nats-server ended; it is started again");
                drop(server);
                self.again(&exit.status).await;
            }
            Seen::Looked(look) => self.act(server, look).await,
        }
    }

    async fn act(&mut self, server: ManagedServer, look: Look) {
        match self.vigil.judge(look) {
            Verdict::Well => {
                self.board.running(ACTOR);
                self.board.ended(STORE);
                self.told = None;
            }
            Verdict::Wait(reason) => self.pause("deliveries wait for nats-server", &reason),
            Verdict::Tell(reason) => {
                self.board.running(ACTOR);
                self.board.paused(STORE, &reason);
                self.tell("what nats-server stores is not whole", &reason);
            }
            Verdict::Kill(reason) => {
                self.pause("nats-server hangs; it is killed and started again", &reason);
                server.kill().await;
                return self.again(&reason).await;
            }
            Verdict::Renew(reason) => {
                if self.has_room(&reason) {
                    self.pause(
                        "nats-server can store nothing more; it is started again",
                        &reason,
                    );
                    server.stop().await;
                    return self.again(&reason).await;
                }
            }
        }
        self.server = Some(server);
    }

    async fn start(&mut self) {
        if !self.has_room("nats-server is to be started again") {
            return sleep(LOOK_EVERY).await;
        }
        self.vigil = Vigil::default();
        self.started = Instant::now();
        match ManagedServer::start_in(&self.data_dir, &self.options).await {
            Ok(server) => {
                info!("nats-server started again");
                self.server = Some(server);
                self.board.running(ACTOR);
                self.told = None;
            }
            Err(error) => {
                error!(%error, "nats-server does not start; it is tried again");
                self.again(&error.to_string()).await;
            }
        }
    }

    /// It is started in the next step, after a pause that grows as long as it does not run for a minute.
    async fn again(&mut self, reason: &str) {
        self.board.failed(ACTOR, reason);
        actor_restarts(ACTOR).increment(1);
        if self.started.elapsed() > RECOVERED_AFTER {
            self.failures = 0;
        }
        let pause = pause_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        sleep(pause).await;
    }

    /// Whether a server that is started could store; said where it could not.
    fn has_room(&mut self, reason: &str) -> bool {
        let free = self.data_dir.free_bytes().unwrap_or(u64::MAX);
        if free >= ROOM_BYTES {
            return true;
        }
        let told = format!(
            "the disk of nats.data_dir ({}) is full: {free} bytes are free, {ROOM_BYTES} are needed ({reason})",
            self.data_dir.path().display()
        );
        self.pause(
            "deliveries are answered 503 until there is room on the disk",
            &told,
        );
        false
    }

    fn pause(&mut self, what: &'static str, reason: &str) {
        self.board.paused(ACTOR, reason);
        self.tell(what, reason);
    }

    /// Once, not with every look.
    fn tell(&mut self, what: &'static str, reason: &str) {
        if self.told.replace(what) != Some(what) {
            warn!(reason, "{what}");
        }
    }
}

async fn look(looker: &Looker, monitor: &str) -> Look {
    sleep(LOOK_EVERY).await;
    looker.look(monitor).await
}
