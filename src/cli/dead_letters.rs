//! `igstream dead-letters`: what failed for good, why, and the way back.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use chrono::{TimeDelta, Utc};
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use entity::webhook_event::Model;
use uuid::Uuid;

use super::account_id::account_id;
use super::terminal::printable;
use crate::config::Config;
use crate::instagram::types;
use crate::replay::once_more;
use crate::service::attach;
use crate::store::Store;
use crate::store::dead_letters::DeadLetters;

const PAGE: u64 = 500;
/// What a line of the list shows of an error.
const LONGEST_ERROR: usize = 120;

/// The arguments of `igstream dead-letters`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  igstream dead-letters list --type message --since 2days\n  igstream dead-letters show 01a20ec0-7873-75c8-a96e-69449e2a1e1c\n  igstream dead-letters retry --type message"
)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The newest first
    #[command(
        after_help = "Example:\n  igstream dead-letters list --account 17841405822304914 --json"
    )]
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Everything that is known of some, as JSON
    #[command(
        after_help = "Example:\n  igstream dead-letters show 01a20ec0-7873-75c8-a96e-69449e2a1e1c"
    )]
    Show {
        /// Their receipts, as in the list
        #[arg(required = true)]
        receipts: Vec<Uuid>,
    },
    /// Send them to their handlers once more, with all their attempts
    #[command(after_help = "Example:\n  igstream dead-letters retry --type message --since 1h")]
    Retry {
        #[command(flatten)]
        which: Which,
    },
    /// Give them up: they are not listed any more; their rows stay
    #[command(after_help = "Example:\n  igstream dead-letters discard --type unknown")]
    Discard {
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Debug, Args)]
struct Which {
    /// These receipts
    receipts: Vec<Uuid>,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = type_names())]
    event_type: Option<String>,
    /// Only of this account, by its Instagram id
    #[arg(long, value_name = "ID", value_parser = account_id)]
    account: Option<String>,
    /// Only received in the last so long, such as 90s, 15m or 2days
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// All there are, where nothing else says which
    #[arg(long)]
    all: bool,
}

fn type_names() -> PossibleValuesParser {
    PossibleValuesParser::new(types::with_unknown().map(|event_type| event_type.name))
}

impl Which {
    fn dead_letters(&self) -> DeadLetters {
        let back = self.since.and_then(|since| TimeDelta::from_std(since).ok());
        DeadLetters {
            receipts: self.receipts.clone(),
            event_ids: Vec::new(),
            event_type: self.event_type.clone(),
            ig_account_id: self.account.clone(),
            since: back.and_then(|back| Utc::now().checked_sub_signed(back)),
        }
    }

    /// What changes something has to be told what; anything less is wrong usage.
    fn named(&self) -> DeadLetters {
        let is_said = !self.receipts.is_empty()
            || self.event_type.is_some()
            || self.account.is_some()
            || self.since.is_some()
            || self.all;
        if !is_said {
            let missing = "say which: receipts, --type, --account, --since, or --all\n";
            clap::Error::raw(ErrorKind::MissingRequiredArgument, missing).exit();
        }
        self.dead_letters()
    }
}

/// Runs the command.
pub async fn run(
    args: &DeadLettersArgs,
    config: &Config,
    store: &Store,
) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List { which, limit, json } => {
            let rows = store
                .dead_letters(&which.dead_letters(), None, *limit)
                .await?;
            println!(
                "{}",
                if *json {
                    serde_json::to_string_pretty(&rows)?
                } else {
                    table(&rows)
                }
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::Show { receipts } => show(store, receipts).await,
        Command::Retry { which } => retry(store, config, &which.named()).await,
        Command::Discard { which } => {
            let discarded = store.discard(&which.named()).await?;
            println!("{discarded} discarded");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn table(rows: &[Model]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "RECEIPT", "TYPE", "ACCOUNT", "RECEIVED", "ATTEMPTS", "DEATHS", "ERROR",
    ]);
    for row in rows {
        let error: String = row
            .last_processing_error
            .as_deref()
            .unwrap_or_default()
            .chars()
            .take(LONGEST_ERROR)
            .collect();
        table.add_row([
            row.id.to_string(),
            row.event_type.clone(),
            printable(&row.ig_account_id),
            row.received_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            row.processing_attempts.to_string(),
            row.deaths.to_string(),
            printable(&error),
        ]);
    }
    table.trim_fmt()
}

async fn show(store: &Store, receipts: &[Uuid]) -> anyhow::Result<ExitCode> {
    let which = DeadLetters {
        receipts: receipts.to_vec(),
        ..DeadLetters::default()
    };
    let rows = store.dead_letters(&which, None, PAGE).await?;
    println!("{}", serde_json::to_string_pretty(&rows)?);
    let is_missing = |receipt: &&Uuid| !rows.iter().any(|row| row.id == **receipt);
    let missing: Vec<String> = receipts
        .iter()
        .filter(is_missing)
        .map(ToString::to_string)
        .collect();
    ensure!(
        missing.is_empty(),
        "no dead letter has the receipt {}",
        missing.join(", ")
    );
    Ok(ExitCode::SUCCESS)
}

/// Harmless when repeated: what was stored meanwhile is no dead letter any more.
async fn retry(store: &Store, config: &Config, which: &DeadLetters) -> anyhow::Result<ExitCode> {
    let connection = attach(config).await?;
    let retried = once_more(store, &connection, which)
        .await
        .context("what was not sent yet is still a dead letter: run the command again")?;
    println!("{} sent to their handlers once more", retried.sent);
    if retried.malformed > 0 {
        println!(
            "{} left alone: a malformed item is the same again; `dead-letters discard` gives it up",
            retried.malformed
        );
    }
    connection.close().await;
    Ok(ExitCode::SUCCESS)
}
