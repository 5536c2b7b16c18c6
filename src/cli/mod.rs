//! The command line: a file a command, each thin.

mod account_add;
mod account_id;
pub mod accounts;
pub mod audit;
pub mod check;
pub mod dead_letters;
mod erase;
pub mod migrate;
pub mod openapi;
pub mod replay;
mod rotate_key;
pub mod send;
pub mod serve;
pub mod simulate;
pub mod subscribe;
pub mod tail;
mod terminal;
pub mod token;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::service::store_options;
use crate::store::Store;
use crate::telemetry::logs;

/// Takes in Instagram's webhook traffic and loses none of it
#[derive(Debug, Parser)]
#[command(name = "igstream", version)]
pub struct Cli {
    /// A configuration file (TOML) over the built-in defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: receiver, publisher, handlers, metrics (the default)
    Serve(serve::ServeArgs),
    /// Say what the service needs to start, and what of it is wrong; changes nothing
    Check(check::CheckArgs),
    /// Make, undo and look at the database's schema
    Migrate(migrate::MigrateArgs),
    /// Play Instagram against a running service
    Simulate(simulate::SimulateArgs),
    /// Sign payload files and post them, to try one payload
    Send(send::SendArgs),
    /// Show events as they are stored, one a line
    Tail(tail::TailArgs),
    /// What failed for good, why, and the way back
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Process stored events again, after a fault was mended or for a new column
    Replay(replay::ReplayArgs),
    /// Whether all that was received is stored: the ledger
    Audit(audit::AuditArgs),
    /// The accounts whose traffic is expected
    Accounts(accounts::AccountsArgs),
    /// Issue a token for the management API
    Token(token::TokenArgs),
    /// Print the OpenAPI document of the management API
    Openapi(openapi::OpenapiArgs),
    /// Have Instagram post the app's events here, and see the handshake through
    Subscribe(subscribe::SubscribeArgs),
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let command = self
            .command
            .unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
        if let Command::Check(args) = &command {
            // What is wrong is what it prints: it needs no log, and no good configuration.
            return check::run(args, self.config.as_deref()).await;
        }
        if let Command::Openapi(args) = &command {
            return openapi::run(args);
        }
        let demo = matches!(&command, Command::Serve(args) if args.demo);
        let config = Config::load(self.config.as_deref(), demo)?;
        logs::init(&config.log)?;
        match command {
            Command::Check(args) => check::run(&args, self.config.as_deref()).await,
            Command::Openapi(args) => openapi::run(&args),
            Command::Token(args) => token::run(&args, &config),
            Command::Serve(args) => serve::run(&args, config).await,
            Command::Migrate(args) => {
                migrate::run(&args, connect(&config).await?.database()).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Simulate(args) => {
                config.require_app_secrets()?;
                let secrets: Vec<String> = config
                    .instagram
                    .app_secrets
                    .iter()
                    .map(|secret| secret.expose().to_owned())
                    .collect();
                simulate::run(&args, &secrets).await
            }
            Command::Send(args) => send::run(&args, &config).await,
            Command::Tail(args) => tail::run(&args, &config).await,
            Command::DeadLetters(args) => {
                dead_letters::run(&args, &config, &connect(&config).await?).await
            }
            Command::Replay(args) => replay::run(&args, &config).await,
            Command::Audit(args) => audit::run(&args, &config).await,
            Command::Subscribe(args) => subscribe::run(&args, config).await,
            Command::Accounts(args) => {
                let store = connect(&config).await?;
                if config.database.migrate_on_start {
                    migration::up(store.database(), None).await?;
                }
                accounts::run(&args, &config, &store).await
            }
        }
    }
}

/// The database, for a command that needs it now.
async fn connect(config: &Config) -> anyhow::Result<Store> {
    let url = config.database.url.url_without_credentials();
    Store::connect(&store_options(config))
        .await
        .with_context(|| format!("the database at {url} (`database.url`) cannot be reached"))
}
