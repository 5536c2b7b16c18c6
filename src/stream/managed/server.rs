//! One run of the server: start, wait, stop.

use std::{io, time::Duration};

use rustix::process::Signal;
use tokio::{sync::OwnedMutexGuard, time::timeout};

use super::{
    DataDir, ManagedError, Options,
    adoption::{self, Left},
    binary,
    data_dir::{Record, Slot},
    exit::{Exit, exit},
    invocation::Invocation,
    listen::Listen,
    lock,
    log::RunLog,
    process::{Orphan, Process},
    ready::{Listening, until_ready},
};

const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// A running nats-server. Dropped, it is killed, which loses nothing that was acknowledged; [`stop`](Self::stop)
/// is kinder to its clients.
#[derive(Debug)]
pub struct ManagedServer {
    process: Process,
    url: String,
    monitor: String,
    log: RunLog,
    data_dir: DataDir,
    _slot: OwnedMutexGuard<Slot>,
}

impl ManagedServer {
    /// Takes the data directory and starts a server on it; returns when it answers.
    ///
    /// # Errors
    /// As [`DataDir::open`] and [`ManagedServer::start_in`].
    pub async fn start(options: &Options) -> Result<Self, ManagedError> {
        Self::start_in(&DataDir::open(&options.data_dir)?, options).await
    }

    /// Starts a server on a directory that is held already, as after the last one died; returns when it answers. An
    /// orphan of a killed igstream is taken over if it is as one that would be started, and stopped first if not.
    /// `options.data_dir` is not looked at.
    ///
    /// # Errors
    /// [`ManagedError`]: no binary, an address that is taken, a server already there, one that does not come up.
    pub async fn start_in(data_dir: &DataDir, options: &Options) -> Result<Self, ManagedError> {
        let mut listen = Listen::parse(&options.listen)?;
        let mut slot = data_dir.claim()?;
        listen.port = listen.port.or(slot.chosen_port);
        let binary = binary::find(options.server_binary.as_deref()).await?;
        let log = RunLog::begin(data_dir.path());
        let run = |listen: &Listen| Invocation::new(&binary.path, data_dir, listen, &log);
        warn_if_open(&listen);
        let wanted = as_before(&listen, data_dir, run);
        let answers = match adoption::look(data_dir, &wanted).await? {
            Left::Like(orphan, record) => {
                slot.chosen_port = port_of(&record.url);
                return Ok(Self::adopt(orphan, record, log, data_dir, slot));
            }
            Left::Other { answers } => answers,
            Left::Nothing => true,
        };
        // Before the lock is taken: held and recorded means that a server runs.
        data_dir.forget()?;
        let lock = lock::for_server(data_dir.path(), answers).await?;
        listen.ensure_free().await?;
        data_dir.prepare()?;

        let mut child = run(&listen).spawn(&log, lock)?;
        let Listening { port, monitor } = until_ready(&mut child, data_dir, &listen, &log).await?;
        slot.chosen_port = Some(port);
        let url = format!("nats://{}", listen.reached_at(port));
        if let Some(pid) = child.id() {
            data_dir.record(&Record {
                pid,
                url: url.clone(),
                monitor: monitor.clone(),
            })?;
        }
        tracing::info!(%url, pid = child.id(), data_dir = %data_dir.path().display(), "nats-server runs");
        Ok(Self {
            process: Process::Child(child),
            url,
            monitor,
            log,
            data_dir: data_dir.clone(),
            _slot: slot,
        })
    }

    fn adopt(
        orphan: Orphan,
        record: Record,
        log: RunLog,
        data_dir: &DataDir,
        slot: OwnedMutexGuard<Slot>,
    ) -> Self {
        let Record { pid, url, monitor } = record;
        tracing::info!(%url, pid, data_dir = %data_dir.path().display(), "the nats-server that a killed igstream left is taken over");
        Self {
            process: Process::Orphan(orphan),
            url,
            monitor,
            log,
            data_dir: data_dir.clone(),
            _slot: slot,
        }
    }

    /// Where clients on this machine reach it, as `nats://127.0.0.1:4222`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it tells of itself over HTTP, on this machine only.
    #[must_use]
    pub fn monitor(&self) -> &str {
        &self.monitor
    }

    /// Its process id; `None` once it has ended and [`wait`](Self::wait) has seen it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// The directory it runs in, for the next [`start_in`](Self::start_in).
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Resolves when the server ends, whoever ended it. May be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        let status = self.process.wait().await;
        exit(status, &self.log)
    }

    /// Ends it and waits until it is gone: asked first, killed after ten seconds.
    pub async fn stop(mut self) -> Exit {
        self.process.signal(Signal::TERM);
        let stopped = timeout(STOPS_WITHIN, self.process.wait()).await;
        let Ok(status) = stopped else {
            tracing::warn!(
                seconds = STOPS_WITHIN.as_secs(),
                "nats-server did not stop when asked; killing it"
            );
            return self.kill().await;
        };
        self.ended(status)
    }

    /// Ends one that does not listen to reason, and waits until it is gone: as long as its disk holds it up.
    pub async fn kill(mut self) -> Exit {
        self.process.signal(Signal::KILL);
        let status = self.process.wait().await;
        self.ended(status)
    }

    fn ended(&self, status: io::Result<String>) -> Exit {
        if let Err(error) = self.data_dir.forget() {
            tracing::warn!(%error, "the record of the stopped nats-server stays");
        }
        exit(status, &self.log)
    }
}

/// How the server that was left may have been run: where any port will do, on the one that it has.
fn as_before(
    listen: &Listen,
    data_dir: &DataDir,
    invocation: impl Fn(&Listen) -> Invocation,
) -> Vec<Invocation> {
    let mut listens = vec![listen.clone()];
    if listen.port.is_none() {
        let port = data_dir.recorded().and_then(|record| port_of(&record.url));
        listens.extend(port.map(|port| Listen {
            host: listen.host.clone(),
            port: Some(port),
        }));
    }
    listens.iter().map(invocation).collect()
}

fn port_of(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.parse().ok()
}

fn warn_if_open(listen: &Listen) {
    if !listen.is_loopback() {
        tracing::warn!(
            listen.host,
            "the managed nats-server asks nobody for a password: whoever reaches `nats.listen` can read and write"
        );
    }
}
