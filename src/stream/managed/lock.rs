//! The two locks, and the orphan that still holds one.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::MetadataExt,
    path::Path,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::{ManagedError, held::is_held, process::Orphan};

/// A server that was just killed, or another command's look at the lock, holds it for a moment.
const SETTLES_WITHIN: Duration = Duration::from_millis(300);
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const DIES_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Takes the directory for this process, until the file is dropped.
pub(super) fn for_igstream(data_dir: &Path) -> Result<File, ManagedError> {
    let path = data_dir.join("igstream.lock");
    let mut file = open(&path)?;
    if !try_exclusive(&file, &path)? {
        let mut pid = String::new();
        let owner = match file.read_to_string(&mut pid).map(|_| pid.trim()) {
            Ok(pid) if !pid.is_empty() => format!("process {pid}"),
            _ => "its process is not recorded yet".to_owned(),
        };
        return Err(ManagedError::DirectoryInUse {
            data_dir: data_dir.to_owned(),
            owner,
        });
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(ManagedError::io("write", &path))?;
    Ok(file)
}

/// The server that still holds the lock of this directory, though no igstream does; `None` if none can be seen.
/// Only for the owner of [`for_igstream`]'s lock, and when no server of this process runs.
pub(super) fn orphan_on(data_dir: &Path) -> Result<Option<Orphan>, ManagedError> {
    let file = open(&data_dir.join("server.lock"))?;
    if !is_held(&file) {
        return Ok(None);
    }
    let pid = orphan(&file, data_dir).ok();
    Ok(pid.map(|pid| Orphan::new(pid, file)))
}

/// The lock that the server is to hold; an orphan that holds it is stopped first, and asked before where it
/// `answers`. Only for whom [`orphan_on`] is.
pub(super) async fn for_server(data_dir: &Path, answers: bool) -> Result<File, ManagedError> {
    let path = data_dir.join("server.lock");
    let file = open(&path)?;
    let patience = match orphan(&file, data_dir) {
        Ok(_) => Duration::ZERO,
        Err(_) => SETTLES_WITHIN,
    };
    if comes_free(&file, &path, patience).await? {
        return Ok(file);
    }
    let asked = answers.then_some((Signal::TERM, ENDS_WITHIN));
    for (signal, patience) in asked.into_iter().chain([(Signal::KILL, DIES_WITHIN)]) {
        let pid = orphan(&file, data_dir)?;
        tracing::warn!(
            pid = pid.as_raw_nonzero().get(),
            data_dir = %data_dir.display(),
            ?signal,
            "a nats-server outlived the igstream that started it; stopping it"
        );
        // That it is gone by now is as good.
        let _ = kill_process(pid, signal);
        if comes_free(&file, &path, patience).await? {
            return Ok(file);
        }
    }
    let holder = holder_of(&file).map_or_else(unseen, named);
    Err(ManagedError::ServerStays {
        data_dir: data_dir.to_owned(),
        holder,
    })
}

/// Whether a server lives on this directory.
pub(super) fn server_lives(data_dir: &Path) -> bool {
    File::open(data_dir.join("server.lock")).is_ok_and(|file| is_held(&file))
}

fn open(path: &Path) -> Result<File, ManagedError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(ManagedError::io("open", path))
}

fn try_exclusive(file: &File, path: &Path) -> Result<bool, ManagedError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(ManagedError::io("lock", path)(source)),
    }
}

async fn comes_free(file: &File, path: &Path, patience: Duration) -> Result<bool, ManagedError> {
    let until = Instant::now() + patience;
    loop {
        if try_exclusive(file, path)? {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// The process that has the lock as its standard input *and* was started on this store directory. Both, so that a
/// process that merely got the number of one recorded long ago is never ended.
fn orphan(lock: &File, data_dir: &Path) -> Result<Pid, ManagedError> {
    let stays = |holder| ManagedError::ServerStays {
        data_dir: data_dir.to_owned(),
        holder,
    };
    let pid = holder_of(lock).ok_or_else(|| stays(unseen()))?;
    if started_on(pid, data_dir) {
        return Ok(pid);
    }
    Err(stays(format!(
        "{}, which was not started on this directory",
        named(pid)
    )))
}

fn holder_of(lock: &File) -> Option<Pid> {
    let lock = lock.metadata().ok()?;
    let is_lock = |pid: &Pid| {
        fs::metadata(format!("/proc/{}/fd/0", pid.as_raw_nonzero()))
            .is_ok_and(|stdin| (stdin.dev(), stdin.ino()) == (lock.dev(), lock.ino()))
    };
    fs::read_dir("/proc")
        .ok()?
        .filter_map(|entry| {
            entry
                .ok()?
                .file_name()
                .to_str()?
                .parse()
                .ok()
                .and_then(Pid::from_raw)
        })
        .find(is_lock)
}

fn started_on(pid: Pid, data_dir: &Path) -> bool {
    let expected = store_argument(data_dir);
    fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).is_ok_and(|line| {
        line.split(|byte| *byte == 0)
            .any(|argument| argument == expected.as_encoded_bytes())
    })
}

/// The server's argument by which it is recognised.
pub(super) fn store_argument(data_dir: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--store_dir=");
    argument.push(data_dir);
    argument
}

fn named(pid: Pid) -> String {
    format!("process {}", pid.as_raw_nonzero())
}

fn unseen() -> String {
    "its process cannot be seen from here".to_owned()
}
