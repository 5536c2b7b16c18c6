//! A transaction that stores. `PostgreSQL`'s is the driver's own: rows go to it as arrays that borrow what they hold
//! and have a NULL where there is nothing, which `SeaORM`'s values cannot. All else goes through `SeaORM` on either
//! database.

use entity::columns::Column;
use sea_orm::sqlx::postgres::{PgArguments, PgPool, Postgres};
use sea_orm::sqlx::{self, AssertSqlSafe};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    ExecResult, QueryResult, RuntimeErr, SqliteTransactionMode, Statement, TransactionOptions,
    TransactionTrait,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::Mutex;

use super::cells::Cells;
use super::parameters;

/// A transaction on either database. It is rolled back when it is dropped.
#[derive(Debug)]
pub(super) enum Transaction {
    Postgres(Mutex<sqlx::Transaction<'static, Postgres>>),
    Sqlite(DatabaseTransaction),
}

impl Transaction {
    /// `SQLite` writes from the beginning: one that reads first could be refused later.
    pub(super) async fn begin(on: &DatabaseConnection) -> Result<Self, DbErr> {
        if on.get_database_backend() == DbBackend::Sqlite {
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..Default::default()
            };
            return Ok(Self::Sqlite(on.begin_with_options(options).await?));
        }
        let begun = on.get_postgres_connection_pool().begin().await;
        Ok(Self::Postgres(Mutex::new(begun.map_err(not_begun)?)))
    }

    pub(super) async fn commit(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(transaction) => {
                transaction.into_inner().commit().await.map_err(query_error)
            }
            Self::Sqlite(transaction) => transaction.commit().await,
        }
    }

    pub(super) async fn roll_back(self) -> Result<(), DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let rolled_back = transaction.into_inner().rollback().await;
                rolled_back.map_err(query_error)
            }
            Self::Sqlite(transaction) => transaction.rollback().await,
        }
    }

    /// Runs `sql`, whose parameters are `rows` with these columns: how many rows it changed.
    pub(super) async fn execute_rows<R: Cells>(
        &self,
        sql: &str,
        rows: &[R],
        columns: &[Column],
    ) -> Result<u64, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let arguments = parameters::arrays(rows, columns)?;
                let mut on = transaction.lock().await;
                let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut **on);
                let done = done.await.map_err(exec_error)?;
                Ok(done.rows_affected())
            }
            Self::Sqlite(transaction) => {
                let statement = parameters::for_sqlite(sql, rows, columns);
                Ok(transaction.execute_raw(statement).await?.rows_affected())
            }
        }
    }

    /// The same, with what it returns.
    pub(super) async fn query_rows<R: Cells>(
        &self,
        sql: &str,
        rows: &[R],
        columns: &[Column],
    ) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let arguments = parameters::arrays(rows, columns)?;
                let mut on = transaction.lock().await;
                query_postgres(&mut **on, sql, arguments).await
            }
            Self::Sqlite(transaction) => {
                let statement = parameters::for_sqlite(sql, rows, columns);
                transaction.query_all_raw(statement).await
            }
        }
    }
}

/// [`Transaction::query_rows`] outside of any.
pub(super) async fn query_rows<R: Cells>(
    on: &DatabaseConnection,
    sql: &str,
    rows: &[R],
    columns: &[Column],
) -> Result<Vec<QueryResult>, DbErr> {
    if on.get_database_backend() == DbBackend::Sqlite {
        let statement = parameters::for_sqlite(sql, rows, columns);
        return on.query_all_raw(statement).await;
    }
    let pool: &PgPool = on.get_postgres_connection_pool();
    query_postgres(pool, sql, parameters::arrays(rows, columns)?).await
}

async fn query_postgres<'c>(
    on: impl sqlx::Executor<'c, Database = Postgres>,
    sql: &str,
    arguments: PgArguments,
) -> Result<Vec<QueryResult>, DbErr> {
    let found = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_all(on);
    let found = found.await.map_err(query_error)?;
    Ok(found.into_iter().map(QueryResult::from).collect())
}

fn not_begun(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(error.into())),
    }
}

fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// The arguments of a statement of `SeaORM`'s.
fn values_of(statement: &mut Statement) -> SqlxValues {
    SqlxValues(
        statement
            .values
            .take()
            .unwrap_or_else(|| sea_orm::Values(Vec::new())),
    )
}

#[async_trait::async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, mut statement: Statement) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let values = values_of(&mut statement);
                let mut on = transaction.lock().await;
                let done = sqlx::query_with(AssertSqlSafe(statement.sql), values);
                let done = done.execute(&mut **on).await;
                done.map(ExecResult::from).map_err(exec_error)
            }
            Self::Sqlite(transaction) => transaction.execute_raw(statement).await,
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let mut on = transaction.lock().await;
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut **on).await;
                done.map(ExecResult::from).map_err(exec_error)
            }
            Self::Sqlite(transaction) => transaction.execute_unprepared(sql).await,
        }
    }

    async fn query_one_raw(&self, mut statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let values = values_of(&mut statement);
                let mut on = transaction.lock().await;
                let found = sqlx::query_with(AssertSqlSafe(statement.sql), values);
                let found = found.fetch_optional(&mut **on).await;
                found
                    .map(|found| found.map(QueryResult::from))
                    .map_err(query_error)
            }
            Self::Sqlite(transaction) => transaction.query_one_raw(statement).await,
        }
    }

    async fn query_all_raw(&self, mut statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        match self {
            Self::Postgres(transaction) => {
                let values = values_of(&mut statement);
                let mut on = transaction.lock().await;
                let found = sqlx::query_with(AssertSqlSafe(statement.sql), values);
                let found = found.fetch_all(&mut **on).await.map_err(query_error)?;
                Ok(found.into_iter().map(QueryResult::from).collect())
            }
            Self::Sqlite(transaction) => transaction.query_all_raw(statement).await,
        }
    }
}
