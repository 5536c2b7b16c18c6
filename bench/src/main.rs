//! What igstream takes, against what the disk and the database allow: a table of ratios from one run.

mod accept;
mod backlog;
mod batches;
mod database;
mod drain;
mod floor;
mod limits;
mod load;
mod machine;
mod payloads;
mod servers;

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tempfile::TempDir;

use accept::Way;

/// What is measured.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The server that igstream is compared with (for the benchmark's own use).
    #[command(hide = true)]
    Floor {
        /// Where it listens.
        #[arg(long)]
        bind: SocketAddr,
    },
    /// Accepting.
    Accept {
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Publishing and storing what waits.
    Drain {
        #[arg(long, default_value_t = 200_000)]
        events: usize,
        #[arg(long)]
        sqlite_only: bool,
        #[arg(long)]
        postgres_only: bool,
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
}

/// A directory for the servers' files, on the disk that `TMPDIR` names.
fn new_home() -> Result<TempDir> {
    Ok(TempDir::with_prefix("igstream_bench_")?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Arguments::parse().what {
        What::Floor { bind } => floor::serve(bind).await,
        What::Accept { runs } => {
            let home = new_home()?;
            println!(
                "{}; {:.0} syncs/s",
                machine::description(),
                machine::syncs_a_second(home.path())?
            );
            for (connections, items) in [(64, 1), (256, 1), (64, 20)] {
                accept::measure(Way { connections, items }, runs).await?;
            }
            accept::lone(runs).await?;
            Ok(())
        }
        What::Drain {
            events,
            runs,
            sqlite_only,
            postgres_only,
        } => {
            for kind in [database::Kind::Postgres, database::Kind::Sqlite] {
                if sqlite_only && kind != database::Kind::Sqlite
                    || postgres_only && kind != database::Kind::Postgres
                {
                    continue;
                }
                drain::measure(kind, events, runs).await?;
            }
            Ok(())
        }
    }
}
