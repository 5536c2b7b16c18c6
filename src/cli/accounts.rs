//! `igstream accounts`: the accounts whose traffic is expected.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use entity::client_account;
use entity::erased_account::Model as Tombstone;
use serde_json::{Value, json};

use super::account_add::{self, Add};
use super::account_id::{account_id, unknown};
use super::{erase, rotate_key};
use crate::config::Config;
use crate::instagram::time::canonical;
use crate::store::Store;
use crate::store::accounts::Removed;

/// The arguments of `igstream accounts`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  igstream accounts add 17841405822304914 --username shop\n  igstream accounts list --json\n  igstream accounts remove 17841405822304914\n  igstream accounts remove 17841405822304914 --erase\n  igstream accounts rotate-key"
)]
pub struct AccountsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Expect an account's traffic; what came of it before is processed by itself
    #[command(after_help = ADD_HELP)]
    Add(Add),
    /// Expect nothing more of an account; what was stored of it stays, unless it is erased
    #[command(after_help = REMOVE_HELP)]
    Remove {
        /// The professional account's id, as in `accounts list`
        #[arg(value_parser = account_id)]
        ig_account_id: String,
        /// Delete its rows, and its messages in every stream but the journal, for good
        #[arg(long)]
        erase: bool,
        /// Yes, delete them: nobody is asked
        #[arg(long, requires = "erase")]
        yes: bool,
    },
    /// Encrypt every access token with the current key
    #[command(after_help = ROTATE_HELP)]
    RotateKey,
    /// Every account, and those that are being erased
    #[command(after_help = "Example:\n  igstream accounts list --json")]
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

const ADD_HELP: &str = "\
Examples:
  igstream accounts add 17841405822304914 --username shop
  igstream accounts add 17841405822304914 --access-token-file /run/secrets/shop_token
  pass show shop-token | igstream accounts add 17841405822304914 --access-token-file -

An account that is there gets what is given. With an access token Meta is asked whose it is: that of another account
is refused, and the name and the id that Instagram's callbacks use are stored too. Needs accounts.encryption_key.";

const ROTATE_HELP: &str = "\
Example:
  openssl rand -hex 32                     # the new accounts.encryption_key; the old one goes
  igstream accounts rotate-key             # to accounts.previous_encryption_keys, until this has exited 0

Restart the service with both keys first. It can be stopped and repeated. Exit 1: some tokens could not be read; they
stay as they are, and their accounts are named.";

const REMOVE_HELP: &str = "\
Examples:
  igstream accounts remove 17841405822304914
  igstream accounts remove 17841405822304914 --erase

Without --erase nothing is deleted. What comes of the account from now on is kept as unassigned, also
with accounts.auto_register, and is processed once the account is added again.

With --erase all that came of it up to now is deleted: rows, and messages in every stream but the
journal, which keeps them, packed among others', until stream.keep_days are over. It says first what
that is, and asks. Stopped half way, the running service goes on with it.";

/// Runs the command.
pub async fn run(args: &AccountsArgs, config: &Config, store: &Store) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Remove {
            ig_account_id,
            erase: true,
            yes,
        } => return erase::run(ig_account_id, *yes, config, store).await,
        Command::Remove { ig_account_id, .. } => return remove(store, ig_account_id).await,
        Command::RotateKey => return rotate_key::run(config, store).await,
        Command::Add(add) => account_add::run(add, config, store).await?,
        Command::List { json } => list(store, *json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn remove(store: &Store, ig_account_id: &str) -> anyhow::Result<ExitCode> {
    match store.remove_account(ig_account_id).await? {
        Removed::Now => println!(
            "account {ig_account_id} removed: its rows stay, and what comes of it is kept as unassigned"
        ),
        Removed::Before => println!("account {ig_account_id} is removed already"),
        Removed::Unknown => match store.tombstone(ig_account_id).await? {
            Some(tombstone) => println!(
                "account {ig_account_id} is removed already: it was erased at {}",
                canonical(tombstone.erased_at)
            ),
            None => return Ok(unknown(ig_account_id)),
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// An account, or one that is being erased and may have no row any more.
struct Listed {
    ig_account_id: String,
    account: Option<client_account::Model>,
    erasure: Option<Tombstone>,
}

async fn list(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let listed = listed(store.accounts().await?, store.erasures().await?);
    if as_json {
        let rows: Vec<_> = listed.iter().map(Listed::json).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "Instagram id",
        "username",
        "active",
        "id",
        "being erased since",
    ]);
    for one in &listed {
        table.add_row(one.cells());
    }
    println!("{}", table.trim_fmt());
    Ok(())
}

fn listed(accounts: Vec<client_account::Model>, erasures: Vec<Tombstone>) -> Vec<Listed> {
    let mut listed: BTreeMap<String, Listed> = accounts
        .into_iter()
        .map(|account| {
            let ig_account_id = account.instagram_business_account_id.clone();
            let one = Listed {
                ig_account_id: ig_account_id.clone(),
                account: Some(account),
                erasure: None,
            };
            (ig_account_id, one)
        })
        .collect();
    for erasure in erasures {
        let ig_account_id = erasure.ig_account_id.clone();
        let one = listed.entry(ig_account_id.clone()).or_insert(Listed {
            ig_account_id,
            account: None,
            erasure: None,
        });
        one.erasure = Some(erasure);
    }
    listed.into_values().collect()
}

impl Listed {
    fn is_active(&self) -> bool {
        self.account.as_ref().is_some_and(|account| account.active)
    }

    fn json(&self) -> Value {
        let account = self.account.as_ref();
        json!({
            "id": account.map(|account| account.id),
            "instagram_business_account_id": self.ig_account_id,
            "username": account.and_then(|account| account.username.as_deref()),
            "app_scoped_id": account.and_then(|account| account.app_scoped_id.as_deref()),
            "has_access_token": account.is_some_and(|account| account.access_token.is_some()),
            "active": self.is_active(),
            "created_at": account.map(|account| account.created_at),
            "being_erased_since": self.erasure.as_ref().map(|erasure| canonical(erasure.erased_at)),
        })
    }

    fn cells(&self) -> [String; 5] {
        let account = self.account.as_ref();
        let username = account.and_then(|account| account.username.clone());
        let id = account.map(|account| account.id.to_string());
        let since = self.erasure.as_ref();
        [
            self.ig_account_id.clone(),
            username.unwrap_or_default(),
            self.is_active().to_string(),
            id.unwrap_or_default(),
            since.map_or_else(String::new, |erasure| canonical(erasure.erased_at)),
        ]
    }
}
