//! `igstream accounts add`: an account, and what is known of it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use entity::EncryptedToken;

use super::account_id::account_id;
use crate::config::{Config, Secret};
use crate::connect::{Owner, owner_of};
use crate::instagram::time::canonical;
use crate::service::{graph, vault};
use crate::store::Store;
use crate::store::account_changes::{AccountChange, Changed};
use crate::store::accounts::Added;
use crate::vault::{VaultError, is_token};

/// No token of Meta's is longer.
const LONGEST_FILE: u64 = 64 * 1024;

/// What is to be added.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The professional account's id, as in `entry.id` of its webhooks
    #[arg(value_parser = account_id)]
    ig_account_id: String,
    /// What the account calls itself; with a token, Meta tells
    #[arg(long)]
    username: Option<String>,
    /// Its id for the app, by which Instagram's callbacks name it: `id` of /me; with a token, Meta tells
    #[arg(long, value_name = "ID", value_parser = account_id)]
    app_scoped_id: Option<String>,
    /// A file with its access token, or - for standard input; it is stored encrypted
    #[arg(long, value_name = "FILE")]
    access_token_file: Option<PathBuf>,
}

/// Adds it, or says of one that is there what is new.
pub(super) async fn run(add: &Add, config: &Config, store: &Store) -> anyhow::Result<()> {
    let token = match &add.access_token_file {
        Some(path) => Some(checked_token(path, config)?),
        None => None,
    };
    let owner = match &token {
        Some(token) => owner_of(&graph(config), &add.ig_account_id, token)
            .await
            .context("nothing was stored")?,
        None => Owner::default(),
    };
    let username = add.username.clone().or(owner.username);
    let app_scoped_id = add.app_scoped_id.clone().or(owner.app_scoped_id);
    let became = added(&add.ig_account_id, username.as_deref(), store).await?;
    let change = AccountChange {
        username: username.map(Some),
        app_scoped_id: app_scoped_id.map(Some),
        ..AccountChange::default()
    };
    let is_stored = token.is_some();
    change_what_is_new(&add.ig_account_id, change, token, config, store).await?;
    println!(
        "account {} {became}{}",
        add.ig_account_id,
        if is_stored {
            "; its access token is stored"
        } else {
            ""
        }
    );
    Ok(())
}

/// The token, and a key to encrypt it with.
fn checked_token(path: &Path, config: &Config) -> anyhow::Result<Secret> {
    config.require_encryption_key()?;
    let token = read(path)?;
    if is_token(token.expose()) {
        Ok(token)
    } else {
        Err(VaultError::NoToken.into())
    }
}

fn read(path: &Path) -> anyhow::Result<Secret> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin()
            .take(LONGEST_FILE)
            .read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LONGEST_FILE).read_to_string(&mut text))
    };
    read.with_context(|| format!("--access-token-file: cannot read {}", path.display()))?;
    Ok(Secret::new(text.trim()))
}

async fn added(
    ig_account_id: &str,
    username: Option<&str>,
    store: &Store,
) -> anyhow::Result<&'static str> {
    Ok(match store.add_account(ig_account_id, username).await? {
        Added::New => "added",
        Added::Again => "added again: what waited for it is processed",
        Added::Already => "is there already",
        Added::BeingErased(since) => bail!(
            "account {ig_account_id} is being erased, since {}: add it when that is finished; \
             `igstream accounts list` shows it until then",
            canonical(since)
        ),
    })
}

async fn change_what_is_new(
    ig_account_id: &str,
    mut change: AccountChange,
    token: Option<Secret>,
    config: &Config,
    store: &Store,
) -> anyhow::Result<()> {
    if change.is_empty() && token.is_none() {
        return Ok(());
    }
    let gone = || format!("account {ig_account_id} was erased meanwhile: add it again");
    let account = store
        .account_called(ig_account_id)
        .await?
        .with_context(gone)?;
    if let Some(token) = token {
        let sealed = vault(config).seal(account.id, &token)?;
        change.access_token = Some(Some(EncryptedToken(sealed)));
    }
    match store.change_account(account.id, &change, None).await? {
        Changed::Now(_) => Ok(()),
        Changed::Meanwhile(_) | Changed::BeingErased(_) | Changed::Unknown => bail!(gone()),
    }
}
