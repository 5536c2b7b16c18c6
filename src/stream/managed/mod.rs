//! A nats-server of our own: started, watched and stopped with the service.
//!
//! nats-server takes no lock on its store directory: a second one on the same directory starts, and messages
//! that were acknowledged are lost. So two locks guard ours. `igstream.lock` is held by the igstream process
//! ([`DataDir`]). `server.lock` is handed to the server as its standard input and lives exactly as long as the
//! server does, also when igstream is killed: whoever comes next finds the orphan by it, and takes it over, or stops
//! it and waits.
//!
//! In the data directory: `jetstream/` (the streams), `server.conf` (written at each start), `server.log` (bounded,
//! a few rotated ones beside it), `server.err` (what it says before it has a log, and its last words), `server.json`
//! (how to reach it), `ports/`, and the two locks.

mod adoption;
mod binary;
mod data_dir;
mod error;
mod exit;
mod health;
mod held;
mod invocation;
mod listen;
mod lock;
mod log;
mod process;
mod ready;
mod server;

use std::path::PathBuf;

pub use binary::Binary;
pub use data_dir::{DataDir, free_bytes, has_stored, monitor_of, running, sync};
pub use error::ManagedError;
pub use exit::Exit;
pub use health::{Look, Verdict, Vigil, look};
pub use server::ManagedServer;

/// The name of the actor that keeps it running, as in `/readyz` and in labels.
pub const ACTOR: &str = "nats-server";

/// What a managed server needs to know; the configuration's `nats.*`.
#[derive(Debug, Clone)]
pub struct Options {
    /// `nats.server_binary`; without it the first nats-server that is new enough, on `PATH`, then in `.tools/bin`.
    pub server_binary: Option<PathBuf>,
    /// `nats.data_dir`: made if absent, readable by its owner only.
    pub data_dir: PathBuf,
    /// `nats.listen`, `host:port`. Port `0` (or `-1`) takes a free one, which later servers on the same
    /// [`DataDir`] keep.
    pub listen: String,
}

/// The nats-server that would be run. Starts nothing.
///
/// # Errors
/// [`ManagedError`]: none is there, or none that will do.
pub async fn find_binary(options: &Options) -> Result<Binary, ManagedError> {
    binary::find(options.server_binary.as_deref()).await
}

/// Whether a server could listen at `nats.listen` now. Nothing stays open.
///
/// # Errors
/// [`ManagedError`]: it is no address, not of this machine, or something listens there.
pub async fn ensure_listen_free(options: &Options) -> Result<(), ManagedError> {
    listen::Listen::parse(&options.listen)?.ensure_free().await
}
