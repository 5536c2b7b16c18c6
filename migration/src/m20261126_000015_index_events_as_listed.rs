//! An account's events of one type, and its duplicates, the newest first: what is rare is as quick to list as all
//! else.

use sea_orm_migration::prelude::*;

use crate::schema::index_on;

const TABLE: &str = "instagram_webhook_events";
const BY_TYPE: &str = "idx_webhook_events_account_type";
const DUPLICATES: &str = "idx_webhook_events_account_duplicates";

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = ["instagram_account_id", "event_type", "created_at"];
        let mut by_type = index_on(BY_TYPE, &columns);
        by_type.table(TABLE);
        manager.create_index(by_type).await?;
        let mut duplicates = index_on(DUPLICATES, &["instagram_account_id", "created_at"]);
        duplicates
            .table(TABLE)
            .and_where(Expr::cust("is_duplicate"));
        manager.create_index(duplicates).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in [BY_TYPE, DUPLICATES] {
            let mut index = Index::drop();
            index.name(name).table(TABLE);
            manager.drop_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
