//! An account's events of one type, the newest first: the rarest type is as quick to list as any.

use sea_orm_migration::prelude::*;

use crate::schema::index_on;

const NAME: &str = "idx_webhook_events_account_type";
const TABLE: &str = "instagram_webhook_events";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = ["instagram_account_id", "event_type", "created_at"];
        let mut index = index_on(NAME, &columns);
        index.table(TABLE);
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut index = Index::drop();
        index.name(NAME).table(TABLE);
        manager.drop_index(index).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
