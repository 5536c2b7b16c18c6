//! `instagram_story_insights_aggregated`: the figures of stories; unknown is `NULL`, not 0.

use sea_orm_migration::prelude::*;

use crate::schema::{Columns, NewTable, bigint, drop_table, json, timestamp};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let c = Columns::of(manager);
        NewTable::new("instagram_story_insights_aggregated")
            .uuid_key()
            .required(c.instagram_id("media_id"))
            .account("fk_story_insights_account")
            .column(bigint("impressions"))
            .column(bigint("reach"))
            .column(bigint("taps_forward"))
            .column(bigint("taps_back"))
            .column(bigint("exits"))
            .column(bigint("replies"))
            .required(timestamp("timestamp"))
            .column(json("raw_data"))
            .timestamps(c)
            // Serves the account's lists too.
            .unique(
                "uq_story_insights",
                &["account_id", "media_id", "timestamp"],
            )
            .index("idx_story_insights_media", &["media_id"])
            .index_latest("idx_story_insights_timestamp", &[], "timestamp")
            .create(manager)
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_table(manager, "instagram_story_insights_aggregated").await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
