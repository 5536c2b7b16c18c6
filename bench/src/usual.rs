//! The usual design, as a yardstick: Express, `BullMQ` on Redis, one worker process that handles five events at a
//! time, one SQL statement at a time. It is in `bench/usual-design`, and fetched by `scripts/fetch-usual-design`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, Statement};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::payloads;
use crate::servers::{Process, SECRET, free_address};

/// Where it is posted to.
pub const PATH: &str = "/api/instagram/webhooks";

const SCHEMA: &str = include_str!("../usual-design/schema.sql");
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// The usual design, running: a Redis, a server and a worker, all ended with this value.
#[derive(Debug)]
pub struct UsualDesign {
    /// Where it is posted to.
    pub http: SocketAddr,
    /// Its server, its worker and its Redis; ended in this order.
    _processes: [Process; 3],
    connection: DatabaseConnection,
}

impl UsualDesign {
    /// Starts it with its files in a directory of their own under `home`, and its tables, made anew, in the schema
    /// `reference` of the `PostgreSQL` database `database_url`. It knows the accounts of [`payloads::account`].
    /// Returns when deliveries are taken and worked on.
    ///
    /// # Errors
    /// When it was not fetched, or one of its processes does not start.
    pub async fn start(home: &Path, database_url: &str) -> Result<Self> {
        let design = fetched()?;
        // What another one left under the same home is not to be taken for this one's.
        let home = TempDir::with_prefix_in("usual_", home)?.keep();
        let connection = Database::connect(database_url).await?;
        make_tables(&connection).await?;
        let (redis, redis_port) = start_redis(&home).await?;
        let http = free_address()?;
        let node = |script| {
            let mut command = Command::new("node");
            command
                .arg(script)
                .current_dir(&design)
                // node-postgres reads the same URLs as this program, also of Unix sockets (`?host=/directory`).
                .env("PGURL", database_url)
                .env("REDIS_PORT", redis_port.to_string())
                .env("PORT", http.port().to_string())
                .env("APP_SECRET", SECRET)
                .env("NODE_ENV", "production");
            command
        };
        let mut server = Process::start("server", &home, &mut node("server.js"))?;
        listens(http, &mut server).await?;
        let mut worker = Process::start("worker", &home, &mut node("worker.js"))?;
        works(&home.join("worker.log"), &mut worker).await?;
        Ok(Self {
            http,
            _processes: [server, worker, redis],
            connection,
        })
    }

    /// How many events are stored: worked on to the end.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn stored(&self) -> Result<u64> {
        let sql = "SELECT count(*) FROM reference.instagram_webhook_events WHERE processed";
        let row = self
            .connection
            .query_one_raw(self.statement(sql))
            .await?
            .context("no row")?;
        let stored: i64 = row.try_get_by_index(0)?;
        Ok(u64::try_from(stored)?)
    }

    /// The id and the time of each event that is stored, in the order of the times. An id is the type and what tells
    /// the events of one type apart, as in `message_{mid}_{sender}` (`bench/usual-design/common.js`). The time is when
    /// its last statement began, a little before it was committed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn committed(&self) -> Result<Vec<(String, DateTime<Utc>)>> {
        let sql = "SELECT event_id, processed_at FROM reference.instagram_webhook_events \
                   WHERE processed ORDER BY processed_at";
        let rows = self.connection.query_all_raw(self.statement(sql)).await?;
        rows.iter()
            .map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?)))
            .collect()
    }

    fn statement(&self, sql: &str) -> Statement {
        Statement::from_string(self.connection.get_database_backend(), sql)
    }
}

/// The directory with its scripts and their modules.
fn fetched() -> Result<PathBuf> {
    let design = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/usual-design");
    if design.join("node_modules").is_dir() {
        return Ok(design);
    }
    bail!(
        "{} is missing: run scripts/fetch-usual-design",
        design.display()
    )
}

async fn make_tables(connection: &DatabaseConnection) -> Result<()> {
    let accounts: Vec<String> = (0..payloads::ACCOUNTS)
        .map(|number| format!("('{}')", payloads::account(number)))
        .collect();
    let accounts = format!(
        "INSERT INTO reference.client_accounts (ig_id) VALUES {}",
        accounts.join(", ")
    );
    let subscriptions = "INSERT INTO reference.instagram_webhook_subscriptions (account_id) \
                         SELECT id FROM reference.client_accounts";
    for sql in [SCHEMA, accounts.as_str(), subscriptions] {
        connection.execute_unprepared(sql).await?;
    }
    Ok(())
}

/// A Redis that appends what it is told to a file, synced once a second, and its port.
async fn start_redis(home: &Path) -> Result<(Process, u16)> {
    let address = free_address()?;
    let directory = home.join("redis");
    fs::create_dir_all(&directory)?;
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--appendonly", "yes", "--dir"])
        .arg(&directory);
    let mut process = Process::start("redis", home, &mut command)?;
    listens(address, &mut process).await?;
    Ok((process, address.port()))
}

async fn listens(address: SocketAddr, process: &mut Process) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        wait_for(process, begun).await?;
    }
    Ok(())
}

/// The worker says so once it is connected.
async fn works(log: &Path, process: &mut Process) -> Result<()> {
    let begun = Instant::now();
    while !fs::read_to_string(log)?.lines().any(|line| line == "ready") {
        wait_for(process, begun).await?;
    }
    Ok(())
}

async fn wait_for(process: &mut Process, begun: Instant) -> Result<()> {
    process.must_run()?;
    if begun.elapsed() > STARTS_WITHIN {
        bail!("a process of the usual design does not start: {process:?}");
    }
    tokio::time::sleep(LOOKS_EVERY).await;
    Ok(())
}
