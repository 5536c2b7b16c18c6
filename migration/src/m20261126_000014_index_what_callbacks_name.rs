//! What the callbacks of Instagram's name: an account by its app-scoped id, an erasure by its code.

use sea_orm_migration::prelude::*;

use crate::schema::index_on;

const INDEXES: [(&str, &str, &str); 2] = [
    (
        "idx_client_accounts_app_scoped_id",
        "client_accounts",
        "app_scoped_id",
    ),
    (
        "idx_erased_accounts_confirmation_code",
        "erased_accounts",
        "confirmation_code",
    ),
];

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, column) in INDEXES {
            let mut index = index_on(name, &[column]);
            index
                .table(table)
                .and_where(Expr::col(column).is_not_null());
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, _) in INDEXES {
            let mut index = Index::drop();
            index.name(name).table(table);
            manager.drop_index(index).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
