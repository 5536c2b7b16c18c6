//! Changing the schema: one locked transaction a change.

use sea_orm_migration::sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, EntityTrait,
    QueryOrder, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::{
    IntoSchemaManagerConnection, MigratorTrait, SchemaManager, seaql_migrations,
};

use crate::Migrator;

/// The key of `PostgreSQL`'s advisory lock: any number, the same in every version of igstream
/// ("igstream" in ASCII).
const LOCK: i64 = 0x6967_7374_7265_616d;

/// Why a change or a look at the schema failed. The cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The transaction could not be begun or the lock not taken.
    #[error(
        "cannot begin to change the schema; check that the database is up and that no other process holds it"
    )]
    Begin(#[source] DbErr),
    /// Nothing has changed.
    #[error(
        "cannot read which migrations are applied; check that the database user may read `seaql_migrations`"
    )]
    Status(#[source] DbErr),
    /// Nothing has changed.
    #[error("the database has migrations that this igstream does not know ({}); use the igstream that applied them, or a newer one", .0.join(", "))]
    Newer(Vec<String>),
    /// Nothing has changed: the transaction was rolled back.
    #[error("cannot {what}, and nothing was changed; mend the cause and run it again")]
    Change {
        /// What was being done.
        what: &'static str,
        /// The database's answer.
        #[source]
        source: DbErr,
    },
}

/// A migration and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The migration's name.
    pub name: String,
    /// Whether it is applied.
    pub applied: bool,
}

/// Applies the next `steps` migrations, or all that are pending, and gives the names of those it
/// applied. Safe when several processes do it at once: the later ones wait, and then find nothing
/// to do.
pub async fn up(db: &DatabaseConnection, steps: Option<u32>) -> Result<Vec<String>, Error> {
    let change = Change::begin(db, "apply the migrations").await?;
    change.run(Migrator::up(&change.transaction, steps)).await?;
    let now = change.finish().await?;
    Ok(now.applied)
}

/// Rolls back the last `steps` migrations, or all, and gives the names of those it rolled back, the
/// last one first. Their tables' rows are lost.
pub async fn down(db: &DatabaseConnection, steps: Option<u32>) -> Result<Vec<String>, Error> {
    let change = Change::begin(db, "roll the migrations back").await?;
    change
        .run(Migrator::down(&change.transaction, steps))
        .await?;
    let mut now = change.finish().await?;
    now.rolled_back.reverse();
    Ok(now.rolled_back)
}

/// Rolls every migration back and applies them all anew: what igstream stored is lost, tables of
/// others are not touched. Gives the names of the migrations applied.
pub async fn fresh(db: &DatabaseConnection) -> Result<Vec<String>, Error> {
    let change = Change::begin(db, "make the schema afresh").await?;
    change
        .run(Migrator::down(&change.transaction, None))
        .await?;
    change.run(Migrator::up(&change.transaction, None)).await?;
    change.finish().await?;
    Ok(names())
}

/// Every migration, oldest first, and whether the database has it. Changes nothing, so it works for
/// a database user who may only read.
pub async fn status(db: &DatabaseConnection) -> Result<Vec<State>, Error> {
    read_status(db).await
}

/// A change under way.
struct Change {
    transaction: DatabaseTransaction,
    before: Vec<State>,
    what: &'static str,
}

/// What a change has changed, oldest first.
struct Changed {
    applied: Vec<String>,
    rolled_back: Vec<String>,
}

impl Change {
    async fn begin(db: &DatabaseConnection, what: &'static str) -> Result<Self, Error> {
        let transaction = begin_locked(db).await.map_err(Error::Begin)?;
        let before = read_status(&transaction).await?;
        Ok(Self {
            transaction,
            before,
            what,
        })
    }

    async fn run(&self, migrating: impl Future<Output = Result<(), DbErr>>) -> Result<(), Error> {
        migrating.await.map_err(|source| self.failed(source))
    }

    /// An error on the way drops the transaction, and with it the change and the lock.
    async fn finish(self) -> Result<Changed, Error> {
        let after = read_status(&self.transaction).await?;
        let what = self.what;
        self.transaction
            .commit()
            .await
            .map_err(|source| Error::Change { what, source })?;
        Ok(Changed {
            applied: newly_applied(&self.before, &after),
            rolled_back: newly_applied(&after, &self.before),
        })
    }

    fn failed(&self, source: DbErr) -> Error {
        Error::Change {
            what: self.what,
            source,
        }
    }
}

/// A transaction that no other igstream has beside this one. The lock is the transaction's, so it
/// goes with it, whatever becomes of this process.
async fn begin_locked(db: &DatabaseConnection) -> Result<DatabaseTransaction, DbErr> {
    let transaction = db
        .begin_with_options(TransactionOptions {
            // A deferred one would find out too late that another process writes.
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if db.get_database_backend() == DbBackend::Postgres {
        // Waiting for the other instance, and an index over a large table, may take their time.
        transaction
            .execute_unprepared("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0")
            .await?;
        transaction
            .execute_unprepared(&format!("SELECT pg_advisory_xact_lock({LOCK})"))
            .await?;
    }
    Ok(transaction)
}

async fn read_status<'c>(db: impl IntoSchemaManagerConnection<'c>) -> Result<Vec<State>, Error> {
    let applied = read_applied(&SchemaManager::new(db))
        .await
        .map_err(Error::Status)?;
    let known = names();
    let unknown: Vec<String> = applied
        .iter()
        .filter(|name| !known.contains(name))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Err(Error::Newer(unknown));
    }
    Ok(known
        .into_iter()
        .map(|name| State {
            applied: applied.contains(&name),
            name,
        })
        .collect())
}

/// The names in the table of migrations, which is not there before the first one.
async fn read_applied(schema: &SchemaManager<'_>) -> Result<Vec<String>, DbErr> {
    if !schema
        .has_table(Migrator::migration_table_name().to_string())
        .await?
    {
        return Ok(Vec::new());
    }
    let rows = seaql_migrations::Entity::find()
        .order_by_asc(seaql_migrations::Column::Version)
        .all(schema.get_connection())
        .await?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

fn names() -> Vec<String> {
    Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect()
}

/// What `after` has applied and `before` has not.
fn newly_applied(before: &[State], after: &[State]) -> Vec<String> {
    before
        .iter()
        .zip(after)
        .filter(|(before, after)| after.applied && !before.applied)
        .map(|(_, after)| after.name.clone())
        .collect()
}
