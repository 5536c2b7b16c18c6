//! `instagram_message_reactions`: reactions and their withdrawals.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, json, name, one_of, timestamp, uuid};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_message_reactions")
            .uuid_key()
            .required(c.instagram_id("message_id"))
            .column(uuid("conversation_id"))
            .account("fk_message_reactions_account")
            .required(c.instagram_id("sender_ig_id"))
            .column(c.instagram_id("recipient_ig_id"))
            .required(c.token("action", 20))
            .column(name("reaction_type", 50))
            .column(name("emoji", 64))
            .required(timestamp("timestamp"))
            .column(json("raw_data"))
            .timestamps(c)
            .check(one_of(
                "ck_message_reactions_action",
                "action",
                &["react", "unreact"],
            ))
            // Serves the account's lists too.
            .unique(
                "uq_message_reactions",
                &[
                    "account_id",
                    "message_id",
                    "sender_ig_id",
                    "timestamp",
                    "action",
                ],
            )
            .index("idx_message_reactions_message", &["message_id"])
            .index("idx_message_reactions_sender", &["sender_ig_id"])
            .index_latest("idx_message_reactions_timestamp", &[], "timestamp")
            .index("idx_message_reactions_action", &["action"])
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_message_reactions").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
