//! The accounts whose traffic is expected, and their counters.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::client_account::{Column, Entity, Model};
use entity::columns::columns_of;
use entity::webhook_subscription;
use sea_orm::{ColumnTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter, QueryOrder};
use serde_json::json;
use uuid::Uuid;

use super::statements::{Row, insert_new, row, upsert};
use super::{Store, StoreError};
use crate::instagram::time::canonical;
use crate::instagram::types::{Merge, Table};

const TABLE: &str = "client_accounts";

static SUBSCRIPTIONS: Table = Table {
    name: "instagram_webhook_subscriptions",
    columns: columns_of::<webhook_subscription::Entity>,
    key: &["account_id"],
    merge: &[
        ("events_received_count", Merge::Sum),
        ("last_event_at", Merge::Greatest),
    ],
    blanked: &[],
};

impl Store {
    /// Every account, by its Instagram id.
    pub async fn accounts(&self) -> Result<Vec<Model>, StoreError> {
        Ok(Entity::find()
            .order_by_asc(Column::InstagramBusinessAccountId)
            .all(&self.database)
            .await?)
    }

    /// Adds an account; `false` if it was there.
    pub async fn add_account(
        &self,
        ig_account_id: &str,
        username: Option<&str>,
    ) -> Result<bool, StoreError> {
        let mut account = new_account(ig_account_id);
        account.extend(row(json!({ "username": username })));
        let writing = self.begin().await?;
        let added = insert_new(
            &writing.transaction,
            TABLE,
            &columns_of::<Entity>(),
            &[account],
        )
        .await?;
        writing.commit().await?;
        Ok(!added.is_empty())
    }

    /// The accounts with these Instagram ids; with `accounts.auto_register`
    /// those that are missing are made.
    pub(super) async fn accounts_of(
        &self,
        ids: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, Uuid>, StoreError> {
        let wanted: BTreeSet<&str> = ids.filter(|id| !id.is_empty()).collect();
        let mut found = self.find_accounts(&wanted).await?;
        if self.auto_register && found.len() < wanted.len() {
            let missing: Vec<Row> = wanted
                .iter()
                .filter(|id| !found.contains_key(**id))
                .map(|id| new_account(id))
                .collect();
            let writing = self.begin().await?;
            insert_new(
                &writing.transaction,
                TABLE,
                &columns_of::<Entity>(),
                &missing,
            )
            .await?;
            writing.commit().await?;
            found = self.find_accounts(&wanted).await?;
        }
        Ok(found)
    }

    async fn find_accounts(
        &self,
        ids: &BTreeSet<&str>,
    ) -> Result<HashMap<String, Uuid>, StoreError> {
        let accounts = Entity::find()
            .filter(Column::InstagramBusinessAccountId.is_in(ids.iter().copied()))
            .all(&self.database)
            .await?;
        Ok(accounts
            .into_iter()
            .map(|account| (account.instagram_business_account_id, account.id))
            .collect())
    }
}

fn new_account(ig_account_id: &str) -> Row {
    row(
        json!({ "id": Uuid::now_v7(), "instagram_business_account_id": ig_account_id, "active": true }),
    )
}

/// Adds to the counter of each account, in one order for all.
pub(super) async fn count_events(
    on: &DatabaseTransaction,
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
