//! What each account is subscribed to: one row an account, which its events count in.

use std::collections::BTreeSet;

use chrono::Utc;
use entity::webhook_subscription::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::json;
use uuid::Uuid;

use super::{Store, StoreError};

/// The account's events come.
pub const ACTIVE: &str = "active";
/// The shop has removed the app.
pub const STOPPED: &str = "stopped";

impl Store {
    /// Up to `limit` subscriptions after this one, in the order of their ids; with `of`, of these accounts alone.
    pub async fn subscriptions(
        &self,
        of: Option<&BTreeSet<Uuid>>,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Model>, StoreError> {
        let mut found = Entity::find();
        if let Some(accounts) = of {
            found = found.filter(Column::AccountId.is_in(accounts.iter().copied()));
        }
        if let Some(after) = after {
            found = found.filter(Column::Id.gt(after));
        }
        Ok(found
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// One of them.
    pub async fn subscription(&self, id: Uuid) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find_by_id(id).one(&self.database).await?)
    }

    /// The one of an account.
    pub async fn subscription_of(&self, account: Uuid) -> Result<Option<Model>, StoreError> {
        Ok(Entity::find()
            .filter(Column::AccountId.eq(account))
            .one(&self.database)
            .await?)
    }

    /// Writes down what an account is subscribed to. What was counted stays. `None` where the account is gone.
    pub async fn subscribed(
        &self,
        account: Uuid,
        fields: &[String],
    ) -> Result<Option<Model>, StoreError> {
        if self.account(account).await?.is_none() {
            return Ok(None);
        }
        let row = ActiveModel {
            id: Set(Uuid::now_v7()),
            account_id: Set(account),
            fields: Set(json!(fields)),
            status: Set(ACTIVE.to_owned()),
            ..Default::default()
        };
        let conflict = OnConflict::column(Column::AccountId)
            .update_columns([Column::Fields, Column::Status])
            .value(Column::UpdatedAt, self.time(Utc::now()))
            .to_owned();
        let writing = self.begin().await?;
        Entity::insert(row)
            .on_conflict(conflict)
            .exec_without_returning(&writing.transaction)
            .await?;
        writing.commit().await?;
        self.subscription_of(account).await
    }

    /// Deletes it. Returns whether it was there.
    pub async fn delete_subscription(&self, id: Uuid) -> Result<bool, StoreError> {
        let writing = self.begin().await?;
        let deleted = Entity::delete_by_id(id).exec(&writing.transaction).await?;
        writing.commit().await?;
        Ok(deleted.rows_affected > 0)
    }

    /// Says that nothing comes by it any more.
    pub(super) async fn stop_subscription(
        &self,
        on: &super::Transaction,
        account: Uuid,
    ) -> Result<(), sea_orm::DbErr> {
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(STOPPED))
            .col_expr(Column::UpdatedAt, self.time(Utc::now()))
            .filter(Column::AccountId.eq(account))
            .exec(on)
            .await?;
        Ok(())
    }
}
