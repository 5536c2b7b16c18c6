//! `client_accounts`: the accounts whose traffic is expected.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, name, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("client_accounts")
            .uuid_key()
            .required(c.instagram_id("instagram_business_account_id"))
            .column(c.instagram_id("app_scoped_id"))
            .column(name("username", 255))
            .column(text("access_token"))
            .column(
                ColumnDef::new("active")
                    .boolean()
                    .not_null()
                    .default(true)
                    .take(),
            )
            .timestamps(c)
            .unique(
                "uq_client_accounts_instagram_business_account_id",
                &["instagram_business_account_id"],
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "client_accounts").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
