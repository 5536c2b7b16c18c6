//! The nats-server of the service's own as an actor: started again when it dies.

use std::time::Duration;

use ractor::ActorProcessingErr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config::Config;
use crate::stream::ConnectionOptions;
use crate::stream::managed::{DataDir, ManagedError, ManagedServer, Options};
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::actor_restarts;

/// The actor's name.
pub(super) const NAME: &str = "nats-server";

const PAUSE: Duration = Duration::from_millis(200);

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
    let server = ManagedServer::start_in(&data_dir, &options).await?;
    let url = server.url().to_owned();
    // The first incarnation of the actor takes the server that runs.
    let first = Arc::new(Mutex::new(Some(server)));
    let (board, tokens) = (board.clone(), tokens.clone());
    let child = worker(NAME, move || Keeper {
        data_dir: data_dir.clone(),
        options: options.clone(),
        board: board.clone(),
        tokens: tokens.clone(),
        server: first.lock().unwrap_or_else(PoisonError::into_inner).take(),
    });
    Ok((child, url))
}

struct Keeper {
    data_dir: DataDir,
    options: Options,
    board: Board,
    tokens: NatsTokens,
    server: Option<ManagedServer>,
}

impl Worker for Keeper {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let Some(mut server) = self.server.take() else {
            self.server = Some(ManagedServer::start_in(&self.data_dir, &self.options).await?);
            self.board.running(NAME);
            info!("nats-server started again");
            return Ok(Turn::Again);
        };
        let exit = tokio::select! {
            exit = server.wait() => exit,
            () = self.tokens.stop.cancelled() => {
                let exit = server.stop().await;
                info!(status = exit.status, "nats-server stopped");
                self.tokens.stopped.cancel();
                return Ok(Turn::Done);
            }
        };
        error!(%exit, "nats-server ended; it is started again");
        self.board.failed(NAME, &exit.status);
        actor_restarts(NAME).increment(1);
        drop(server);
        tokio::time::sleep(PAUSE).await;
        Ok(Turn::Again)
    }
}

/// What `nats.*` says of a server of the service's own.
pub(crate) fn managed_options(config: &Config) -> Options {
    Options {
        server_binary: config.nats.server_binary.clone(),
        data_dir: config.nats.data_dir.clone(),
        listen: config.nats.listen.to_string(),
    }
}

/// What `nats.*` says of how to connect; `managed` is the URL of a server of the
/// service's own.
pub(super) fn connection_options(config: &Config, managed: Option<String>) -> ConnectionOptions {
    let nats = &config.nats;
    let configured = || nats.url.iter().map(|url| url.expose().to_owned()).collect();
    ConnectionOptions {
        urls: managed.map_or_else(configured, |url| vec![url]),
        credentials_file: nats.credentials_file.clone(),
        tls_ca_file: nats.tls_ca_file.clone(),
        tls_client_files: nats.tls_cert_file.clone().zip(nats.tls_key_file.clone()),
    }
}
