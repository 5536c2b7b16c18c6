//! `messages`: direct messages. Whatever a change does not know is `NULL`: it can come before its message.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, count, drop_table, flag, json, text, timestamp, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("messages")
            .account("fk_messages_account")
            .required(c.instagram_id("id"))
            .column(uuid("conversation_id"))
            .column(c.instagram_id("sender_ig_id"))
            .column(c.instagram_id("recipient_ig_id"))
            .column(c.token("direction", 20))
            .column(c.token("message_type", 50))
            .column(text("text"))
            .column(json("attachments"))
            .column(c.instagram_id("reply_to_mid"))
            .column(json("reply_to_story"))
            .column(text("quick_reply_payload"))
            .column(flag("is_echo"))
            .column(flag("is_deleted"))
            .column(flag("is_unsupported"))
            .column(count("edited_count"))
            .required(timestamp("timestamp"))
            .column(timestamp("seen_at"))
            .column(json("raw_data"))
            .timestamps(c)
            .primary_key("pk_messages", &["account_id", "id"])
            .references(
                "fk_messages_conversation",
                "conversation_id",
                "conversations",
                ForeignKeyAction::SetNull,
            )
            .index_latest(
                "idx_messages_account_timestamp",
                &["account_id"],
                "timestamp",
            )
            .index("idx_messages_sender", &["sender_ig_id"])
            // With the time, so that a receipt finds the earlier messages of a long thread.
            .index_latest(
                "idx_messages_conversation_timestamp",
                &["conversation_id"],
                "timestamp",
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "messages").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
