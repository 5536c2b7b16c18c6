//! `igstream migrate`: the schema, made, undone and looked at.

use std::io::{self, Write};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use migration::State;
use sea_orm::DatabaseConnection;
use serde_json::json;

/// The arguments of `igstream migrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  igstream migrate up\n  igstream migrate down -n 2\n  igstream migrate status --json"
)]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply the migrations that are pending
    #[command(after_help = "Example:\n  igstream migrate up -n 1")]
    Up {
        /// Apply only the next N
        #[arg(short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        number: Option<u32>,
    },
    /// Roll back the last migration: the rows of its table are lost
    #[command(after_help = "Example:\n  igstream migrate down -n 2")]
    Down {
        /// Roll back the last N
        #[arg(short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        number: u32,
    },
    /// Show which migrations are applied; changes nothing
    #[command(after_help = "Example:\n  igstream migrate status --json")]
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Roll everything back and apply it anew: all that igstream stored is lost
    #[command(after_help = "Example:\n  igstream migrate fresh --yes")]
    Fresh {
        /// Yes, delete all rows
        #[arg(long)]
        yes: bool,
    },
}

/// Does what `args` say to the schema of `db`, and prints what was done.
pub async fn run(args: &MigrateArgs, db: &DatabaseConnection) -> anyhow::Result<()> {
    let answer = answer(&args.command, db).await?;
    writeln!(io::stdout(), "{answer}").context("cannot write to standard output")
}

async fn answer(command: &Command, db: &DatabaseConnection) -> anyhow::Result<String> {
    match command {
        Command::Up { number } => Ok(changed("applied", &migration::up(db, *number).await?)),
        Command::Down { number } => Ok(changed(
            "rolled back",
            &migration::down(db, Some(*number)).await?,
        )),
        Command::Status { json } => shown(&migration::status(db).await?, *json),
        Command::Fresh { yes } => {
            ensure!(
                yes,
                "fresh deletes all rows that igstream stored; if you mean it, give --yes"
            );
            Ok(changed("applied anew", &migration::fresh(db).await?))
        }
    }
}

/// A line a migration.
fn changed(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "nothing to do".to_owned();
    }
    names
        .iter()
        .map(|name| format!("{what} {name}"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn shown(status: &[State], json: bool) -> anyhow::Result<String> {
    if json {
        let list: Vec<_> = status
            .iter()
            .map(|state| json!({"name": state.name, "applied": state.applied}))
            .collect();
        return Ok(serde_json::to_string_pretty(&list)?);
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["MIGRATION", "STATUS"]);
    for state in status {
        table.add_row([
            state.name.as_str(),
            if state.applied { "applied" } else { "pending" },
        ]);
    }
    Ok(table.trim_fmt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use clap::Parser;
    use sea_orm::{ConnectOptions, Database};

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        migrate: MigrateArgs,
    }

    async fn database() -> DatabaseConnection {
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1);
        Database::connect(options).await.unwrap()
    }

    async fn number_of_all(db: &DatabaseConnection) -> usize {
        migration::status(db).await.unwrap().len()
    }

    async fn migrate(db: &DatabaseConnection, words: &str) -> anyhow::Result<String> {
        let cli = Cli::try_parse_from(["migrate"].into_iter().chain(words.split(' ')))?;
        answer(&cli.migrate.command, db).await
    }

    #[tokio::test]
    async fn up_and_down_name_what_they_did() {
        let db = database().await;
        let first = "m20261124_000001_create_client_accounts";
        assert_eq!(
            migrate(&db, "up -n 1").await.unwrap(),
            format!("applied {first}")
        );
        let others = number_of_all(&db).await - 1;
        assert_eq!(migrate(&db, "up").await.unwrap().lines().count(), others);
        assert_eq!(migrate(&db, "up").await.unwrap(), "nothing to do");
        assert_eq!(migrate(&db, "down").await.unwrap().lines().count(), 1);
        let rolled_back = migrate(&db, "down -n 99").await.unwrap();
        assert!(
            rolled_back.ends_with(&format!("rolled back {first}")),
            "{rolled_back}"
        );
        assert!(migrate(&db, "down -n 0").await.is_err());
    }

    #[tokio::test]
    async fn status_is_a_table_or_json() {
        let db = database().await;
        migrate(&db, "up -n 1").await.unwrap();
        let table = migrate(&db, "status").await.unwrap();
        let applied: Vec<&str> = table
            .lines()
            .filter(|line| line.ends_with("applied"))
            .collect();
        assert_eq!(applied.len(), 1, "{table}");
        assert!(
            applied[0].contains("m20261124_000001_create_client_accounts"),
            "{table}"
        );

        let json = migrate(&db, "status --json").await.unwrap();
        let list: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(list[0]["applied"], true);
        assert_eq!(list[12]["applied"], false);
    }

    #[tokio::test]
    async fn fresh_wants_a_yes() {
        let db = database().await;
        migrate(&db, "up").await.unwrap();
        let refused = migrate(&db, "fresh").await.unwrap_err().to_string();
        assert!(refused.contains("--yes"), "{refused}");
        assert_eq!(
            migrate(&db, "fresh --yes").await.unwrap().lines().count(),
            number_of_all(&db).await
        );
    }
}
