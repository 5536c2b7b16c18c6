//! One run of the server: start, wait, stop.

use std::{
    env, fmt,
    fs::File,
    io,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::OwnedMutexGuard,
    time::timeout,
};

use super::{
    DataDir, ManagedError, Options, binary,
    data_dir::{Record, Slot},
    listen::Listen,
    lock,
    log::RunLog,
    ready::{Listening, until_ready},
};

const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The igstream environment holds secrets; the server gets only what the Go runtime is tuned by.
const PASSED_ON: [&str; 4] = ["GOGC", "GOMAXPROCS", "GOMEMLIMIT", "TZ"];

/// A running nats-server. Dropped, it is killed, which loses nothing that was acknowledged; [`stop`](Self::stop)
/// is kinder to its clients.
#[derive(Debug)]
pub struct ManagedServer {
    child: Child,
    url: String,
    monitor: String,
    log: RunLog,
    data_dir: DataDir,
    _slot: OwnedMutexGuard<Slot>,
}

/// How a server ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Such as "exit status: 1" or "signal: 9 (SIGKILL)".
    pub status: String,
    /// The last lines of its log.
    pub log_tail: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.log_tail.is_empty() {
            return write!(f, "{}, with nothing in its log", self.status);
        }
        write!(f, "{}; its log ends with\n{}", self.status, self.log_tail)
    }
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
    /// orphan of a killed igstream is stopped first. `options.data_dir` is not looked at.
    ///
    /// # Errors
    /// [`ManagedError`]: no binary, an address that is taken, a server already there, one that does not come up.
    pub async fn start_in(data_dir: &DataDir, options: &Options) -> Result<Self, ManagedError> {
        let mut listen = Listen::parse(&options.listen)?;
        let mut slot = data_dir.claim()?;
        listen.port = listen.port.or(slot.chosen_port);
        // Before the lock is taken: held and recorded means that a server runs.
        data_dir.forget()?;
        let binary = binary::find(options.server_binary.as_deref()).await?;
        let lock = lock::for_server(data_dir.path()).await?;
        listen.ensure_free().await?;
        data_dir.prepare()?;
        warn_if_open(&listen);

        let log = RunLog::begin(data_dir.path());
        let mut child = spawn(&binary.path, data_dir, &listen, &log, lock)?;
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
            child,
            url,
            monitor,
            log,
            data_dir: data_dir.clone(),
            _slot: slot,
        })
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
        self.child.id()
    }

    /// The directory it runs in, for the next [`start_in`](Self::start_in).
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Resolves when the server ends, whoever ended it. May be dropped and called again.
    pub async fn wait(&mut self) -> Exit {
        let status = self.child.wait().await;
        exit(status, &self.log)
    }

    /// Ends it and waits until it is gone: asked first, killed after ten seconds.
    pub async fn stop(mut self) -> Exit {
        terminate(&self.child);
        let stopped = timeout(STOPS_WITHIN, self.child.wait()).await;
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
        let status = kill(&mut self.child).await;
        self.ended(status)
    }

    fn ended(&self, status: io::Result<ExitStatus>) -> Exit {
        if let Err(error) = self.data_dir.forget() {
            tracing::warn!(%error, "the record of the stopped nats-server stays");
        }
        exit(status, &self.log)
    }
}

fn warn_if_open(listen: &Listen) {
    if !listen.is_loopback() {
        tracing::warn!(
            listen.host,
            "the managed nats-server asks nobody for a password: whoever reaches `nats.listen` can read and write"
        );
    }
}

/// The lock goes to the server as its standard input, so that it lives exactly as long as the server. A process
/// group of its own keeps a terminal's Ctrl-C, meant for igstream, from ending the server under it.
fn spawn(
    binary: &Path,
    data_dir: &DataDir,
    listen: &Listen,
    log: &RunLog,
    lock: File,
) -> Result<Child, ManagedError> {
    let stderr = File::create(&log.stderr).map_err(ManagedError::io("write", &log.stderr))?;
    let stdout = stderr
        .try_clone()
        .map_err(ManagedError::io("write", &log.stderr))?;
    let environment = PASSED_ON
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)));
    Command::new(binary)
        .arg("--config")
        .arg(data_dir.conf())
        .arg("--addr")
        .arg(&listen.host)
        .arg("--port")
        .arg(
            listen
                .port
                .map_or_else(|| "-1".to_owned(), |port| port.to_string()),
        )
        .arg(lock::store_argument(data_dir.path()))
        .arg("--log")
        .arg(&log.log)
        .arg("--ports_file_dir")
        .arg(data_dir.ports())
        .env_clear()
        .envs(environment)
        .stdin(Stdio::from(lock))
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ManagedError::io("start", binary))
}

fn terminate(child: &Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // That it is gone by now is as good.
        let _ = kill_process(pid, Signal::TERM);
    }
}

async fn kill(child: &mut Child) -> io::Result<ExitStatus> {
    child.start_kill()?;
    child.wait().await
}

pub(super) fn exit(status: io::Result<ExitStatus>, log: &RunLog) -> Exit {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    Exit {
        status,
        log_tail: log.tail(),
    }
}
