//! `instagram_story_insights`, a view: one row a metric, for those who read the older shape.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const METRICS: [&str; 6] = [
    "impressions",
    "reach",
    "taps_forward",
    "taps_back",
    "exits",
    "replies",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let selects = METRICS.map(|metric| {
            format!(
                r#"SELECT media_id, '{metric}' AS metric, {metric} AS value, "timestamp", account_id
                FROM instagram_story_insights_aggregated WHERE {metric} IS NOT NULL"#
            )
        });
        let view = format!(
            "CREATE VIEW instagram_story_insights AS {}",
            selects.join(" UNION ALL ")
        );
        manager
            .get_connection()
            .execute_unprepared(&view)
            .await
            .map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop = "DROP VIEW instagram_story_insights";
        manager
            .get_connection()
            .execute_unprepared(drop)
            .await
            .map(|_| ())
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
