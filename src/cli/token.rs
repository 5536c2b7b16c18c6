//! `igstream token`: a token for the management API.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use uuid::Uuid;

use crate::api::auth::{ALL, Accounts, Grant, Scope, issue};
use crate::config::Config;

/// A hundred years: whoever wants more wants no end, which a token must have.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

const EXAMPLE: &str = "\
Examples:
  igstream token --accounts '*' --scope webhooks:read,webhooks:write --expires-in 8h
  igstream token --accounts 01a20ec0-7873-75c8-a96e-69449e2a1e1c --subject reports
  curl -H \"Authorization: Bearer $(igstream token --accounts '*')\" http://127.0.0.1:8080/api/instagram/webhooks/audit

It is signed with auth.jwt_secret (HS256). Whoever has that can issue tokens; whoever has a token can use it
until it expires.";

/// The arguments of `igstream token`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct TokenArgs {
    /// The accounts it may see, by their ids as `accounts list` shows them, or * for all
    #[arg(long, value_delimiter = ',', required = true, value_name = "UUID", value_parser = account)]
    accounts: Vec<Which>,
    /// What it may do: webhooks:read, webhooks:write; write does not include read
    #[arg(long, value_delimiter = ',', default_value = "webhooks:read", value_name = "SCOPE", value_parser = scope)]
    scope: Vec<Scope>,
    /// How long it is good, such as 15m, 8h or 30days
    #[arg(long, default_value = "1h", value_name = "DURATION", value_parser = lasts)]
    expires_in: Duration,
    /// Who it is for: stands in the log
    #[arg(long, default_value = "igstream token", value_name = "NAME")]
    subject: String,
}

#[derive(Debug, Clone, Copy)]
enum Which {
    All,
    One(Uuid),
}

fn account(given: &str) -> Result<Which, String> {
    if given == ALL {
        return Ok(Which::All);
    }
    Uuid::parse_str(given).map(Which::One).map_err(|_| {
        "it is an account's own id (a UUID), which `igstream accounts list` shows, or *".to_owned()
    })
}

fn scope(given: &str) -> Result<Scope, String> {
    let known = Scope::EVERY.into_iter().find(|scope| scope.name() == given);
    known.ok_or_else(|| "it is webhooks:read or webhooks:write".to_owned())
}

fn lasts(given: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(given).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) || duration > LONGEST {
        return Err("it is from 1s to 100years".to_owned());
    }
    Ok(duration)
}

/// Prints a token, and nothing else.
pub fn run(args: &TokenArgs, config: &Config) -> anyhow::Result<ExitCode> {
    config.require_jwt_secret()?;
    let secret = config.auth.jwt_secret.as_ref().context("auth.jwt_secret")?;
    println!("{}", issue(&args.grant(config), secret)?);
    Ok(ExitCode::SUCCESS)
}

impl TokenArgs {
    fn grant(&self, config: &Config) -> Grant {
        let ids = self.accounts.iter().map(|which| match which {
            Which::All => None,
            Which::One(id) => Some(*id),
        });
        // One that is all makes it all.
        let only: Option<BTreeSet<Uuid>> = ids.collect();
        Grant {
            subject: self.subject.clone(),
            accounts: only.map_or(Accounts::All, Accounts::Only),
            scopes: self.scope.clone(),
            lasts: self.expires_in,
            issuer: config.auth.issuer.clone(),
            audience: config.auth.audience.clone(),
        }
    }
}
