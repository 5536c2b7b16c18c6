//! How a server is run, and whether one that runs was run like that.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::Pid;
use tokio::process::{Child, Command};

use super::{DataDir, ManagedError, listen::Listen, lock, log::RunLog};

/// The igstream environment holds secrets; the server gets only what the Go runtime is tuned by.
const PASSED_ON: [&str; 4] = ["GOGC", "GOMAXPROCS", "GOMEMLIMIT", "TZ"];

/// All that makes one run of a server like another, but its configuration file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invocation {
    binary: PathBuf,
    arguments: Vec<OsString>,
    /// `NAME=value`, sorted.
    environment: Vec<OsString>,
}

impl Invocation {
    pub(super) fn new(binary: &Path, data_dir: &DataDir, listen: &Listen, log: &RunLog) -> Self {
        let port = listen
            .port
            .map_or_else(|| "-1".to_owned(), |port| port.to_string());
        let mut environment: Vec<OsString> = PASSED_ON
            .into_iter()
            .filter_map(|name| Some(assignment(name, &env::var_os(name)?)))
            .collect();
        environment.sort();
        Self {
            binary: binary.to_owned(),
            arguments: vec![
                "--config".into(),
                data_dir.conf().into(),
                "--addr".into(),
                (&listen.host).into(),
                "--port".into(),
                port.into(),
                lock::store_argument(data_dir.path()),
                "--log".into(),
                (&log.log).into(),
                "--ports_file_dir".into(),
                data_dir.ports().into(),
            ],
            environment,
        }
    }

    /// The lock goes to the server as its standard input, so that it lives exactly as long as the server. A
    /// process group of its own keeps a terminal's Ctrl-C, meant for igstream, from ending the server under it.
    pub(super) fn spawn(&self, log: &RunLog, lock: File) -> Result<Child, ManagedError> {
        let stderr = File::create(&log.stderr).map_err(ManagedError::io("write", &log.stderr))?;
        let stdout = stderr
            .try_clone()
            .map_err(ManagedError::io("write", &log.stderr))?;
        let variables = PASSED_ON
            .into_iter()
            .filter_map(|name| Some((name, env::var_os(name)?)));
        Command::new(&self.binary)
            .args(&self.arguments)
            .env_clear()
            .envs(variables)
            .stdin(Stdio::from(lock))
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(ManagedError::io("start", &self.binary))
    }

    /// Whether this process was run like that: the same file, also if another has its name by now.
    pub(super) fn is_of(&self, process: Pid) -> bool {
        let of = |what| PathBuf::from(format!("/proc/{}/{what}", process.as_raw_nonzero()));
        let runs = fs::read_link(of("exe"));
        let is_same = self.binary.canonicalize();
        let is_same = matches!((runs, is_same), (Ok(runs), Ok(ours)) if runs == ours);
        let mut environment = words(&of("environ"));
        environment.sort();
        is_same
            && words(&of("cmdline")).get(1..) == Some(&self.arguments)
            && environment == self.environment
    }
}

fn assignment(name: &str, value: &OsStr) -> OsString {
    let mut assignment = OsString::from(name);
    assignment.push("=");
    assignment.push(value);
    assignment
}

/// The texts of such a file, each of which ends with a zero byte.
fn words(path: &Path) -> Vec<OsString> {
    let bytes = fs::read(path).unwrap_or_default();
    let words = bytes.split_inclusive(|byte| *byte == 0);
    words
        .map(|word| OsStr::from_bytes(word.strip_suffix(&[0]).unwrap_or(word)).to_owned())
        .collect()
}
