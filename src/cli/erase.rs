//! `igstream accounts remove --erase`: what is stored of an account is deleted, rows and messages.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use comfy_table::{CellAlignment, Table, presets};
use entity::erased_account::Model;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::account_id::unknown;
use crate::config::Config;
use crate::instagram::time::canonical;
use crate::service::{attach, stream_settings};
use crate::store::Store;
use crate::store::erasure::Begun;
use crate::stream::Connection;
use crate::stream::topology::Topology;
use crate::watch::erasure::{Erasure, Standing, Tools, Waiting, messages_of};

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A service that works gets on within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a busy disk delays, and a server that is started again, come right within this time.
const PATIENCE_WITH_ERRORS: Duration = Duration::from_secs(30);
const WRONG_USAGE: u8 = 2;
const GOES_ON: &str =
    "what is left is deleted by the running service, or by this command run again";

/// How many rows and messages, by table and stream.
#[derive(Default)]
struct Counts {
    rows: BTreeMap<&'static str, u64>,
    messages: BTreeMap<&'static str, u64>,
}

/// Runs the command. `agreed`: nobody has to be asked.
pub(super) async fn run(
    ig_account_id: &str,
    agreed: bool,
    config: &Config,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    let tombstone = store.tombstone(ig_account_id).await?;
    let is_under_way = |tombstone: &Model| tombstone.finished_at.is_none();
    if !tombstone.as_ref().is_some_and(is_under_way) && !store.knows(ig_account_id).await? {
        return Ok(tombstone.map_or_else(|| unknown(ig_account_id), |before| erased(&before)));
    }
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let nats = attach(config).await?;
    let tools = Tools {
        connection: Connection::clone(&nats),
        store: store.clone(),
        topology: Arc::new(Topology::new(stream_settings(config))?),
    };
    let agreed = agreed || tombstone.is_some_and(|tombstone| is_under_way(&tombstone));
    let begun = AtomicBool::new(false);
    let code = tokio::select! {
        code = erase(ig_account_id, agreed, config, &tools, &begun) => Some(code),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    nats.close().await;
    match (code, begun.into_inner()) {
        (Some(code), _) => code,
        (None, true) => bail!("stopped: {GOES_ON}"),
        (None, false) => bail!("stopped: nothing was deleted"),
    }
}

async fn erase(
    ig_account_id: &str,
    agreed: bool,
    config: &Config,
    tools: &Tools,
    begun: &AtomicBool,
) -> anyhow::Result<ExitCode> {
    let there = Counts {
        rows: tools
            .store
            .rows_of(ig_account_id)
            .await?
            .into_iter()
            .collect(),
        messages: messages_of(&tools.connection, ig_account_id)
            .await?
            .into_iter()
            .collect(),
    };
    println!(
        "account {ig_account_id}: this is deleted for good\n{}",
        there.table()
    );
    println!(
        "The journal keeps what Instagram sent of it until that is older than `stream.keep_days` ({}).",
        config.stream.keep_days
    );
    if !agreed {
        if !io::stdin().is_terminal() {
            eprintln!(
                "igstream: nothing was deleted: there is no terminal to ask on; give --yes if you mean it"
            );
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        if !is_meant().await? {
            eprintln!("igstream: nothing was deleted");
            return Ok(ExitCode::FAILURE);
        }
    }
    begun.store(true, Ordering::Relaxed);
    match tools.store.begin_erasure(ig_account_id).await? {
        Begun::Now(tombstone) | Begun::Before(tombstone) => {
            follow(tombstone, &there, tools).await.context(GOES_ON)
        }
        Begun::Finished(tombstone) => Ok(erased(&tombstone)),
        Begun::Unknown => Ok(unknown(ig_account_id)),
    }
}

fn erased(tombstone: &Model) -> ExitCode {
    let finished_at = tombstone.finished_at.unwrap_or(tombstone.erased_at);
    println!(
        "account {} is erased already, since {}; nothing has come of it that is kept",
        tombstone.ig_account_id,
        canonical(finished_at)
    );
    ExitCode::SUCCESS
}

/// Asks on the terminal. In a thread that nobody waits for: a signal ends the command all the same.
async fn is_meant() -> anyhow::Result<bool> {
    eprint!("Delete all of it? [y/N] ");
    io::stderr().flush()?;
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| line);
        // Nobody waits any more when the command has ended.
        let _ = answer.send(read);
    });
    let line = answered.await??;
    Ok(matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Erases until it is finished, or nobody works on what has to be done first.
async fn follow(tombstone: Model, there: &Counts, tools: &Tools) -> anyhow::Result<ExitCode> {
    let account = tombstone.ig_account_id.clone();
    let bar = progress_bar(there.total());
    let mut deleted = Counts::default();
    let mut erasure = Erasure::of(tombstone);
    let (mut last, mut since) = (None, Instant::now());
    loop {
        let mut told = |of, gone| {
            deleted.add(of, gone);
            bar.inc(gone);
        };
        let standing = match erasure.go_on(tools, &mut told).await {
            Ok(Standing::Finished) => break,
            Ok(Standing::Waits(waiting)) => Ok(waiting),
            // It may pass, as with a server that is started again.
            Err(error) => Err(error.to_string()),
        };
        let patience = if standing.is_ok() {
            PATIENCE
        } else {
            PATIENCE_WITH_ERRORS
        };
        if last.as_ref() != Some(&standing) {
            bar.set_message(match &standing {
                Ok(waiting) => format!("{} has to get on first", waiting.consumer),
                Err(error) => error.clone(),
            });
            (last, since) = (Some(standing), Instant::now());
        } else if since.elapsed() > patience {
            bar.finish_and_clear();
            let waiting = standing.map_err(anyhow::Error::msg)?;
            println!("{}", not_finished(&account, &waiting, &deleted));
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bar.finish_and_clear();
    println!(
        "account {account} is erased: {}\n{}",
        deleted.said(),
        deleted.table()
    );
    if deleted.total() < there.total() {
        println!("The running service deleted the rest.");
    }
    Ok(ExitCode::SUCCESS)
}

fn not_finished(account: &str, waiting: &Waiting, deleted: &Counts) -> String {
    let Waiting {
        consumer, messages, ..
    } = waiting;
    format!(
        "account {account} is being erased: {}\n{}\n\
         {messages} messages wait at the consumer {consumer}, and no service works on them. \
         The running service finishes the erasure; `igstream accounts list` shows until when.",
        deleted.said(),
        deleted.table()
    )
}

fn progress_bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    match ProgressStyle::with_template("{wide_bar} {pos}/{len} rows and messages, {elapsed} {msg}")
    {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Counts {
    /// Streams are in capitals, tables are not.
    fn add(&mut self, of: &'static str, count: u64) {
        let is_stream = of.starts_with(|c: char| c.is_ascii_uppercase());
        let counts = if is_stream {
            &mut self.messages
        } else {
            &mut self.rows
        };
        *counts.entry(of).or_default() += count;
    }

    fn total(&self) -> u64 {
        self.rows.values().chain(self.messages.values()).sum()
    }

    fn said(&self) -> String {
        let sum = |counts: &BTreeMap<_, u64>| HumanCount(counts.values().sum());
        format!(
            "{} rows and {} messages were deleted",
            sum(&self.rows),
            sum(&self.messages)
        )
    }

    /// A line a table and a stream that has any.
    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for (counts, unit) in [(&self.rows, "rows"), (&self.messages, "messages")] {
            for (of, count) in counts.iter().filter(|(_, count)| **count > 0) {
                let count = HumanCount(*count).to_string();
                table.add_row([*of, &count, unit]);
            }
        }
        if let Some(numbers) = table.column_mut(1) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
        if table.is_empty() {
            return " nothing".to_owned();
        }
        table.trim_fmt()
    }
}
