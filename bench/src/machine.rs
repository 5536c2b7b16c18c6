//! What the figures were measured on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};

use crate::plan::count;
use crate::{database, servers};

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

/// The versions of what igstream is measured with.
pub async fn versions() -> Result<Vec<String>> {
    let mut versions = vec![
        said_by(&servers::nats_server()?, "--version"),
        postgres().await?,
    ];
    for (program, what) in [("redis-server", ""), ("node", "node ")] {
        versions.push(format!(
            "{what}{}",
            said_by(Path::new(program), "--version")
        ));
    }
    Ok(versions)
}

/// The first line that a program says, without the digests of its build.
fn said_by(program: &Path, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    said.unwrap_or_default()
        .lines()
        .next()
        .and_then(|line| line.split(" sha=").next())
        .unwrap_or("(not there)")
        .to_owned()
}

async fn postgres() -> Result<String> {
    let connection = Database::connect(database::server()?).await?;
    let statement = Statement::from_string(DbBackend::Postgres, "SHOW server_version");
    let row = connection
        .query_one_raw(statement)
        .await?
        .context("no row")?;
    let version: String = row.try_get_by_index(0)?;
    Ok(format!("PostgreSQL {version}"))
}

/// How often a second the disk under `directory` takes 4 KiB at the end of a file and has them durable.
pub fn syncs_a_second(directory: &Path) -> Result<f64> {
    let path = directory.join("syncs");
    let mut file = File::create(&path)?;
    let (begun, mut syncs) = (Instant::now(), 0_u64);
    while begun.elapsed() < ASKED_FOR {
        file.write_all(&[b'x'; WRITTEN])?;
        file.sync_all()?;
        syncs += 1;
    }
    let rate = count(syncs) / begun.elapsed().as_secs_f64();
    fs::remove_file(path)?;
    Ok(rate)
}
