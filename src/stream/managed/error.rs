//! Why a managed server cannot run.

use std::{io, path::PathBuf};

/// Why the managed nats-server could not be started. Each text names what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ManagedError {
    /// No nats-server anywhere.
    #[error(
        "no nats-server on PATH or at {fallback}: run `make tools`, or name one by `nats.server_binary` \
         (IGSTREAM__NATS__SERVER_BINARY)"
    )]
    NoBinary {
        /// Where one would also have been taken from.
        fallback: PathBuf,
    },
    /// What is there cannot be run.
    #[error("`{}` is no nats-server that runs here ({reason}): run `make tools`, or set `nats.server_binary` \
             (IGSTREAM__NATS__SERVER_BINARY) to one that does", path.display())]
    UnusableBinary {
        /// The file.
        path: PathBuf,
        /// What happened when it was asked for its version.
        reason: String,
    },
    /// It runs, but loses messages or lacks what the streams need.
    #[error("`{}` is nats-server {found}, but at least {needed} is needed: run `make tools`, or set \
             `nats.server_binary` (IGSTREAM__NATS__SERVER_BINARY) to a newer one", path.display())]
    OldBinary {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The oldest version that will do.
        needed: String,
    },
    /// `nats.listen` is no address.
    #[error("`nats.listen` is `{listen}`, which is not host:port, such as 127.0.0.1:4222")]
    BadListen {
        /// As configured.
        listen: String,
    },
    /// Something listens there already.
    #[error(
        "`nats.listen` is {address}, where something else listens already: stop that, or set `nats.listen` \
             (IGSTREAM__NATS__LISTEN) to a free port"
    )]
    PortTaken {
        /// As configured.
        address: String,
    },
    /// Nobody can listen there.
    #[error(
        "`nats.listen` is {address}, which cannot be listened on: set it to an address of this machine"
    )]
    CannotListen {
        /// As configured.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another igstream has the directory.
    #[error("another igstream ({owner}) uses the directory {}: stop it, or give this one a `nats.data_dir` \
             (IGSTREAM__NATS__DATA_DIR) of its own", data_dir.display())]
    DirectoryInUse {
        /// The directory.
        data_dir: PathBuf,
        /// Its process, as "process 123".
        owner: String,
    },
    /// This process has started a server there already.
    #[error("this process already runs a nats-server on {}: stop it first", data_dir.display())]
    AlreadyRunning {
        /// The directory.
        data_dir: PathBuf,
    },
    /// A server runs on the directory, and it cannot be told which or cannot be ended.
    #[error("a nats-server left on {} still runs ({holder}) and could not be stopped: end it by hand, then \
             start again", data_dir.display())]
    ServerStays {
        /// The directory.
        data_dir: PathBuf,
        /// Its process, as "process 123", or that it cannot be seen.
        holder: String,
    },
    /// It ended before it answered.
    #[error("nats-server ended while starting: {0}")]
    Ended(super::Exit),
    /// It runs but does not answer.
    #[error("nats-server did not answer within {seconds} s; its log is {}", log.display())]
    NoAnswer {
        /// How long was waited.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// There is no client to look at it with.
    #[error("no HTTP client for the nats-server's monitor: {0}")]
    NoClient(#[from] reqwest::Error),
    /// A file or process of ours failed us.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was being done, as "write".
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ManagedError {
    /// For `map_err`: names what was done and with which file.
    pub(super) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}
