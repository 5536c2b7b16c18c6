//! Reactions to messages.

use sea_orm::{DbErr, FromQueryResult};
use serde::Serialize;
use utoipa::ToSchema;

use super::{NAMED, Of, count_if};

/// The reactions of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StatisticsReactions)]
pub struct Reactions {
    /// By what they say, the most frequent first.
    pub by_type: Vec<Reaction>,
    /// The messages with the most reactions that were not taken back in the period.
    pub most_reacted: Vec<ReactedMessage>,
}

/// Reactions of one type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult, ToSchema)]
#[schema(as = StatisticsReaction)]
pub struct Reaction {
    /// As Instagram calls it: `love`, `other`, …; `None` where it did not say.
    #[schema(required)]
    pub reaction_type: Option<String>,
    /// How often somebody reacted so.
    pub reacted: i64,
    /// How many people did.
    pub people: i64,
}

/// A message that people reacted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult, ToSchema)]
#[schema(as = StatisticsReactedMessage)]
pub struct ReactedMessage {
    /// The message.
    pub message_id: String,
    /// How often somebody reacted to it.
    pub reacted: i64,
    /// How often a reaction was taken back.
    pub taken_back: i64,
}

const ROWS: &str = "FROM \"instagram_message_reactions\" WHERE \"account_id\" = $1 \
    AND \"timestamp\" >= $2 AND \"timestamp\" < $3";

impl Of<'_> {
    pub(super) async fn reactions(&self) -> Result<Reactions, DbErr> {
        let by_type = format!(
            "SELECT \"reaction_type\", COUNT(*) AS reacted, COUNT(DISTINCT \"sender_ig_id\") AS people {ROWS} \
             AND \"action\" = 'react' GROUP BY \"reaction_type\" ORDER BY 2 DESC, 1 LIMIT {NAMED}"
        );
        let (reacted, taken_back) = (
            count_if("\"action\" = 'react'"),
            count_if("\"action\" = 'unreact'"),
        );
        let most_reacted = format!(
            "SELECT \"message_id\", {reacted} AS reacted, {taken_back} AS taken_back {ROWS} \
             GROUP BY \"message_id\" ORDER BY {reacted} - {taken_back} DESC, 1 LIMIT {NAMED}"
        );
        Ok(Reactions {
            by_type: self.query(&by_type).await?,
            most_reacted: self.query(&most_reacted).await?,
        })
    }
}
