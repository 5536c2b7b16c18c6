//! How the messages that an account sent were read, and answered.

use sea_orm::{DbErr, FromQueryResult};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Of, Percentiles, rate};

/// What became of the messages that the account sent in a period.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = StatisticsReading)]
pub struct Reading {
    /// Messages sent.
    pub sent: i64,
    /// Those that were read, in the period or later.
    pub read: i64,
    /// Those that were read, of all.
    #[schema(required)]
    pub read_rate: Option<f64>,
    /// From sent to read, in seconds: half of them were quicker.
    #[schema(required)]
    pub median_seconds_to_read: Option<f64>,
    /// From sent to read, in seconds: 99 of 100 were quicker.
    #[schema(required)]
    pub p99_seconds_to_read: Option<f64>,
    /// How often somebody wrote again after reading.
    pub replies: i64,
    /// From read to the next message of the reader, in seconds: half of them were quicker.
    #[schema(required)]
    pub median_seconds_to_reply: Option<f64>,
    /// From read to the next message of the reader, in seconds: 99 of 100 were quicker.
    #[schema(required)]
    pub p99_seconds_to_reply: Option<f64>,
}

#[derive(FromQueryResult)]
struct Sent {
    sent: i64,
}

const SENT: &str = "FROM \"messages\" AS m WHERE m.\"account_id\" = $1 AND m.\"timestamp\" >= $2 \
    AND m.\"timestamp\" < $3 AND m.\"direction\" = 'outbound'";

impl Of<'_> {
    pub(super) async fn reading(&self) -> Result<Reading, DbErr> {
        let Sent { sent } = self
            .query_one(&format!("SELECT COUNT(*) AS sent {SENT}"))
            .await?;
        let seconds = self
            .dialect()
            .seconds_between("m.\"timestamp\"", "m.\"seen_at\"");
        let to_read = format!("SELECT {seconds} AS sample {SENT} AND m.\"seen_at\" IS NOT NULL");
        let to_read = self.percentiles(&to_read).await?;
        let to_reply = self.percentiles(&self.replies()).await?;
        Ok(Reading {
            sent,
            read: to_read.samples,
            read_rate: rate(to_read.samples, sent),
            median_seconds_to_read: to_read.median,
            p99_seconds_to_read: to_read.p99,
            replies: to_reply.samples,
            median_seconds_to_reply: to_reply.median,
            p99_seconds_to_reply: to_reply.p99,
        })
    }

    async fn percentiles(&self, samples: &str) -> Result<Percentiles, DbErr> {
        self.query_one(&self.dialect().percentiles(samples, None))
            .await
    }

    /// From reading to the next message of the other party. What was read in several steps before it was answered
    /// counts once, from the last.
    fn replies(&self) -> String {
        format!(
            "SELECT {seconds} AS sample FROM (SELECT \"conversation_id\", replied_at, MAX(\"seen_at\") AS seen_at FROM (\
             SELECT seen.\"conversation_id\", seen.\"seen_at\", (SELECT r.\"timestamp\" FROM \"messages\" AS r \
             WHERE r.\"conversation_id\" = seen.\"conversation_id\" AND r.\"timestamp\" >= seen.\"seen_at\" \
             AND r.\"direction\" = 'inbound' ORDER BY r.\"timestamp\" LIMIT 1) AS replied_at \
             FROM (SELECT DISTINCT m.\"conversation_id\", m.\"seen_at\" {SENT} AND m.\"seen_at\" IS NOT NULL) AS seen) AS e \
             GROUP BY \"conversation_id\", replied_at) AS r",
            seconds = self.dialect().seconds_between("r.seen_at", "r.replied_at"),
        )
    }
}
