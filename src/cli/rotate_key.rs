//! `igstream accounts rotate-key`: every access token is encrypted with the current key.

use std::process::ExitCode;

use crate::config::Config;
use crate::service::vault;
use crate::store::Store;
use crate::store::tokens::{Resealed, StoredToken};
use crate::vault::{Vault, VaultError};

/// How many tokens a transaction changes.
const PAGE: u64 = 500;

/// What became of the tokens.
#[derive(Debug, Default)]
struct Outcome {
    rotated: u64,
    current: u64,
    changed_meanwhile: u64,
    unreadable: Vec<(String, VaultError)>,
}

/// Runs the command. Safe to stop and to repeat: what has the current key already is left alone.
pub(super) async fn run(config: &Config, store: &Store) -> anyhow::Result<ExitCode> {
    config.require_encryption_key()?;
    let vault = vault(config);
    let mut outcome = Outcome::default();
    let mut last = None;
    loop {
        let page = store.stored_tokens(last, PAGE).await?;
        let Some(end) = page.last().map(|token| token.account) else {
            break;
        };
        last = Some(end);
        let resealed = outcome.reseal(&vault, page);
        let wanted = resealed.len() as u64;
        let rotated = store.replace_tokens(resealed).await?;
        outcome.rotated += rotated;
        outcome.changed_meanwhile += wanted - rotated;
    }
    Ok(outcome.tell())
}

impl Outcome {
    fn reseal(&mut self, vault: &Vault, page: Vec<StoredToken>) -> Vec<Resealed> {
        let mut resealed = Vec::new();
        for StoredToken {
            account,
            ig_account_id,
            token,
        } in page
        {
            match vault.reseal(account, &token.0) {
                Ok(Some(after)) => resealed.push(Resealed {
                    account,
                    before: token,
                    after,
                }),
                Ok(None) => self.current += 1,
                Err(error) => self.unreadable.push((ig_account_id, error)),
            }
        }
        resealed
    }

    fn tell(&self) -> ExitCode {
        let Self {
            rotated, current, ..
        } = self;
        println!("access tokens encrypted with the current key: {rotated} now, {current} before");
        if self.changed_meanwhile > 0 {
            println!(
                "{} were changed meanwhile: run it again to be sure of them",
                self.changed_meanwhile
            );
        }
        if self.unreadable.is_empty() {
            return ExitCode::SUCCESS;
        }
        let left = self.unreadable.len();
        eprintln!("igstream: {left} could not be read, and stay as they are:");
        for (account, error) in &self.unreadable {
            eprintln!("  account {account}: {error}");
        }
        ExitCode::FAILURE
    }
}
