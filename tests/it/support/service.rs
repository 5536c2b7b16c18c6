//! igstream as a process.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::header::CONTENT_TYPE;
use rustix::process::{Pid, Signal, kill_process};
use sea_orm::DatabaseConnection;
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    eventually::{eventually, eventually_true},
    http::{self, Answer, SECRETS, client, signature},
    metrics::Metrics,
    nats::Streams,
    postgres::connect,
    setup::Setup,
};

/// The contract: a stop takes so long at most.
pub const STOPS_WITHIN: Duration = Duration::from_secs(30);

/// An igstream that runs, or ran. It goes with this value, and its nats-server with it.
pub struct Service {
    setup: Setup,
    process: Option<Child>,
}

impl Service {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            process: None,
        }
    }

    /// Starts it with the settings and directories it had, and returns when it is ready.
    pub async fn start_again(&mut self) {
        self.spawn();
        self.until_ready().await;
    }

    /// Starts it.
    pub fn spawn(&mut self) {
        let mut command = self.command(&["serve"]);
        if let Some(roles) = self.setup.roles {
            command.args(["--roles", roles]);
        }
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log");
        command
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .process_group(0);
        self.process = Some(command.spawn().expect("igstream starts"));
    }

    pub async fn until_ready(&mut self) {
        let url = self.url("/readyz");
        eventually("igstream is ready", async || {
            self.fail_if_it_ended();
            let answer = http::get(&url).await.map_err(|error| error.to_string())?;
            if answer.status == 200 {
                Ok(())
            } else {
                Err(format!("{}\n{}", answer.body, self.log()))
            }
        })
        .await;
    }

    fn fail_if_it_ended(&mut self) {
        let process = self.process.as_mut().expect("a process");
        if let Some(status) = process.try_wait().expect("a process") {
            panic!("igstream ended ({status}):\n{}", self.log());
        }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        let process = self.process.as_mut().expect("a process");
        process.try_wait().expect("a process").is_some()
    }

    /// A command of igstream, with the same settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let variables = self
            .setup
            .settings
            .iter()
            .map(|(key, value)| (variable(key), value));
        let mut command = Command::new(env!("CARGO_BIN_EXE_igstream"));
        command
            .args(arguments)
            .current_dir(self.setup.home.path())
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .envs(variables)
            .envs(&self.setup.environment)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs a command of igstream to its end.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .output()
            .await
            .expect("igstream runs")
    }

    /// Asks it to end; its exit code, and how long it took.
    pub async fn stop(&mut self) -> (Option<i32>, Duration) {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        (self.ended().await, asked.elapsed())
    }

    /// As the machine does when it has no memory left. A nats-server of its own lives on.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("a process");
        signal_process(process.id().expect("it runs"), signal);
    }

    pub(super) async fn ended(&mut self) -> Option<i32> {
        let mut process = self.process.take().expect("a process");
        let ended = timeout(2 * STOPS_WITHIN, process.wait()).await;
        let Ok(status) = ended else {
            panic!("igstream does not end:\n{}", self.log());
        };
        status.expect("a status").code()
    }

    pub fn address(&self) -> SocketAddr {
        self.setup.address("server.bind")
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn webhook(&self) -> String {
        self.url("/api/instagram/webhooks")
    }

    /// Posts a body as Instagram does.
    pub async fn post(&self, body: &str) -> Answer {
        self.try_post(body)
            .await
            .unwrap_or_else(|error| panic!("{error:?}\n{}", self.log()))
    }

    /// The same; an error when nothing answers.
    pub async fn try_post(&self, body: &str) -> reqwest::Result<Answer> {
        let request = client()
            .post(self.webhook())
            .header(CONTENT_TYPE, "application/json")
            .header("X-Hub-Signature-256", signature(SECRETS[0], body));
        http::send(request.body(body.to_owned())).await
    }

    /// Posts a body until it is accepted, as Instagram does.
    pub async fn deliver(&self, body: &str) {
        eventually("a delivery is accepted", async || {
            match self.try_post(body).await {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(answer.body),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// The status and the JSON of `/readyz`.
    pub async fn readiness(&self) -> (u16, Value) {
        let answer = http::get(&self.url("/readyz")).await.expect("an answer");
        (answer.status, answer.json())
    }

    pub async fn metrics(&self) -> Metrics {
        let url = format!("http://{}/metrics", self.setup.address("metrics.bind"));
        Metrics::new(http::get(&url).await.expect("an answer").body)
    }

    pub async fn streams(&self) -> Streams {
        let url = self.setup.settings.get("nats.url").cloned();
        let managed = || format!("nats://{}", self.setup.settings["nats.listen"]);
        Streams::connect(&url.unwrap_or_else(managed)).await
    }

    pub async fn database(&self) -> DatabaseConnection {
        connect(&self.setup.settings["database.url"])
            .await
            .expect("the database can be connected to")
    }

    /// Changes a setting for the next start.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads better where it is called"
    )]
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.setup
            .settings
            .insert(key.to_owned(), value.to_string());
    }

    pub fn setting(&self, key: &str) -> &str {
        &self.setup.settings[key]
    }

    /// The process of its own nats-server, while one runs.
    pub fn nats_process(&self) -> Option<u32> {
        servers_on(Path::new(self.setting("nats.data_dir"))).next()
    }

    /// Kills its own nats-server, and waits for the one that is started instead.
    pub async fn kill_nats(&self) {
        let killed = self.nats_process().expect("a nats-server");
        signal_process(killed, Signal::KILL);
        eventually_true("another nats-server runs", async || {
            self.nats_process().is_some_and(|process| process != killed)
        })
        .await;
    }

    pub fn process_id(&self) -> u32 {
        let process = self.process.as_ref().and_then(Child::id);
        process.expect("it runs")
    }

    /// What it has taken of memory at most, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process_id()));
        let status = status.expect("the status of a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib.expect("VmHWM").trim().parse().expect("a number");
        kib * 1024
    }

    /// A file of the test's own beside its data.
    pub fn file(&self, name: &str) -> PathBuf {
        self.setup.home.path().join(name)
    }

    /// All it said, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.file("igstream.log")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Gone by now is as good.
            let _ = process.start_kill();
        }
        for server in servers_on(&self.setup.data_dir()) {
            signal_process(server, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("igstream said:\n{}", self.log());
        }
    }
}

/// All that a command said.
pub fn said(output: &Output) -> String {
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(stdout),
        String::from_utf8_lossy(stderr)
    )
}

/// `IGSTREAM__SECTION__KEY`
fn variable(key: &str) -> String {
    format!("IGSTREAM__{}", key.to_uppercase().replace('.', "__"))
}

pub fn signal_process(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    // Gone by now is as good.
    let _ = kill_process(pid.expect("a process id"), signal);
}

/// The nats-servers that store in this directory of igstream's; never more than one.
pub fn servers_on(data_dir: &Path) -> impl Iterator<Item = u32> {
    let data_dir = data_dir
        .canonicalize()
        .unwrap_or_else(|_| data_dir.to_owned());
    let argument = format!("--store_dir={}", data_dir.display());
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(move |entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        line.split('\0')
            .any(|part| part == argument)
            .then_some(process)
    })
}
