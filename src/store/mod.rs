//! A batch of events becomes rows, in one transaction, on either database.
//!
//! `batch` is the way of a batch; `statements` makes its statements from the
//! entities' columns and the types' rules; what the two databases say
//! differently lies in `dialect`.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, Connection as _, SqliteConnection};
use sea_orm::{
    ColumnTrait, ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr, EntityTrait,
    QueryFilter, QueryOrder, QuerySelect,
};
use tokio::sync::{Mutex, MutexGuard};

use crate::instagram::types;

pub mod account_changes;
pub mod accounts;
mod again;
mod batch;
pub mod callbacks;
mod cells;
pub mod dead_letters;
mod dialect;
mod entry;
pub mod erased;
mod erased_rows;
pub mod erasure;
pub mod error;
pub mod event;
pub mod events;
mod failures;
mod generic;
pub mod ledger;
mod links;
mod parameters;
mod payload;
pub mod preview;
mod probe;
pub mod replayable;
pub mod retention;
mod rewrite;
mod statements;
pub mod statistics;
pub mod subscriptions;
pub mod tokens;
mod transaction;
mod typed;
pub mod unassigned;
mod unsent;

use transaction::Transaction;

pub use entry::{Incoming, Occasion, Outcome, StoredRow};
pub use erased_rows::Told;
pub use error::StoreError;

/// What the database is called in `/readyz`.
pub const NAME: &str = "database";

/// How to reach the database, and what to do with what it is given.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite://…` or `postgres://…`; may hold a password.
    pub url: String,
    /// How many connections at most.
    pub max_connections: u32,
    /// How long to wait for one of them.
    pub acquire_timeout: Duration,
    /// Whether an unknown account id makes the account.
    pub auto_register: bool,
    /// Whether what a person unsent is kept.
    pub keep_unsent: bool,
    /// Whose turn it is to write to `SQLite`: the stores of one process share it.
    pub sqlite_writer: Arc<Mutex<()>>,
}

/// The database, and all that writes to it.
#[derive(Debug, Clone)]
pub struct Store {
    database: DatabaseConnection,
    /// `SQLite` has one writer: whoever holds this is it. Without it writers
    /// would find the database busy by chance and not in turn.
    sqlite_writer: Arc<Mutex<()>>,
    auto_register: bool,
    keep_unsent: bool,
}

/// A transaction, and the turn of whoever writes.
struct Writing<'a> {
    transaction: Transaction,
    _turn: Option<MutexGuard<'a, ()>>,
}

impl Store {
    /// Connects. A database that is away is an error: the caller tries again.
    pub async fn connect(options: &StoreOptions) -> Result<Self, StoreError> {
        make_directory(&options.url)?;
        let database = Database::connect(connect_options(options)).await?;
        Ok(Self::of(database, options))
    }

    /// Connects when something is asked: while the database is away each question is an error. No question may
    /// take longer than `within`. `PostgreSQL` plans each for what it is about: a plan for any account reads all of a
    /// large one's rows.
    pub async fn connect_when_asked(
        options: &StoreOptions,
        within: Duration,
    ) -> Result<Self, StoreError> {
        let mut connect = connect_options(options);
        connect
            .connect_lazy(true)
            .statement_timeout(within)
            .map_sqlx_postgres_opts(|postgres| {
                postgres
                    .application_name("igstream api")
                    .options([("plan_cache_mode", "force_custom_plan")])
            });
        let database = Database::connect(connect).await?;
        Ok(Self::of(database, options))
    }

    fn of(database: DatabaseConnection, options: &StoreOptions) -> Self {
        Self {
            database,
            sqlite_writer: Arc::clone(&options.sqlite_writer),
            auto_register: options.auto_register,
            keep_unsent: options.keep_unsent,
        }
    }

    /// Connects to read alone: makes no file and no directory, and brings nothing up to date.
    pub async fn connect_to_read(options: &StoreOptions) -> Result<Self, StoreError> {
        Ok(Self {
            database: connect_to_look(options).await?,
            sqlite_writer: Arc::default(),
            auto_register: false,
            keep_unsent: options.keep_unsent,
        })
    }

    /// The connection pool, for what needs no turn: reading, migrating.
    #[must_use]
    pub fn database(&self) -> &DatabaseConnection {
        &self.database
    }

    /// The highest sequence of `INSTAGRAM_EVENTS` that a row was stored from. Asked
    /// type by type, as the index has it.
    pub async fn highest_sequence(&self) -> Result<u64, StoreError> {
        use entity::webhook_event::{Column, Entity};
        let mut highest = 0;
        for event_type in types::with_unknown() {
            let of_type: Option<Option<i64>> = Entity::find()
                .select_only()
                .column(Column::StreamSequence)
                .filter(Column::EventType.eq(event_type.name))
                .filter(Column::StreamSequence.is_not_null())
                .order_by_desc(Column::StreamSequence)
                .limit(1)
                .into_tuple()
                .one(&self.database)
                .await?;
            highest = highest.max(of_type.flatten().unwrap_or(0));
        }
        Ok(u64::try_from(highest).unwrap_or(0))
    }

    fn backend(&self) -> DbBackend {
        self.database.get_database_backend()
    }

    async fn begin(&self) -> Result<Writing<'_>, DbErr> {
        let turn = if self.backend() == DbBackend::Sqlite {
            Some(self.sqlite_writer.lock().await)
        } else {
            None
        };
        Ok(Writing {
            transaction: Transaction::begin(&self.database).await?,
            _turn: turn,
        })
    }
}

impl Writing<'_> {
    async fn commit(self) -> Result<(), DbErr> {
        self.transaction.commit().await
    }

    async fn roll_back(self) -> Result<(), DbErr> {
        self.transaction.roll_back().await
    }
}

/// Connects for a look: makes no file and no directory, and leaves a file's journal as it is.
pub async fn connect_to_look(options: &StoreOptions) -> Result<DatabaseConnection, StoreError> {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .max_connections(1)
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(|sqlite| sqlite.create_if_missing(false))
        .map_sqlx_postgres_opts(|postgres| postgres.application_name("igstream look"));
    Ok(Database::connect(connect).await?)
}

/// `SQLite` makes its file, but not the directory of it.
fn make_directory(url: &str) -> Result<(), StoreError> {
    let is_made = url.starts_with("sqlite:") && url.contains("mode=rwc");
    let path = SqliteConnectOptions::from_str(url).ok().filter(|_| is_made);
    let directory = path
        .as_ref()
        .and_then(|options| options.get_filename().parent())
        .map(Path::to_owned);
    let Some(directory) = directory.filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(&directory)
        .map_err(|reason| StoreError::Directory { directory, reason })
}

fn connect_options(options: &StoreOptions) -> ConnectOptions {
    let mut connect = ConnectOptions::new(options.url.clone());
    connect
        .max_connections(options.max_connections)
        .acquire_timeout(options.acquire_timeout)
        .sqlx_logging(false)
        // What is acknowledged to NATS must be on the disk.
        .map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30))
                .foreign_keys(true)
                .pragma("journal_size_limit", "67108864")
        })
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| is_out_of_transactions(connection).boxed())
        })
        .map_sqlx_postgres_opts(|postgres| postgres.application_name("igstream"));
    connect
}

/// Whether a connection can be used again. `SQLite` rolls back by itself when the disk is full or fails; the
/// rollback that sqlx sends then fails, and sqlx takes the connection's next transaction for one inside another,
/// whose rollback would keep the database locked for ever.
async fn is_out_of_transactions(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // A rollback that is under way is through before it is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}
