//! An account is erased: first its tombstone, from which on nothing of it is stored; then its rows
//! (`erased_rows`) and its messages go; last the tombstone says that nothing is left.

use chrono::{DateTime, TimeDelta, Utc};
use entity::columns::Kind;
use entity::erased_account::{Column, Entity, Model};
use entity::{client_account, webhook_event};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::accounts::set_active;
use super::dialect::Dialect;
use super::error::code;
use super::statements::{column, row};
use super::{Store, StoreError};
use crate::instagram::identity::received_at;
use crate::instagram::time::canonical;

/// How long the tombstone waits for the transactions that store at that moment; those that come
/// after it wait as long.
const LOCKED_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
/// How far the clock of a receiver may be ahead of this one.
const LARGEST_SKEW: TimeDelta = TimeDelta::minutes(1);
/// Among so many of the last rows the newest receipt is looked for.
const LAST_ROWS: u64 = 1000;

/// What became of the wish to erase an account.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// It has its tombstone now.
    Now(Model),
    /// It is being erased already.
    Before(Model),
    /// It was erased, and nothing has come of it since.
    Finished(Model),
    /// There is neither an account nor a row of it.
    Unknown,
}

impl Store {
    /// The tombstone of an account.
    pub async fn tombstone(&self, ig_account_id: &str) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(ig_account_id)
            .one(&self.database)
            .await?)
    }

    /// The accounts that are being erased, the longest first.
    pub async fn erasures(&self) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::FinishedAt.is_null())
            .order_by_asc(Column::ErasedAt)
            .all(&self.database)
            .await?)
    }

    /// Whether there is anything of an account: itself, or a row that waits for it.
    pub async fn knows(&self, ig_account_id: &str) -> Result<bool, StoreError> {
        Ok(knows(&self.database, ig_account_id).await?)
    }

    /// Makes the tombstone of an account, and expects nothing more of it. When this returns, every
    /// transaction that did not see the tombstone has ended.
    pub async fn begin_erasure(&self, ig_account_id: &str) -> Result<Begun, StoreError> {
        self.begin_erasure_as(ig_account_id, None).await
    }

    /// The same under a code that Instagram is given; one that is under way keeps the code that it has.
    pub(super) async fn begin_erasure_as(
        &self,
        ig_account_id: &str,
        confirmation_code: Option<&str>,
    ) -> Result<Begun, StoreError> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        until_none_stores(on).await.map_err(too_long)?;
        let tombstone = Entity::find_by_id(ig_account_id).one(on).await?;
        let begun = match tombstone {
            Some(tombstone) if tombstone.finished_at.is_none() => {
                Begun::Before(named(on, tombstone, confirmation_code).await?)
            }
            // What Instagram asked for once is done once, however often it asks.
            Some(tombstone)
                if confirmation_code.is_some()
                    && tombstone.confirmation_code.as_deref() == confirmation_code =>
            {
                Begun::Finished(tombstone)
            }
            _ if knows(on, ig_account_id).await? => {
                set_active(on, ig_account_id, false).await?;
                Begun::Now(bury(on, ig_account_id, confirmation_code).await?)
            }
            Some(tombstone) => Begun::Finished(tombstone),
            None => Begun::Unknown,
        };
        writing.commit().await?;
        Ok(begun)
    }

    /// Says that nothing is left of the account outside the journal. Returns whether this erasure
    /// was still under way.
    pub async fn finish_erasure(&self, tombstone: &Model) -> Result<bool, StoreError> {
        let writing = self.begin().await?;
        let finished = Entity::update_many()
            .col_expr(Column::FinishedAt, self.time(Utc::now()))
            .filter(Column::IgAccountId.eq(&tombstone.ig_account_id))
            .filter(Column::FinishedAt.is_null())
            .filter(ExprTrait::eq(
                Expr::col(Column::ErasedAt),
                self.time(tombstone.erased_at),
            ))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await?;
        Ok(finished.rows_affected > 0)
    }
}

/// Waits until no transaction is open that has read the tombstones, and lets none begin. `SQLite`
/// has one writer, which this is.
async fn until_none_stores(on: &Transaction) -> Result<(), DbErr> {
    if on.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let within = LOCKED_WITHIN.as_millis();
    on.execute_unprepared(&format!("SET LOCAL lock_timeout = {within}"))
        .await?;
    on.execute_unprepared("LOCK TABLE erased_accounts IN EXCLUSIVE MODE")
        .await?;
    Ok(())
}

