//! Which NATS the service uses, and how it is reached.

use std::path::PathBuf;

use crate::config::{Config, NatsMode};
use crate::stream::connection::ConnectionError;
use crate::stream::managed::{Options, running};
use crate::stream::{Connection, ConnectionOptions};

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
    /// It cannot be reached.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Connects to the NATS that the service uses, as it is: a server of the service's own is not started.
pub async fn attach(config: &Config) -> Result<Connection, AttachError> {
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
