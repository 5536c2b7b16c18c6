//! `instagram_messaging_postbacks`: taps on icebreakers and buttons.

use sea_orm_migration::prelude::*;

use crate::schema::{
    Columns, NewTable, drop_table, flag, index_on, json, name, text, timestamp, uuid,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_messaging_postbacks")
            .uuid_key()
            .required(c.instagram_id("message_id"))
            .column(uuid("conversation_id"))
            .account("fk_messaging_postbacks_account")
            .required(c.instagram_id("sender_ig_id"))
            .column(c.instagram_id("recipient_ig_id"))
            .column(flag("is_self"))
            .column(name("postback_title", 255))
            .column(text("postback_payload"))
            .required(timestamp("timestamp"))
            .column(json("raw_data"))
            .column(flag("processed"))
            .column(timestamp("processed_at"))
            .timestamps(c)
            // Serves the account's lists too.
            .unique(
                "uq_messaging_postbacks",
                &["account_id", "message_id", "sender_ig_id"],
            )
            .index("idx_messaging_postbacks_message", &["message_id"])
            .index("idx_messaging_postbacks_sender", &["sender_ig_id"])
            .index_latest("idx_messaging_postbacks_timestamp", &[], "timestamp")
            .indexed(payload())
            .index_where(
                "idx_messaging_postbacks_unprocessed",
                &["timestamp"],
                Expr::col("processed").not(),
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_messaging_postbacks").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

/// By what the button carries. A hash in `PostgreSQL`, whose B-tree refuses a text of 3 KB; `SQLite`
/// knows only one kind, and takes it.
fn payload() -> IndexCreateStatement {
    index_on("idx_messaging_postbacks_payload", &["postback_payload"])
        .index_type(IndexType::Hash)
        .take()
}
