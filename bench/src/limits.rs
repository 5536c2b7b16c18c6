//! What the database takes at most: the rows that igstream left, written again by the fastest SQL found, with nothing
//! else to do.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::TryStreamExt as _;
use sea_orm::sqlx::postgres::{PgConnection, PgPoolCopyExt as _};
use sea_orm::sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::database::{Benched, Kind, TABLES};
use crate::plan::{count, size};

/// How many connections write at once. More are worth nothing on two cores.
const CONNECTIONS: usize = 2;

/// The rows of each table, to be written again.
#[derive(Debug)]
pub enum Rows {
    /// Of `PostgreSQL`: in memory.
    Postgres(Lines),
    /// Of `SQLite`: in a file of their own beside the database.
    Sqlite(Copies),
}

impl Rows {
    /// Keeps what is there.
    pub async fn read(from: &Benched, home: &Path) -> Result<Self> {
        Ok(match from.kind {
            Kind::Postgres => Self::Postgres(Lines::read(from, "true").await?),
            Kind::Sqlite => Self::Sqlite(Copies::make(from, home).await?),
        })
    }

    /// Writes them into `database`, which is empty, `chunk` events a transaction: events a second.
    pub async fn insert(&self, database: &Benched, chunk: usize) -> Result<f64> {
        match self {
            Self::Postgres(lines) => lines.insert(database, chunk).await,
            Self::Sqlite(copies) => copies.insert(database, chunk).await,
        }
    }
}

/// The rows of each table, as lines that `COPY` takes.
#[derive(Debug)]
pub struct Lines {
    tables: Vec<(&'static str, Vec<String>)>,
    events: usize,
}

impl Lines {
    /// Those of which `condition` is true.
    pub async fn read(from: &Benched, condition: &str) -> Result<Self> {
        let pool = from.connection.get_postgres_connection_pool();
        let (mut tables, mut events) = (Vec::new(), 0);
        for table in TABLES {
            let mut lines = String::new();
            let mut copied = pool
                .copy_out_raw(&format!(
                    "COPY (SELECT * FROM {table} WHERE {condition}) TO STDOUT"
                ))
                .await?;
            while let Some(bytes) = copied.try_next().await? {
                lines.push_str(std::str::from_utf8(&bytes).context("COPY writes UTF-8")?);
            }
            let lines: Vec<String> = lines.lines().map(|line| format!("{line}\n")).collect();
            if table == "instagram_webhook_events" {
                events = lines.len();
            }
            tables.push((table, lines));
        }
        Ok(Self { tables, events })
    }

    /// By `COPY`.
    pub async fn insert(&self, database: &Benched, chunk: usize) -> Result<f64> {
        let begun = Instant::now();
        // Others point to these.
        let (conversations, rest) = self.tables.split_at(1);
        let mut connection = PgConnection::connect(&database.url).await?;
        for (table, lines) in conversations {
            copy(&mut connection, table, lines).await?;
        }
        connection.close().await?;
        let halves =
            (0..CONNECTIONS).map(|half| self.insert_half(rest, &database.url, half, chunk));
        futures::future::try_join_all(halves).await?;
        Ok(size(self.events) / begun.elapsed().as_secs_f64())
    }

    async fn insert_half(
        &self,
        tables: &[(&str, Vec<String>)],
        url: &str,
        half: usize,
        chunk: usize,
    ) -> Result<()> {
        let mut connection = PgConnection::connect(url).await?;
        let turns = (self.events / CONNECTIONS).div_ceil(chunk).max(1);
        for turn in 0..turns {
            connection.execute("BEGIN").await?;
            for (table, lines) in tables {
                let (from, to) = (
                    lines.len() * half / CONNECTIONS,
                    lines.len() * (half + 1) / CONNECTIONS,
                );
                let mine = &lines[from..to];
                let part = &mine[mine.len() * turn / turns..mine.len() * (turn + 1) / turns];
                copy(&mut connection, table, part).await?;
            }
            connection.execute("COMMIT").await?;
        }
        connection.close().await?;
        Ok(())
    }
}

async fn copy(to: &mut PgConnection, table: &str, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut copy = to.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
    copy.send(lines.concat().into_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

/// Where the rows of a `SQLite` database are kept.
#[derive(Debug)]
pub struct Copies {
    file: PathBuf,
    events: i64,
}

impl Copies {
    async fn make(from: &Benched, home: &Path) -> Result<Self> {
        let file = home.join("copies.db");
        let copies = Self {
            file,
            events: from.events().await?,
        };
        let mut statements = vec![copies.attach()];
        statements.extend(
            TABLES
                .map(|table| format!("CREATE TABLE copies.{table} AS SELECT * FROM main.{table}")),
        );
        statements.push("DETACH copies".to_owned());
        from.run(&statements.join("; ")).await?;
        Ok(copies)
    }

    fn attach(&self) -> String {
        format!("ATTACH '{}' AS copies", self.file.display())
    }

    /// From table to table, on one connection: the file has one writer.
    async fn insert(&self, database: &Benched, chunk: usize) -> Result<f64> {
        let pool = database.connection.get_sqlite_connection_pool();
        let mut connection = pool.acquire().await?;
        connection.execute(AssertSqlSafe(self.attach())).await?;
        connection.execute("PRAGMA synchronous = FULL").await?;
        let begun = Instant::now();
        let (first, rest) = TABLES.split_at(1);
        for table in first {
            // Others point to its rows.
            let all = format!("INSERT INTO main.{table} SELECT * FROM copies.{table}");
            connection.execute(AssertSqlSafe(all)).await?;
        }
        let turns = self.events / i64::try_from(chunk)? + 1;
        for turn in 0..turns {
            let mut statements = vec!["BEGIN IMMEDIATE".to_owned()];
            for table in rest {
                let to =
                    |turn| format!("(SELECT max(rowid) FROM copies.{table}) * {turn} / {turns}");
                statements.push(format!(
                    "INSERT INTO main.{table} SELECT * FROM copies.{table} WHERE rowid > {} AND rowid <= {}",
                    to(turn),
                    to(turn + 1)
                ));
            }
            statements.push("COMMIT".to_owned());
            connection
                .execute(AssertSqlSafe(statements.join("; ")))
                .await?;
        }
        let speed = count(u64::try_from(self.events)?) / begun.elapsed().as_secs_f64();
        connection.execute("DETACH copies").await?;
        Ok(speed)
    }
}
