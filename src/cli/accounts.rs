//! `igstream accounts`: the accounts whose traffic is expected.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use serde_json::json;

use crate::instagram::identity::column_id;
use crate::instagram::time::canonical;
use crate::store::Store;
use crate::store::accounts::{Added, Removed};

/// The arguments of `igstream accounts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  igstream accounts add 17841405822304914 --username shop\n  igstream accounts list --json\n  igstream accounts remove 17841405822304914"
)]
pub struct AccountsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Expect an account's traffic; what came of it before is processed by itself
    #[command(after_help = "Example:\n  igstream accounts add 17841405822304914 --username shop")]
    Add {
        /// The professional account's id, as in `entry.id` of its webhooks
        #[arg(value_parser = account_id)]
        ig_account_id: String,
        /// What the account calls itself
        #[arg(long)]
        username: Option<String>,
    },
    /// Expect nothing more of an account; what was stored of it stays
    #[command(after_help = REMOVE_HELP)]
    Remove {
        /// The professional account's id, as in `accounts list`
        #[arg(value_parser = account_id)]
        ig_account_id: String,
    },
    /// Every account
    #[command(after_help = "Example:\n  igstream accounts list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

const REMOVE_HELP: &str = "\
Example:
  igstream accounts remove 17841405822304914

Nothing is deleted. What comes of the account from now on is kept as unassigned, also with
accounts.auto_register, and is processed once the account is added again.";

/// Runs the command.
pub async fn run(args: &AccountsArgs, store: &Store) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Remove { ig_account_id } => return remove(store, ig_account_id).await,
        Command::Add {
            ig_account_id,
            username,
        } => add(store, ig_account_id, username.as_deref()).await?,
        Command::List { json } => list(store, *json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An account's id as Instagram sends it.
pub(super) fn account_id(given: &str) -> Result<String, String> {
    let is_id = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id && column_id(given) == given {
        Ok(given.to_owned())
    } else {
        Err(
            "it is the number that Instagram sends as `entry.id`, such as 17841405822304914"
                .to_owned(),
        )
    }
}

async fn add(store: &Store, ig_account_id: &str, username: Option<&str>) -> anyhow::Result<()> {
    let added = store.add_account(ig_account_id, username).await?;
    let became = match added {
        Added::New => "added",
        Added::Again => "added again: what waited for it is processed",
        Added::Already => "is there already",
        Added::BeingErased(since) => bail!(
            "account {ig_account_id} is being erased, since {}: add it when that is finished",
            canonical(since)
        ),
    };
    println!("account {ig_account_id} {became}");
    Ok(())
}

async fn remove(store: &Store, ig_account_id: &str) -> anyhow::Result<ExitCode> {
    match store.remove_account(ig_account_id).await? {
        Removed::Now => println!(
            "account {ig_account_id} removed: its rows stay, and what comes of it is kept as unassigned"
        ),
        Removed::Before => println!("account {ig_account_id} is removed already"),
        Removed::Unknown => {
            eprintln!(
                "igstream: no account {ig_account_id}: `igstream accounts list` shows those there are"
            );
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let accounts = store.accounts().await?;
    if as_json {
        let rows: Vec<_> = accounts
            .iter()
            .map(|account| {
                json!({
                    "id": account.id,
                    "instagram_business_account_id": account.instagram_business_account_id,
                    "username": account.username,
                    "active": account.active,
                    "created_at": account.created_at,
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["Instagram id", "username", "active", "id"]);
    for account in accounts {
        let username = account.username.unwrap_or_default();
        table.add_row([
            account.instagram_business_account_id,
            username,
            account.active.to_string(),
            account.id.to_string(),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(())
}
