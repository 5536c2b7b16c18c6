//! `igstream simulate` as a process that plays Instagram against a service.

use std::{
    env,
    path::PathBuf,
    process::{Output, Stdio},
};

use rustix::process::Signal;
use tokio::process::Child;

use super::{
    books::Ledger,
    service::{Service, signal_process},
};

/// How many deliveries the longer tests send: `IGSTREAM_TEST_DELIVERIES`.
pub fn deliveries() -> u64 {
    let wanted = env::var("IGSTREAM_TEST_DELIVERIES").ok();
    wanted.map_or(1500, |count| {
        count
            .parse()
            .expect("IGSTREAM_TEST_DELIVERIES is a number of deliveries")
    })
}

/// What a stream has to hold of them, in bytes.
pub fn room() -> u64 {
    const LEAST: u64 = 128 * 1024 * 1024;
    LEAST.max(deliveries() * 16 * 1024)
}

/// A run of the simulator. It ends with this value.
pub struct Simulator {
    process: Child,
    ledger: PathBuf,
}

impl Simulator {
    /// Starts to send `count` deliveries, `rate` a second; 0 is as many as are taken.
    pub fn start(service: &Service, count: u64, rate: u64) -> Self {
        Self::start_at(&service.webhook(), service, count, rate, 7)
    }

    /// Starts to send `rate` a second to `url`, until it is to finish.
    pub fn start_steadily(url: &str, service: &Service, rate: u64, seed: u64) -> Self {
        Self::start_at(url, service, u64::MAX, rate, seed)
    }

    fn start_at(url: &str, service: &Service, count: u64, rate: u64, seed: u64) -> Self {
        let ledger = service.file("ledger.ndjson");
        let (count, rate) = (count.to_string(), rate.to_string());
        let mut command = service.command(&["simulate", "--patience", "90", "--json"]);
        command
            .args(["--url", url, "--count", &count, "--rate", &rate])
            .args(["--seed", &seed.to_string()])
            .args(["--duplicates", "5", "--invalid", "2", "--ledger"])
            .arg(&ledger)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            process: command.spawn().expect("igstream runs"),
            ledger,
        }
    }

    pub fn is_sending(&mut self) -> bool {
        self.process.try_wait().expect("a process").is_none()
    }

    /// Has it send nothing new, and waits until all that it has sent is answered as it must be.
    pub async fn finish_early(self) -> Ledger {
        signal_process(self.process.id().expect("it runs"), Signal::TERM);
        self.finish().await
    }

    /// Waits for its end; all must have been answered as it must be.
    pub async fn finish(self) -> Ledger {
        let Output {
            status,
            stdout,
            stderr,
        } = self.process.wait_with_output().await.expect("an end");
        assert!(
            status.success(),
            "{status}: {}{}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        );
        Ledger::read(&self.ledger)
    }
}
