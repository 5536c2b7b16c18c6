//! The databases that a benchmark makes, and what is asked of them.

use std::path::Path;

use anyhow::{Context as _, Result};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use uuid::Uuid;

/// The tables that events leave rows in: the generic log, conversations, then the types' own.
pub const TABLES: [&str; 9] = [
    "conversations",
    "instagram_webhook_events",
    "instagram_comments",
    "instagram_mentions",
    "messages",
    "instagram_message_reactions",
    "instagram_messaging_postbacks",
    "instagram_messaging_seen",
    "instagram_story_insights_aggregated",
];

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A new database of the `PostgreSQL` that `DATABASE_URL` names.
    Postgres,
    /// A new file.
    Sqlite,
}

/// A database of a benchmark's own, with igstream's schema.
#[derive(Debug)]
pub struct Benched {
    /// Which.
    pub kind: Kind,
    /// How it is reached.
    pub url: String,
    /// A connection to it.
    pub connection: DatabaseConnection,
}

impl Benched {
    /// Makes it; a file lies in `home`.
    pub async fn make(kind: Kind, home: &Path) -> Result<Self> {
        let url = match kind {
            Kind::Sqlite => format!("sqlite://{}?mode=rwc", home.join("bench.db").display()),
            Kind::Postgres => new_postgres_database().await?,
        };
        let connection = Database::connect(&url).await?;
        migration::up(&connection, None).await?;
        Ok(Self {
            kind,
            url,
            connection,
        })
    }

    /// Removes it, however large it is; a file goes with its directory.
    pub async fn remove(self) -> Result<()> {
        self.connection.close().await?;
        if self.kind == Kind::Sqlite {
            return Ok(());
        }
        let (rest, _) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (_, name) = rest.rsplit_once('/').context("the URL names no database")?;
        let connection = Database::connect(server()?).await?;
        connection
            .execute_unprepared(&format!("DROP DATABASE {name} WITH (FORCE)"))
            .await?;
        Ok(connection.close().await?)
    }

    /// Runs `sql`, one statement.
    pub async fn run(&self, sql: &str) -> Result<()> {
        self.connection
            .execute_unprepared(sql)
            .await
            .with_context(|| sql.to_owned())?;
        Ok(())
    }

    /// The number that `sql` asks for.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        let statement = Statement::from_string(self.connection.get_database_backend(), sql);
        let row = self
            .connection
            .query_one_raw(statement)
            .await?
            .context("no row")?;
        Ok(row.try_get_by_index(0)?)
    }

    /// The texts that `sql` asks for, one a row.
    pub async fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let statement = Statement::from_string(self.connection.get_database_backend(), sql);
        let rows = self.connection.query_all_raw(statement).await?;
        rows.iter()
            .map(|row| Ok(row.try_get_by_index(0)?))
            .collect()
    }

    /// The time by its own clock, as it writes it.
    pub async fn now(&self) -> Result<String> {
        let mut now = self.texts("SELECT clock_timestamp()::text").await?;
        now.pop().context("no row")
    }

    /// How many rows the generic log has.
    pub async fn events(&self) -> Result<i64> {
        self.number("SELECT count(*) FROM instagram_webhook_events")
            .await
    }

    /// Removes the events' rows; accounts stay.
    pub async fn empty(&self) -> Result<()> {
        if self.kind == Kind::Postgres {
            self.run(&format!("TRUNCATE {} CASCADE", TABLES.join(", ")))
                .await?;
            return self.run("CHECKPOINT").await;
        }
        for table in TABLES.iter().rev() {
            self.run(&format!("DELETE FROM {table}")).await?;
        }
        Ok(())
    }
}

/// The `PostgreSQL` that is used, as its administrator reaches it.
pub fn server() -> Result<String> {
    std::env::var("DATABASE_URL").context("DATABASE_URL is not set: see `make bench`")
}

async fn new_postgres_database() -> Result<String> {
    let admin = server()?;
    let name = format!("bench_{}", Uuid::new_v4().simple());
    let connection = Database::connect(&admin).await?;
    connection
        .execute_unprepared(&format!("CREATE DATABASE {name}"))
        .await?;
    connection.close().await?;
    let (server, options) = admin
        .split_once('?')
        .map_or((admin.as_str(), String::new()), |(server, options)| {
            (server, format!("?{options}"))
        });
    let (server, _) = server
        .rsplit_once('/')
        .context("DATABASE_URL names no database")?;
    Ok(format!("{server}/{name}{options}"))
}
