//! The database: reachable, writable, its schema.

use std::path::Path;
use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::clock::Elsewhere;
use super::{Finding, chain, disk};
use crate::config::Config;
use crate::service::store_options;
use crate::store;

const DATABASE: &str = "database";
const SCHEMA: &str = "schema";

pub(super) struct Database {
    pub(super) findings: Vec<Finding>,
    pub(super) clock: Option<Elsewhere>,
}

impl From<Finding> for Database {
    fn from(finding: Finding) -> Self {
        Self {
            findings: vec![finding],
            clock: None,
        }
    }
}

pub(super) async fn check(config: &Config) -> Database {
    let url = config.database.url.expose();
    if url.starts_with("sqlite:")
        && let Some(finding) = file(url)
    {
        return finding.into();
    }
    match store::connect_to_look(&store_options(config)).await {
        Ok(database) => {
            let looked = look(&database, config).await;
            // It was only read: what a failed goodbye leaves is nothing.
            let _ = database.close().await;
            looked.unwrap_or_else(|error| unreachable(config, &error).into())
        }
        Err(error) => unreachable(config, &error).into(),
    }
}

fn unreachable(config: &Config, error: &dyn std::error::Error) -> Finding {
    let shown = config.database.url.url_without_credentials();
    let found = format!(
        "{shown} (database.url) cannot be used: {}; start it, or mend the url",
        chain(error)
    );
    Finding::wrong(DATABASE, found)
}

/// What there is to say of a file before it is opened; `None` if it is there and good.
fn file(url: &str) -> Option<Finding> {
    let in_memory = url.contains(":memory:") || url.contains("mode=memory");
    if in_memory {
        let found = "SQLite in memory (database.url): all rows are gone when the service stops";
        return Some(Finding::note(DATABASE, found));
    }
    let options = match SqliteConnectOptions::from_str(url) {
        Ok(options) => options,
        Err(error) => {
            let found = format!("database.url is no SQLite url: {}", chain(&error));
            return Some(Finding::wrong(DATABASE, found));
        }
    };
    let path = options.get_filename();
    let directory = path.parent().unwrap_or(Path::new("."));
    if let Some(reason) = disk::unwritable_directory(directory) {
        let mend = "give its user the right, or set database.url";
        return Some(Finding::wrong(
            DATABASE,
            format!("SQLite: {reason}; {mend}"),
        ));
    }
    if path.exists() {
        let reason = disk::unwritable_file(path)?;
        let mend = "give its user the right, or set database.url";
        return Some(Finding::wrong(
            DATABASE,
            format!("SQLite: {reason}; {mend}"),
        ));
    }
    let shown = path.display();
    Some(if url.contains("mode=rwc") {
        Finding::good(
            DATABASE,
            format!("SQLite: {shown} is made at the first start"),
        )
    } else {
        let mend = "add ?mode=rwc to database.url to have it made";
        Finding::wrong(DATABASE, format!("SQLite: {shown} is not there: {mend}"))
    })
}

async fn look(database: &DatabaseConnection, config: &Config) -> Result<Database, DbErr> {
    let (server, clock) = match database.get_database_backend() {
        DbBackend::Sqlite => (sqlite(database).await?, None),
        _ => postgres(database).await?,
    };
    Ok(Database {
        findings: vec![server, schema(database, config).await],
        clock,
    })
}

async fn sqlite(database: &DatabaseConnection) -> Result<Finding, DbErr> {
    let sql = "PRAGMA journal_mode";
    let row = database
        .query_one_raw(Statement::from_string(DbBackend::Sqlite, sql))
        .await?;
    let mode: String = row.map_or(Ok(String::new()), |row| row.try_get_by_index(0))?;
    let found = if mode.eq_ignore_ascii_case("wal") {
        "SQLite, writable, with a write-ahead log".to_owned()
    } else {
        format!("SQLite, writable; its journal ({mode}) becomes a write-ahead log at the start")
    };
    Ok(Finding::good(DATABASE, found))
}

async fn postgres(database: &DatabaseConnection) -> Result<(Finding, Option<Elsewhere>), DbErr> {
    let sql = "SELECT current_setting('server_version') AS version, \
               pg_is_in_recovery() OR current_setting('transaction_read_only')::bool AS read_only, \
               clock_timestamp() AS now";
    let row = database
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?
        .ok_or_else(|| DbErr::RecordNotFound("the server answers nothing".to_owned()))?;
    let version: String = row.try_get("", "version")?;
    let now: DateTime<Utc> = row.try_get("", "now")?;
    let read_only: bool = row.try_get("", "read_only")?;
    let finding = if read_only {
        let found = format!(
            "PostgreSQL {version} only reads (a standby?): name the server that writes by database.url"
        );
        Finding::wrong(DATABASE, found)
    } else {
        Finding::good(DATABASE, format!("PostgreSQL {version} answers"))
    };
    Ok((finding, Some(Elsewhere::read(now))))
}

async fn schema(database: &DatabaseConnection, config: &Config) -> Finding {
    let migrations = match migration::status(database).await {
        Ok(migrations) => migrations,
        Err(error) => return Finding::wrong(SCHEMA, chain(&error)),
    };
    let pending = migrations.iter().filter(|state| !state.applied).count();
    match (pending, config.database.migrate_on_start) {
        (0, _) => Finding::good(SCHEMA, "up to date"),
        (pending, true) => Finding::good(
            SCHEMA,
            format!("{pending} migration(s) are pending; the start applies them"),
        ),
        (pending, false) => Finding::wrong(
            SCHEMA,
            format!(
                "{pending} migration(s) are pending and database.migrate_on_start is false: run `igstream migrate up`"
            ),
        ),
    }
}
