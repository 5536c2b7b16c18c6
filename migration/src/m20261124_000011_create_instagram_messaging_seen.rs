//! `instagram_messaging_seen`: read receipts.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, json, timestamp, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_messaging_seen")
            .uuid_key()
            .required(c.instagram_id("last_message_id"))
            .column(uuid("conversation_id"))
            .account("fk_messaging_seen_account")
            .required(c.instagram_id("reader_ig_id"))
            .column(c.instagram_id("recipient_ig_id"))
            .required(timestamp("timestamp"))
            .column(json("raw_data"))
            .timestamps(c)
            // Serves the account's lists too.
            .unique(
                "uq_messaging_seen",
                &["account_id", "last_message_id", "reader_ig_id", "timestamp"],
            )
            .index("idx_messaging_seen_last_message", &["last_message_id"])
            // With the rest, so that a message finds the later receipts of its thread.
            .index(
                "idx_messaging_seen_reader",
                &["reader_ig_id", "conversation_id", "timestamp"],
            )
            .index_latest("idx_messaging_seen_timestamp", &[], "timestamp")
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_messaging_seen").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
