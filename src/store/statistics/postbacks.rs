//! Buttons pressed in conversations, by what they send: a funnel is read from top to bottom.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult};
use serde::Serialize;
use utoipa::ToSchema;

use super::{NAMED, Of, count_if};

/// What a button sends, and who pressed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult, ToSchema)]
#[schema(as = StatisticsPostback)]
pub struct Postback {
    /// What it sends; `None` where Instagram sent none.
    #[schema(required)]
    pub payload: Option<String>,
    /// What it says: one of the titles, where it had several.
    #[schema(required)]
    pub title: Option<String>,
    /// How often it was pressed.
    pub pressed: i64,
    /// How many people pressed it.
    pub people: i64,
    /// How often somebody has dealt with it (`processed`).
    pub dealt_with: i64,
    /// When it was first pressed.
    pub first_at: DateTime<Utc>,
    /// When it was last pressed.
    pub last_at: DateTime<Utc>,
}

impl Of<'_> {
    /// The account's own (`is_self`) are not somebody's answer.
    pub(super) async fn postbacks(&self) -> Result<Vec<Postback>, DbErr> {
        let sql = format!(
            "SELECT \"postback_payload\" AS payload, MIN(\"postback_title\") AS title, COUNT(*) AS pressed, \
             COUNT(DISTINCT \"sender_ig_id\") AS people, {dealt_with} AS dealt_with, \
             MIN(\"timestamp\") AS first_at, MAX(\"timestamp\") AS last_at \
             FROM \"instagram_messaging_postbacks\" WHERE \"account_id\" = $1 \
             AND \"timestamp\" >= $2 AND \"timestamp\" < $3 AND NOT \"is_self\" \
             GROUP BY \"postback_payload\" ORDER BY people DESC, pressed DESC, payload LIMIT {NAMED}",
            dealt_with = count_if("\"processed\""),
        );
        self.query(&sql).await
    }
}
