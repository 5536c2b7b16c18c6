//! The accounts whose traffic is expected, and their counters.
//!
//! An account that was removed keeps its row, and all that was stored of it, but is not active: to what
//! comes from then on it is unknown, also with `accounts.auto_register`.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::EncryptedToken;
use entity::client_account::{Column, Entity, Model};
use entity::columns::{Kind, columns_of};
use entity::webhook_subscription;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult as _, QueryFilter, QueryOrder,
};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::dialect::Dialect;
use super::erased::Tombstones;
use super::statements::{Row, column, insert_new, row, upsert};
use super::transaction::query_rows;
use super::{Store, StoreError};
use crate::instagram::time::canonical;
use crate::instagram::types::{Merge, Table};

pub(super) const TABLE: &str = "client_accounts";

pub(super) static SUBSCRIPTIONS: Table = Table {
    name: "instagram_webhook_subscriptions",
    columns: columns_of::<webhook_subscription::Entity>,
    key: &["account_id"],
    merge: &[
        ("events_received_count", Merge::Sum),
        ("last_event_at", Merge::Greatest),
    ],
    blanked: &[],
    told_by: &[],
};

/// An account to be added, and all that is known of it.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Its own id, which its token is encrypted for.
    pub id: Uuid,
    /// Its id with Instagram.
    pub ig_account_id: String,
    /// What it calls itself.
    pub username: Option<String>,
    /// Its id for the app.
    pub app_scoped_id: Option<String>,
    /// Its access token, encrypted.
    pub access_token: Option<EncryptedToken>,
}

/// What became of the wish to expect an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was not known.
    New,
    /// It had been removed.
    Again,
    /// It was expected before.
    Already,
    /// It is being erased, since then: it can be added once that is finished.
    BeingErased(DateTime<Utc>),
}

/// What became of the wish to expect nothing more of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It was expected until now.
    Now,
    /// It had been removed before.
    Before,
    /// It is not known.
    Unknown,
}

