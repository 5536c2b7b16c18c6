//! The servers that a benchmark starts, and stops when it is through: nats-server and igstream.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The app secret that signs.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";

const STARTS_WITHIN: Duration = Duration::from_secs(30);
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// An address of this machine that nobody listens on.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A process that is ended with its value.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, with what it says in a file under `home`.
    pub fn start(name: &str, home: &Path, command: &mut Command) -> Result<Self> {
        let log = home.join(format!("{name}.log"));
        let said = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .with_context(|| format!("{name} cannot be started: {command:?}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    /// Stops it by SIGTERM and waits.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > STOPS_WITHIN {
                bail!("{} did not stop: see {}", self.name, self.log.display());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// The most memory it ever held, in MiB (`VmHWM`).
    #[must_use]
    pub fn peak_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let kib: f64 = status
            .unwrap_or_default()
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(f64::NAN);
        kib / 1024.0
    }

    /// An error with what it said last, once it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = said.lines().rev().take(10).collect();
            bail!("{} ended ({status}):\n{}", self.name, last.join("\n"));
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A nats-server that syncs before it acknowledges.
#[derive(Debug)]
pub struct Nats {
    /// Its process.
    pub process: Process,
    /// Where clients connect.
    pub url: String,
}

impl Nats {
    /// Starts one with its store under `home`.
    pub async fn start(home: &Path) -> Result<Self> {
        let address = free_address()?;
        let conf = home.join("nats.conf");
        fs::write(
            &conf,
            format!(
                "listen: \"{address}\"\nmax_payload: 9MiB\njetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 1024TB }}\n",
                home.join("jetstream").display()
            ),
        )?;
        let mut command = Command::new(nats_server()?);
        command.arg("--config").arg(&conf);
        let process = Process::start("nats-server", home, &mut command)?;
        let url = format!("nats://{address}");
        let begun = Instant::now();
        while async_nats::connect(&url).await.is_err() {
            if begun.elapsed() > STARTS_WITHIN {
                bail!("nats-server does not answer");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Self { process, url })
    }

    /// A connection to its `JetStream`.
    pub async fn jetstream(&self) -> Result<jetstream::Context> {
        let client = async_nats::connect(&self.url).await?;
        Ok(jetstream::new(client))
    }
}

/// On the path, or fetched by the project.
pub fn nats_server() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin");
    std::env::split_paths(&path)
        .chain([tools])
        .map(|directory| directory.join("nats-server"))
        .find(|program| program.is_file())
        .context("there is no nats-server: run `make tools`")
}

/// How an igstream is started.
#[derive(Debug, Clone)]
pub struct Setup<'a> {
    /// Where its files are.
    pub home: &'a Path,
    /// The NATS it uses.
    pub nats: &'a str,
    /// Its database.
    pub database: &'a str,
    /// Its roles, separated by commas; all where empty.
    pub roles: &'a str,
    /// Further keys, as in `handlers.batch_size`.
    pub more: &'a [(&'a str, &'a str)],
}

/// A running igstream.
#[derive(Debug)]
pub struct Igstream {
    /// Its process.
    pub process: Process,
    /// Where it is posted to.
    pub http: SocketAddr,
}

impl Igstream {
    /// Starts one, and returns when deliveries are taken.
    pub async fn start(setup: &Setup<'_>) -> Result<Self> {
        let (http, metrics) = (free_address()?, free_address()?);
        let mut command = Command::new(program()?);
        command.current_dir(setup.home).arg("serve");
        if !setup.roles.is_empty() {
            command.args(["--roles", setup.roles]);
        }
        let usual = [
            ("server.bind", http.to_string()),
            ("metrics.bind", metrics.to_string()),
            ("instagram.app_secrets", SECRET.to_owned()),
            (
                "instagram.verify_token",
                "a-token-of-the-benchmark".to_owned(),
            ),
            ("nats.mode", "external".to_owned()),
            ("nats.url", setup.nats.to_owned()),
            ("nats.durability", "file".to_owned()),
            ("database.url", setup.database.to_owned()),
            ("accounts.auto_register", "true".to_owned()),
            ("stream.max_bytes", "8589934592".to_owned()),
            ("log.level", "warn".to_owned()),
        ];
        let more = setup
            .more
            .iter()
            .map(|(key, value)| (*key, (*value).to_owned()));
        for (key, value) in usual.into_iter().chain(more) {
            let name = format!("IGSTREAM__{}", key.to_uppercase().replace('.', "__"));
            command.env(name, value);
        }
        let mut process = Process::start("igstream", setup.home, &mut command)?;
        let begun = Instant::now();
        while !is_ready(http).await {
            process.must_run()?;
            if begun.elapsed() > STARTS_WITHIN {
                bail!("igstream is not ready");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Self { process, http })
    }
}

/// Whether `/readyz` says 200.
async fn is_ready(http: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(http).await?;
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    asked
        .await
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The igstream that was built with this program, beside it.
fn program() -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("igstream");
    if beside.is_file() {
        return Ok(beside);
    }
    bail!("{} is missing: cargo build --release", beside.display())
}
