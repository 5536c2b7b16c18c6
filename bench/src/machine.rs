//! What the figures were measured on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

/// How long the disk is asked.
const ASKED_FOR: Duration = Duration::from_secs(2);
/// What a small message of the journal weighs, in bytes.
const WRITTEN: usize = 4096;

/// Processor, cores, memory and kernel, in a line.
#[must_use]
pub fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let kib: u64 = memory
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    format!(
        "{}, {cores} cores, {} GiB, Linux {}",
        value(&read("/proc/cpuinfo"), "model name"),
        kib / 1024 / 1024,
        read("/proc/sys/kernel/osrelease").trim()
    )
}

/// How often a second the disk under `directory` takes 4 KiB at the end of a file and has them durable.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub fn syncs_a_second(directory: &Path) -> Result<f64> {
    let path = directory.join("syncs");
    let mut file = File::create(&path)?;
    let (begun, mut syncs) = (Instant::now(), 0_u64);
    while begun.elapsed() < ASKED_FOR {
        file.write_all(&[b'x'; WRITTEN])?;
        file.sync_all()?;
        syncs += 1;
    }
    let rate = syncs as f64 / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
