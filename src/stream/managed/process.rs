//! A server's process: a child of ours, or the orphan of an igstream that was killed.

use std::{fs::File, io, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{process::Child, time::sleep};

use super::held::is_held;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Dropped, it is killed.
#[derive(Debug)]
pub(super) enum Process {
    Child(Child),
    Orphan(Orphan),
}

impl Process {
    /// `None` once it has ended and was waited for.
    pub(super) fn id(&self) -> Option<u32> {
        match self {
            Self::Child(child) => child.id(),
            Self::Orphan(orphan) => orphan.lives().then(|| orphan.id()),
        }
    }

    /// Resolves when it ends, with how it did. May be dropped and called again.
    pub(super) async fn wait(&mut self) -> io::Result<String> {
        match self {
            Self::Child(child) => Ok(child.wait().await?.to_string()),
            Self::Orphan(orphan) => {
                while orphan.lives() {
                    sleep(LOOK_EVERY).await;
                }
                Ok("its status is not known, as another igstream started it".to_owned())
            }
        }
    }

    /// That it is gone by now is as good.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = self.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// A server that was found running. It has the lock on its directory as long as it lives, and nobody else has.
#[derive(Debug)]
pub(super) struct Orphan {
    pid: Pid,
    lock: File,
}

impl Orphan {
    /// `pid` has `lock`.
    pub(super) fn new(pid: Pid, lock: File) -> Self {
        Self { pid, lock }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    fn lives(&self) -> bool {
        is_held(&self.lock)
    }
}

/// An orphan that is adopted: only what is not handed on is ended.
impl Drop for Process {
    fn drop(&mut self) {
        if let Self::Orphan(_) = self {
            self.signal(Signal::KILL);
        }
    }
}
