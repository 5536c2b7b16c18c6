//! `conversations`: the threads between an account and one person.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("conversations")
            .uuid_key()
            .account("fk_conversations_account")
            .required(c.instagram_id("participant_ig_id"))
            .column(timestamp("last_message_at"))
            .timestamps(c)
            .unique(
                "uq_conversations_account_participant",
                &["account_id", "participant_ig_id"],
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "conversations").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
