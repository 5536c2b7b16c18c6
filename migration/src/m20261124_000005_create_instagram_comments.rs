//! `instagram_comments`: comments and live comments.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, big_count, drop_table, flag, json, name, text, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_comments")
            .account("fk_comments_account")
            .required(c.instagram_id("id"))
            .column(text("text"))
            .required(timestamp("timestamp"))
            .column(c.instagram_id("from_id"))
            .column(name("from_username", 255))
            .column(c.instagram_id("media_id"))
            .column(c.token("media_product_type", 50))
            .column(c.instagram_id("ad_id"))
            .column(c.instagram_id("parent_id"))
            .column(big_count("like_count"))
            .column(flag("is_hidden"))
            .column(flag("is_live"))
            .column(json("raw_data"))
            .timestamps(c)
            .primary_key("pk_instagram_comments", &["account_id", "id"])
            .index_latest(
                "idx_comments_account_timestamp",
                &["account_id"],
                "timestamp",
            )
            .index("idx_comments_from", &["from_id"])
            .index("idx_comments_media", &["media_id"])
            .index_where(
                "idx_comments_parent",
                &["parent_id"],
                Expr::col("parent_id").is_not_null(),
            )
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_comments").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
