//! The directory a managed server stores in.

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::fs::statvfs;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{ManagedError, lock};
use crate::stream::monitor::Sync;

const SERVER_CONF: &str = include_str!("../../../nats/server.conf");

/// When the server syncs, as its configuration says.
#[must_use]
pub fn sync() -> Sync {
    /// The server's default.
    const DEFAULT: Duration = Duration::from_mins(2);
    let always = |line: &str| line.trim() == "sync_interval: always";
    if SERVER_CONF.lines().any(always) {
        Sync::Always
    } else {
        Sync::Every(DEFAULT)
    }
}

/// Holds a data directory for this process. It outlives the servers that run in it, one after another: clones share
/// the hold, and each server keeps one.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    _lock: Arc<File>,
    slot: Arc<Mutex<Slot>>,
}

/// Held by the one server that may run.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The free port that was chosen for the first server; later ones keep it, so that clients find them again.
    pub(super) chosen_port: Option<u16>,
}

/// How the running server is reached; `server.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) pid: u32,
    pub(super) url: String,
    /// Where it tells of itself over HTTP.
    pub(super) monitor: String,
}

impl DataDir {
    /// Takes the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// [`ManagedError::DirectoryInUse`] if another process holds it; [`ManagedError::Io`].
    pub fn open(path: &Path) -> Result<Self, ManagedError> {
        // The journal holds what people wrote to each other.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(ManagedError::io("create", path))?;
        let path = path
            .canonicalize()
            .map_err(ManagedError::io("find", path))?;
        let lock = Arc::new(lock::for_igstream(&path)?);
        Ok(Self {
            path,
            _lock: lock,
            slot: Arc::default(),
        })
    }

    /// Its absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that are free for us on its disk; `None` where the system does not tell.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.path)
    }

    pub(super) fn claim(&self) -> Result<OwnedMutexGuard<Slot>, ManagedError> {
        Arc::clone(&self.slot)
            .try_lock_owned()
            .map_err(|_| ManagedError::AlreadyRunning {
                data_dir: self.path.clone(),
            })
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.path.join("server.conf")
    }

    pub(super) fn ports(&self) -> PathBuf {
        self.path.join("ports")
    }

    /// Clears the ports of an earlier server, and writes the configuration of the next.
    pub(super) fn prepare(&self) -> Result<(), ManagedError> {
        let ports = self.ports();
        absent_is_fine(fs::remove_dir_all(&ports)).map_err(ManagedError::io("clear", &ports))?;
        fs::create_dir(&ports).map_err(ManagedError::io("create", &ports))?;
        fs::write(self.conf(), SERVER_CONF).map_err(ManagedError::io("write", self.conf()))
    }

    /// Tells other commands how to reach the server.
    pub(super) fn record(&self, record: &Record) -> Result<(), ManagedError> {
        let path = record_path(&self.path);
        let fresh = path.with_extension("json.new");
        let written = serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|json| fs::write(&fresh, json));
        written
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(ManagedError::io("write", &path))
    }

    pub(super) fn forget(&self) -> Result<(), ManagedError> {
        let path = record_path(&self.path);
        absent_is_fine(fs::remove_file(&path)).map_err(ManagedError::io("remove", &path))
    }
}

/// The URL of the server that runs on `data_dir`, whichever process started it; `None` if none does or it is not up
/// yet. Takes no lock that would keep a server from starting.
#[must_use]
pub fn running(data_dir: &Path) -> Option<String> {
    Some(recorded(data_dir)?.url)
}

/// The URL of the monitor of the server that runs on `data_dir`; `None` as for [`running`].
#[must_use]
pub fn monitor_of(data_dir: &Path) -> Option<String> {
    Some(recorded(data_dir)?.monitor)
}

fn recorded(data_dir: &Path) -> Option<Record> {
    let record = serde_json::from_slice(&fs::read(record_path(data_dir)).ok()?).ok()?;
    lock::server_lives(data_dir).then_some(record)
}

/// Bytes that are free for us on the disk of a path that is there; `None` where the system does not tell.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let room = statvfs(path).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Whether a server ever ran on `data_dir`.
#[must_use]
pub fn has_stored(data_dir: &Path) -> bool {
    data_dir.join("jetstream").is_dir()
}

fn record_path(data_dir: &Path) -> PathBuf {
    data_dir.join("server.json")
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| {
        if error.kind() == io::ErrorKind::NotFound {
            Ok(())
        } else {
            Err(error)
        }
    })
}
