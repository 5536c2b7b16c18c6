//! Figures of an account over a period, for its owner and for who looks after the service: what came of each type and
//! how quickly it was stored (`log`), and what people did (`reactions`, `postbacks`, `reading`, `stories`).
//!
//! Everything is counted by the database, by the indexes there are; what comes back is bounded. The generic log is only
//! kept as long as retention says, the typed rows for ever.

use chrono::{DateTime, Utc};
use entity::timestamp::sqlite_text;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dialect::Dialect;
use super::{Store, StoreError};

mod log;
mod period;
mod postbacks;
mod reactions;
mod reading;
mod stories;

pub use log::{Step, TypeFigures};
pub use period::{Bucket, LONGEST_DAYS, Period, PeriodError};
pub use postbacks::Postback;
pub use reactions::{ReactedMessage, Reaction, Reactions};
pub use reading::Reading;
pub use stories::Story;

/// How many messages, payloads and stories are named at most, the most important first.
pub const NAMED: usize = 100;

/// The figures of an account.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Statistics {
    /// What they are about.
    pub period: Period,
    /// When the last event of the account was received, in the period or not.
    #[schema(required)]
    pub last_event_at: Option<DateTime<Utc>>,
    /// Each type of which something was received.
    pub types: Vec<TypeFigures>,
    /// The same in steps of time; a step of which nothing was received is left out.
    pub series: Vec<Step>,
    /// Reactions to messages.
    pub reactions: Reactions,
    /// Buttons pressed, by what they send.
    pub postbacks: Vec<Postback>,
    /// How the account's messages were read and answered.
    pub reading: Reading,
    /// The last insights of each story.
    pub stories: Vec<Story>,
}

impl Store {
    /// The figures of an account, `client_accounts.id`.
    pub async fn statistics(
        &self,
        account: Uuid,
        period: &Period,
    ) -> Result<Statistics, StoreError> {
        let of = Of {
            store: self,
            account,
            period,
        };
        let (types, series) = of.received().await?;
        Ok(Statistics {
            period: *period,
            last_event_at: of.last_event_at().await?,
            types,
            series,
            reactions: of.reactions().await?,
            postbacks: of.postbacks().await?,
            reading: of.reading().await?,
            stories: of.stories().await?,
        })
    }
}

/// What figures are of.
struct Of<'a> {
    store: &'a Store,
    account: Uuid,
    period: &'a Period,
}

/// Of some samples the median and the 99th percentile: each is one of them.
#[derive(Debug, FromQueryResult)]
struct Percentiles {
    samples: i64,
    median: Option<f64>,
    p99: Option<f64>,
}

impl Of<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::of(self.store.backend())
    }

    fn time(&self, time: DateTime<Utc>) -> Value {
        match self.store.backend() {
            DbBackend::Sqlite => sqlite_text(time).into(),
            _ => time.into(),
        }
    }

    /// Runs a query about the account (`$1`) from (`$2`) to (`$3`).
    async fn query<T: FromQueryResult>(&self, sql: &str) -> Result<Vec<T>, DbErr> {
        let values = [
            self.account.into(),
            self.time(self.period.from()),
            self.time(self.period.to()),
        ];
        self.query_with(sql, values).await
    }

    async fn query_with<T: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>, DbErr> {
        let statement = Statement::from_sql_and_values(self.store.backend(), sql, values);
        let found = self.store.database.query_all_raw(statement).await?;
        found
            .iter()
            .map(|row| T::from_query_result(row, ""))
            .collect()
    }

    /// Runs a query of which there is one row.
    async fn query_one<T: FromQueryResult>(&self, sql: &str) -> Result<T, DbErr> {
        let mut found = self.query(sql).await?;
        found
            .pop()
            .ok_or_else(|| DbErr::RecordNotFound("a row of figures".to_owned()))
    }
}

/// Counts the rows for which `condition` holds.
fn count_if(condition: &str) -> String {
    format!("COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)")
}

/// A part of a whole; `None` where there is no whole.
#[allow(clippy::cast_precision_loss)] // exact up to 2^53
fn rate(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
