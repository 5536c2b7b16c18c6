//! `erased_accounts`: the tombstones of erased accounts.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("erased_accounts")
            .column(
                c.instagram_id("ig_account_id")
                    .not_null()
                    .primary_key()
                    .take(),
            )
            .required(timestamp("erased_at"))
            .column(timestamp("finished_at"))
            .column(c.token("confirmation_code", 64))
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "erased_accounts").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
