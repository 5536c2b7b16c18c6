//! How stories did: of each the last insight of the period.

use chrono::{DateTime, Utc};
use sea_orm::{DbErr, FromQueryResult};
use serde::Serialize;
use utoipa::ToSchema;

use super::{NAMED, Of, rate};

/// A story. What Instagram did not tell is not known, and not 0.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = StatisticsStory)]
pub struct Story {
    /// The story.
    pub media_id: String,
    /// When these figures were made.
    pub at: DateTime<Utc>,
    /// How many people saw it.
    #[schema(required)]
    pub reach: Option<i64>,
    /// How often it was seen.
    #[schema(required)]
    pub impressions: Option<i64>,
    /// Reach against impressions: 1 where nobody saw it twice.
    #[schema(required)]
    pub reach_rate: Option<f64>,
    /// How often somebody left it for good.
    #[schema(required)]
    pub exits: Option<i64>,
    /// How often somebody answered it.
    #[schema(required)]
    pub replies: Option<i64>,
}

#[derive(FromQueryResult)]
struct Told {
    media_id: String,
    at: DateTime<Utc>,
    reach: Option<i64>,
    impressions: Option<i64>,
    exits: Option<i64>,
    replies: Option<i64>,
}

impl Of<'_> {
    pub(super) async fn stories(&self) -> Result<Vec<Story>, DbErr> {
        let sql = format!(
            "SELECT \"media_id\", \"timestamp\" AS at, \"reach\", \"impressions\", \"exits\", \"replies\" FROM (\
             SELECT i.*, ROW_NUMBER() OVER (PARTITION BY i.\"media_id\" ORDER BY i.\"timestamp\" DESC) AS nth \
             FROM \"instagram_story_insights_aggregated\" AS i WHERE i.\"account_id\" = $1 \
             AND i.\"timestamp\" >= $2 AND i.\"timestamp\" < $3) AS latest \
             WHERE nth = 1 ORDER BY COALESCE(\"reach\", -1) DESC, \"media_id\" LIMIT {NAMED}"
        );
        let told: Vec<Told> = self.query(&sql).await?;
        Ok(told.into_iter().map(Story::from).collect())
    }
}

impl From<Told> for Story {
    fn from(told: Told) -> Self {
        let both = told.reach.zip(told.impressions);
        Self {
            reach_rate: both.and_then(|(reach, impressions)| rate(reach, impressions)),
            media_id: told.media_id,
            at: told.at,
            reach: told.reach,
            impressions: told.impressions,
            exits: told.exits,
            replies: told.replies,
        }
    }
}