/// Source: `PostgreSQL`, "Appendix A. Error Codes": `lock_not_available`.
fn too_long(error: DbErr) -> StoreError {
    match code(&error).as_deref() {
        Some("55P03") => StoreError::Busy(LOCKED_WITHIN),
        _ => error.into(),
    }
}

async fn knows(on: &impl ConnectionTrait, ig_account_id: &str) -> Result<bool, DbErr> {
    if find_account(on, ig_account_id).await?.is_some() {
        return Ok(true);
    }
    let waiting = webhook_event::Entity::find()
        .filter(webhook_event::Column::IgAccountId.eq(ig_account_id))
        .filter(Expr::col(webhook_event::Column::IsDuplicate).not())
        .limit(1)
        .one(on)
        .await?;
    Ok(waiting.is_some())
}

pub(super) async fn find_account(
    on: &impl ConnectionTrait,
    ig_account_id: &str,
) -> Result<Option<Uuid>, DbErr> {
    let account = client_account::Entity::find()
        .filter(client_account::Column::InstagramBusinessAccountId.eq(ig_account_id))
        .one(on)
        .await?;
    Ok(account.map(|account| account.id))
}

/// A tombstone covers all that the account has: also what was received by a clock that is ahead.
async fn bury(
    on: &Transaction,
    ig_account_id: &str,
    confirmation_code: Option<&str>,
) -> Result<Model, DbErr> {
    let now = Utc::now();
    let newest = newest_receipt(on, ig_account_id).await?;
    let erased_at = newest.map_or(now, |newest| newest.clamp(now, now + LARGEST_SKEW));
    let columns = [
        column("ig_account_id", Kind::Text(None)),
        column("erased_at", Kind::Timestamp),
        column("confirmation_code", Kind::Text(None)),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "INSERT INTO \"erased_accounts\" (\"ig_account_id\", \"erased_at\", \"confirmation_code\") \
         SELECT \"ig_account_id\", \"erased_at\", \"confirmation_code\" FROM ({}) AS n WHERE true \
         ON CONFLICT (\"ig_account_id\") DO UPDATE SET \"erased_at\" = excluded.\"erased_at\", \
         \"finished_at\" = NULL, \"confirmation_code\" = excluded.\"confirmation_code\"",
        dialect.rows(&columns)
    );
    let tombstone = row(json!({
        "ig_account_id": ig_account_id,
        "erased_at": canonical(erased_at),
        "confirmation_code": confirmation_code,
    }));
    on.execute_rows(&sql, &[tombstone], &columns).await?;
    let made = Entity::find_by_id(ig_account_id).one(on).await?;
    made.ok_or_else(|| DbErr::RecordNotFound(format!("the tombstone of account {ig_account_id}")))
}

/// The tombstone under the code that it has, or gets if it has none.
async fn named(
    on: &Transaction,
    tombstone: Model,
    confirmation_code: Option<&str>,
) -> Result<Model, DbErr> {
    let Some(code) = confirmation_code.filter(|_| tombstone.confirmation_code.is_none()) else {
        return Ok(tombstone);
    };
    Entity::update_many()
        .col_expr(Column::ConfirmationCode, Expr::value(code))
        .filter(Column::IgAccountId.eq(&tombstone.ig_account_id))
        .exec(on)
        .await?;
    Ok(Model {
        confirmation_code: Some(code.to_owned()),
        ..tombstone
    })
}

/// When the newest of the last rows of an account was received.
async fn newest_receipt(
    on: &Transaction,
    ig_account_id: &str,
) -> Result<Option<DateTime<Utc>>, DbErr> {
    let Some(account) = find_account(on, ig_account_id).await? else {
        return Ok(None);
    };
    let last: Vec<Uuid> = webhook_event::Entity::find()
        .select_only()
        .column(webhook_event::Column::Id)
        .filter(webhook_event::Column::InstagramAccountId.eq(account))
        .order_by_desc(webhook_event::Column::CreatedAt)
        .limit(LAST_ROWS)
        .into_tuple()
        .all(on)
        .await?;
    Ok(last.into_iter().max().map(received_at))
}
