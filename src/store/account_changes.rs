//! An account that is there is looked at and changed: by an operator, who may have seen an older state of it.

use std::collections::BTreeSet;

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use entity::EncryptedToken;
use entity::client_account::{Column, Entity, Model};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use uuid::Uuid;

use super::Transaction;
use super::erased::Tombstones;
use super::{Store, StoreError};

/// What is to be changed; the outer `None` leaves it as it is, the inner one takes it away.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// What the account calls itself.
    pub username: Option<Option<String>>,
    /// Its id for the app, by which the callbacks name it.
    pub app_scoped_id: Option<Option<String>>,
    /// Its access token, encrypted for this account.
    pub access_token: Option<Option<EncryptedToken>>,
    /// Whether its events are processed.
    pub active: Option<bool>,
}

impl AccountChange {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_none()
            && self.app_scoped_id.is_none()
            && self.access_token.is_none()
            && self.active.is_none()
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    /// The account is like this now.
    Now(Box<Model>),
    /// Somebody changed it since it was looked at: it is like this.
    Meanwhile(Box<Model>),
    /// It is being erased, since then, and cannot be made active.
    BeingErased(DateTime<Utc>),
    /// There is no such account.
    Unknown,
}

impl Store {
    /// An account by its own id.
    pub async fn account(&self, id: Uuid) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id).one(&self.database).await?)
    }

    /// An account by its id with Instagram.
    pub async fn account_called(&self, ig_account_id: &str) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::InstagramBusinessAccountId.eq(ig_account_id))
            .one(&self.database)
            .await?)
    }

    /// Up to `limit` accounts after the one with this Instagram id, in the order of these; with `of`, these alone.
    pub async fn accounts_after(
        &self,
        of: Option<&BTreeSet<Uuid>>,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<Model>, StoreError> {
        let mut accounts = Entity::find();
        if let Some(of) = of {
            accounts = accounts.filter(Column::Id.is_in(of.iter().copied()));
        }
        if let Some(after) = after {
            accounts = accounts.filter(Column::InstagramBusinessAccountId.gt(after));
        }
        Ok(accounts
            .order_by_asc(Column::InstagramBusinessAccountId)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// Changes an account, unless `seen` is given and it was changed since then (`updated_at`).
    pub async fn change_account(
        &self,
        id: Uuid,
        change: &AccountChange,
        seen: Option<DateTime<Utc>>,
    ) -> Result<Changed, StoreError> {
        let Some(account) = self.account(id).await? else {
            return Ok(Changed::Unknown);
        };
        let writing = self.begin().await?;
        let on = &writing.transaction;
        // First, as in every transaction that stores: nothing is locked that an erasure waits for.
        let ig_account_id = account.instagram_business_account_id.as_str();
        let tombstones = Tombstones::of(on, [ig_account_id].into_iter()).await?;
        let changed = match locked(on, id).await? {
            None => Changed::Unknown,
            Some(now) if seen.is_some_and(|seen| !is_same(seen, now.updated_at)) => {
                Changed::Meanwhile(Box::new(now))
            }
            Some(now) => match tombstones.under_way(ig_account_id) {
                Some(since) if change.active == Some(true) => Changed::BeingErased(since),
                _ => Changed::Now(Box::new(self.write_change(on, now, change).await?)),
            },
        };
        writing.commit().await?;
        Ok(changed)
    }

    async fn write_change(
        &self,
        on: &Transaction,
        before: Model,
        change: &AccountChange,
    ) -> Result<Model, DbErr> {
        let updated_at = after(before.updated_at);
        let mut update = Entity::update_many()
            .col_expr(Column::UpdatedAt, self.time(updated_at))
            .filter(Column::Id.eq(before.id));
        let mut now = Model {
            updated_at,
            ..before
        };
        if let Some(username) = &change.username {
            update = update.col_expr(Column::Username, Expr::value(username.clone()));
            now.username.clone_from(username);
        }
        if let Some(app_scoped_id) = &change.app_scoped_id {
            update = update.col_expr(Column::AppScopedId, Expr::value(app_scoped_id.clone()));
            now.app_scoped_id.clone_from(app_scoped_id);
        }
        if let Some(token) = &change.access_token {
            let text = token.as_ref().map(|token| token.0.clone());
            update = update.col_expr(Column::AccessToken, Expr::value(text));
            now.access_token.clone_from(token);
        }
        if let Some(active) = change.active {
            update = update.col_expr(Column::Active, Expr::value(active));
            now.active = active;
        }
        update.exec(on).await?;
        Ok(now)
    }
}

async fn locked(on: &Transaction, id: Uuid) -> Result<Option<Model>, DbErr> {
    let mut account = Entity::find_by_id(id);
    if on.get_database_backend() == DbBackend::Postgres {
        account = account.lock_exclusive();
    }
    account.one(on).await
}

/// Now, and later than that: no two states of an account have the same time.
fn after(before: DateTime<Utc>) -> DateTime<Utc> {
    let now = Utc::now();
    let now = now
        .duration_trunc(TimeDelta::microseconds(1))
        .unwrap_or(now);
    now.max(before + TimeDelta::microseconds(1))
}

/// The databases keep microseconds.
fn is_same(seen: DateTime<Utc>, updated_at: DateTime<Utc>) -> bool {
    seen.timestamp_micros() == updated_at.timestamp_micros()
}
