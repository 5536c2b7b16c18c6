//! What igstream takes, against what the disk and the database allow: a table of ratios from one run.

mod accept;
mod all_roles;
mod backlog;
mod batches;
mod database;
mod delays;
mod drain;
mod end_to_end;
mod floor;
mod growth;
mod limits;
mod load;
mod machine;
mod memory;
mod overload;
mod past;
mod payloads;
mod plan;
mod repeats;
mod report;
mod servers;
mod usual;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, bail};
use chrono::Utc;
use clap::{Parser, Subcommand, ValueEnum};
use tempfile::TempDir;

use database::Kind;
use plan::Plan;
use report::{Circumstances, Row};

/// Measures igstream, prints a table, and writes it down where everything was measured.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Measure these parts only, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// How often each is measured, for a median; what takes minutes less often.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// How many events are waiting to be published and stored; end to end half of it.
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Once, with few events: shows that it works, not how quick it is.
    #[arg(long)]
    quick: bool,
    /// Where the table is written [default: bench/results.md where everything is measured, else nowhere].
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The server that igstream is compared with (for the benchmark's own use).
    #[command(hide = true)]
    Floor {
        /// Where it listens.
        #[arg(long)]
        bind: SocketAddr,
    },
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Deliveries are taken.
    Accept,
    /// What waits in the journal is published.
    Publish,
    /// What is published is stored in `PostgreSQL`.
    Drain,
    /// The same in `SQLite`.
    Sqlite,
    /// From the post to the row, beside the usual design.
    EndToEnd,
    /// 5 % of deliveries twice.
    Repeats,
    /// Who goes first at twice the load.
    Overload,
    /// Peak memory.
    Memory,
    /// With millions of rows in the database.
    Growth,
}

impl Part {
    async fn measure(self, plan: &Plan) -> Result<Vec<Row>> {
        match self {
            Self::Accept => accept::rows(plan).await,
            Self::Publish => drain::published(plan).await,
            Self::Drain => drain::stored(Kind::Postgres, plan).await,
            Self::Sqlite => drain::stored(Kind::Sqlite, plan).await,
            Self::EndToEnd => end_to_end::rows(plan).await,
            Self::Repeats => repeats::rows(plan).await,
            Self::Overload => overload::rows(plan).await,
            Self::Memory => memory::rows(plan).await,
            Self::Growth => growth::rows(plan).await,
        }
    }
}

impl Arguments {
    fn parts(&self) -> &[Part] {
        if self.only.is_empty() {
            Part::value_variants()
        } else {
            &self.only
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            runs: if self.quick { 1 } else { self.runs.max(1) },
            events: if self.quick {
                self.events.min(20_000)
            } else {
                self.events
            },
            is_quick: self.quick,
        }
    }

    /// A part, or a quick look, does not take the place of the whole.
    fn out(&self) -> Option<PathBuf> {
        let is_whole = self.only.is_empty() && !self.quick;
        self.out
            .clone()
            .or_else(|| is_whole.then(|| "bench/results.md".into()))
    }
}

/// A directory for the servers' files, on the disk that `TMPDIR` names.
fn new_home() -> Result<TempDir> {
    Ok(TempDir::with_prefix("igstream_bench_")?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Floor { bind }) => floor::serve(bind).await,
        None => measure(&arguments).await,
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let home = new_home()?;
    let plan = arguments.plan();
    let (mut rows, mut syncs, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for part in arguments.parts() {
        let minutes = begun.elapsed().as_secs() / 60;
        eprintln!("{part:?}, after {minutes} minutes");
        syncs.push(machine::syncs_a_second(home.path())?);
        match part.measure(&plan).await {
            Ok(measured) => rows.extend(measured),
            // Half an hour's figures are not thrown away for it.
            Err(error) => {
                eprintln!("{part:?} failed: {error:?}");
                failed.push(format!("{part:?}: {error:#}"));
            }
        }
    }
    let circumstances = Circumstances {
        machine: machine::description(),
        syncs,
        versions: machine::versions().await?,
        date: Utc::now().format("%Y-%m-%d %H:%M UTC").to_string(),
        command: command(),
        minutes: begun.elapsed().as_secs_f64() / 60.0,
        failed: failed.clone(),
    };
    let text = report::markdown(&rows, &circumstances);
    println!("{text}");
    if let Some(out) = arguments.out() {
        report::write(&out, &text)?;
    }
    if !failed.is_empty() {
        bail!("{} parts could not be measured", failed.len());
    }
    Ok(())
}

/// As it would be typed.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        "make bench".to_owned()
    } else {
        format!("make bench BENCH=\"{}\"", arguments.join(" "))
    }
}
