//! The NATS of the service, for commands: the server that runs, or one that is
//! started for as long as the command lasts.

use std::ops::Deref;
use std::path::PathBuf;

use super::nats::{connection_options, managed_options};
use crate::config::{Config, NatsMode};
use crate::stream::Connection;
use crate::stream::connection::ConnectionError;
use crate::stream::managed::{ManagedError, ManagedServer, has_stored, running};

/// Why a command cannot reach the NATS of the service.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No nats-server of the service's own runs.
    #[error(
        "no nats-server runs on {} (`nats.data_dir`): start `igstream serve` with the same configuration first",
        data_dir.display()
    )]
    NotRunning {
        /// Where it would store.
        data_dir: PathBuf,
    },
    /// None runs, and none can be started.
    #[error(transparent)]
    Managed(#[from] ManagedError),
    /// It cannot be reached.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// A connection to the NATS of the service.
pub struct Attached {
    connection: Connection,
    /// Started for this command, since none ran.
    server: Option<ManagedServer>,
}

impl Deref for Attached {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Attached {
    /// Closes the connection, and stops the server if it was started for it.
    pub async fn close(self) {
        self.connection.close().await;
        if let Some(server) = self.server {
            server.stop().await;
        }
    }
}

/// Connects to the NATS that the service uses. A server of the service's own that
/// does not run is started, under the lock that `serve` takes, until
/// [`Attached::close`]; where none ever ran there is nothing to see.
pub async fn attach(config: &Config) -> Result<Attached, AttachError> {
    match attach_running(config).await {
        Ok(connection) => Ok(Attached {
            connection,
            server: None,
        }),
        Err(AttachError::NotRunning { data_dir }) if has_stored(&data_dir) => start(config).await,
        Err(error) => Err(error),
    }
}

async fn start(config: &Config) -> Result<Attached, AttachError> {
    let server = ManagedServer::start(&managed_options(config)).await?;
    let urls = Some(server.url().to_owned());
    Ok(Attached {
        connection: Connection::open(&connection_options(config, urls)).await?,
        server: Some(server),
    })
}

/// As [`attach`], but starts nothing.
pub async fn attach_running(config: &Config) -> Result<Connection, AttachError> {
    let managed = match config.nats.mode {
        NatsMode::External => None,
        NatsMode::Managed => {
            let data_dir = &config.nats.data_dir;
            let not_running = || AttachError::NotRunning {
                data_dir: data_dir.clone(),
            };
            Some(running(data_dir).ok_or_else(not_running)?)
        }
    };
    Ok(Connection::open(&connection_options(config, managed)).await?)
}
