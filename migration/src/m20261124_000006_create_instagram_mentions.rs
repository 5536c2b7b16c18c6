//! `instagram_mentions`: mentions and story mentions.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, drop_table, json, name, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_mentions")
            .account("fk_mentions_account")
            .required(c.token("id", 512))
            .column(c.instagram_id("media_id"))
            .column(c.instagram_id("comment_id"))
            .required(timestamp("timestamp"))
            .required(c.token("mentioned_in", 20))
            .column(c.instagram_id("from_id"))
            .column(name("from_username", 255))
            .column(json("raw_data"))
            .timestamps(c)
            .primary_key("pk_instagram_mentions", &["account_id", "id"])
            .index_latest(
                "idx_mentions_account_timestamp",
                &["account_id"],
                "timestamp",
            )
            .index_where(
                "idx_mentions_from",
                &["from_id"],
                Expr::col("from_id").is_not_null(),
            )
            .index("idx_mentions_media", &["media_id"])
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_mentions").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