impl Store {
    /// Every account, by its Instagram id.
    pub async fn accounts(&self) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .order_by_asc(Column::InstagramBusinessAccountId)
            .all(&self.database)
            .await?)
    }

    /// Adds an account, or expects one again that was removed. One that was erased is a new one.
    pub async fn add_account(
        &self,
        ig_account_id: &str,
        username: Option<&str>,
    ) -> Result<Added, StoreError> {
        let mut account = new_account(ig_account_id);
        account.extend(row(json!({ "username": username })));
        self.add(ig_account_id, account, true).await
    }

    /// Adds an account; one that is there, or was removed, stays as it is.
    pub async fn add_new_account(&self, account: &NewAccount) -> Result<Added, StoreError> {
        let row = row(json!({
            "id": account.id,
            "instagram_business_account_id": account.ig_account_id,
            "username": account.username,
            "app_scoped_id": account.app_scoped_id,
            "access_token": account.access_token.as_ref().map(|token| &token.0),
            "active": true,
        }));
        self.add(&account.ig_account_id, row, false).await
    }

    async fn add(
        &self,
        ig_account_id: &str,
        account: Row,
        again: bool,
    ) -> Result<Added, StoreError> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        let tombstones = Tombstones::of(on, [ig_account_id].into_iter()).await?;
        if let Some(since) = tombstones.under_way(ig_account_id) {
            writing.commit().await?;
            return Ok(Added::BeingErased(since));
        }
        let made = insert_new(on, TABLE, columns_of::<Entity>(), &[account]).await?;
        let added = if !made.is_empty() {
            Added::New
        } else if again && set_active(on, ig_account_id, true).await? {
            Added::Again
        } else {
            Added::Already
        };
        writing.commit().await?;
        Ok(added)
    }

    /// Expects nothing more of an account. What was stored of it stays, and what comes of it is kept
    /// as of an unknown one.
    pub async fn remove_account(&self, ig_account_id: &str) -> Result<Removed, StoreError> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        let removed = if set_active(on, ig_account_id, false).await? {
            Removed::Now
        } else if is_there(on, ig_account_id).await? {
            Removed::Before
        } else {
            Removed::Unknown
        };
        writing.commit().await?;
        Ok(removed)
    }

    /// The active accounts with these Instagram ids; with `accounts.auto_register`
    /// those that are missing are made.
    pub(super) async fn accounts_of(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, Uuid>, StoreError> {
        let wanted: BTreeSet<&str> = ids.filter(|id| !id.is_empty()).collect();
        let mut found = self.find_accounts(&wanted).await?;
        if self.auto_register && found.len() < wanted.len() {
            let known: BTreeSet<&str> = found.iter().map(ig_id).collect();
            if self.register(&(&wanted - &known)).await? {
                found = self.find_accounts(&wanted).await?;
            }
        }
        Ok(found
            .into_iter()
            .filter(|account| account.active)
            .map(|account| (account.instagram_business_account_id, account.id))
            .collect())
    }

    /// Makes those accounts that were never erased: nobody asked for the others again. Returns
    /// whether there were any.
    async fn register(&self, missing: &BTreeSet<&str>) -> Result<bool, DbErr> {
        let writing = self.begin().await?;
        let on = &writing.transaction;
        let tombstones = Tombstones::of(on, missing.iter().copied()).await?;
        let accounts: Vec<Row> = missing
            .iter()
            .filter(|id| !tombstones.has(id))
            .map(|id| new_account(id))
            .collect();
        if !accounts.is_empty() {
            insert_new(on, TABLE, columns_of::<Entity>(), &accounts).await?;
        }
        writing.commit().await?;
        Ok(!accounts.is_empty())
    }

    /// By one statement for any number of ids: it is prepared once.
    async fn find_accounts(&self, ids: &BTreeSet<&str>) -> Result<Vec<Model>, StoreError> {
        let columns = [column("id", Kind::Text(None))];
        let rows: Vec<Row> = ids.iter().map(|id| row(json!({ "id": id }))).collect();
        let dialect = Dialect::of(self.backend());
        let asked = dialect.one_of(&dialect.rows(&columns));
        let sql = format!(
            "SELECT a.* FROM \"{TABLE}\" AS a WHERE a.\"instagram_business_account_id\" {asked}"
        );
        let found = query_rows(&self.database, &sql, &rows, &columns).await?;
        let accounts = found.iter().map(|row| Model::from_query_result(row, ""));
        Ok(accounts.collect::<Result<_, _>>()?)
    }
}

fn ig_id(account: &Model) -> &str {
    &account.instagram_business_account_id
}

/// Whether that changed anything.
pub(super) async fn set_active(
    on: &impl ConnectionTrait,
    ig_account_id: &str,
    active: bool,
) -> Result<bool, DbErr> {
    let changed = Entity::update_many()
        .col_expr(Column::Active, Expr::value(active))
        .col_expr(Column::UpdatedAt, Expr::value(Utc::now()))
        .filter(Column::InstagramBusinessAccountId.eq(ig_account_id))
        .filter(Column::Active.eq(!active))
        .exec(on)
        .await?;
    Ok(changed.rows_affected > 0)
}

async fn is_there(on: &impl ConnectionTrait, ig_account_id: &str) -> Result<bool, DbErr> {
    let account = Entity::find()
        .filter(Column::InstagramBusinessAccountId.eq(ig_account_id))
        .one(on)
        .await?;
    Ok(account.is_some())
}

fn new_account(ig_account_id: &str) -> Row {
    row(
        json!({ "id": Uuid::now_v7(), "instagram_business_account_id": ig_account_id, "active": true }),
    )
}

/// Adds to the counter of each account, in one order for all.
pub(super) async fn count_events(
    on: &Transaction,
    counts: &HashMap<Uuid, (u64, DateTime<Utc>)>,
) -> Result<(), DbErr> {
    let counter = |(account_id, (count, last)): (&Uuid, &(u64, DateTime<Utc>))| {
        row(json!({
            // Its own, so that two who make the row at once differ in all but the
            // key under which they are merged.
            "id": Uuid::now_v7(),
            "account_id": account_id,
            "events_received_count": count,
            "last_event_at": canonical(*last),
        }))
    };
    upsert(
        on,
        &SUBSCRIPTIONS,
        counts.iter().map(counter).collect(),
        true,
    )
    .await
}
