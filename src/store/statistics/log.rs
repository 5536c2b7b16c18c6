//! What was received and what became of it, from the generic log.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::status::{DEAD, DISCARDED, STORED};
use entity::webhook_event::{Column, Entity};
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Value,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Of, count_if};
use crate::store::generic::TABLE;

/// A row is written after its event was received, so late at most that it is counted: the index has the time of
/// writing. What an outage delayed for longer is missing in the figures of its days.
const WRITTEN_WITHIN: TimeDelta = TimeDelta::days(7);
/// What clocks may differ by.
const CLOCKS: TimeDelta = TimeDelta::hours(1);

/// The figures of a type.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = StatisticsOfType)]
pub struct TypeFigures {
    /// The type.
    pub event_type: String,
    /// Items received.
    pub received: i64,
    /// Those with which nothing is left to do: stored, or told before.
    pub processed: i64,
    /// Those that failed for good, also where somebody gave them up since.
    pub failed: i64,
    /// Those that Instagram had told before.
    pub duplicates: i64,
    /// From received to stored, in seconds: half of them were quicker.
    #[schema(required)]
    pub median_seconds: Option<f64>,
    /// From received to stored, in seconds: 99 of 100 were quicker.
    #[schema(required)]
    pub p99_seconds: Option<f64>,
    /// When the last one of the period was received.
    pub last_event_at: DateTime<Utc>,
}

/// The figures of a type in one step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromQueryResult, ToSchema)]
#[schema(as = StatisticsStep)]
pub struct Step {
    /// When the step begins.
    pub at: DateTime<Utc>,
    /// The type.
    pub event_type: String,
    /// Items received.
    pub received: i64,
    /// Those with which nothing is left to do.
    pub processed: i64,
    /// Those that failed for good, also where somebody gave them up since.
    pub failed: i64,
    /// Those that Instagram had told before.
    pub duplicates: i64,
}

#[derive(FromQueryResult)]
struct Counted {
    #[sea_orm(nested)]
    step: Step,
    last_event_at: DateTime<Utc>,
}

#[derive(FromQueryResult)]
struct Timed {
    event_type: String,
    median: Option<f64>,
    p99: Option<f64>,
}

/// The rows of the period.
const ROWS: &str = "\"instagram_account_id\" = $1 AND \"created_at\" >= $4 AND \"created_at\" < $5 \
    AND \"received_at\" >= $2 AND \"received_at\" < $3";

impl Of<'_> {
    fn log_values(&self) -> [Value; 5] {
        let (from, to) = (self.period.from(), self.period.to());
        [
            self.account.into(),
            self.time(from),
            self.time(to),
            self.time(from - CLOCKS),
            self.time(to + WRITTEN_WITHIN),
        ]
    }

    /// The index has when rows were written. The last one written is not always the last one received; but what was
    /// received after it was written after that.
    pub(super) async fn last_event_at(&self) -> Result<Option<DateTime<Utc>>, DbErr> {
        let events = Entity::find()
            .select_only()
            .filter(Column::InstagramAccountId.eq(self.account));
        let last_written = events
            .clone()
            .column(Column::ReceivedAt)
            .order_by_desc(Column::CreatedAt)
            .limit(1);
        let database = &self.store.database;
        let last_written: Option<DateTime<Utc>> = last_written.into_tuple().one(database).await?;
        let Some(at) = last_written else {
            return Ok(None);
        };
        let since = events
            .column_as(Column::ReceivedAt.max(), "last")
            .filter(Column::CreatedAt.gte(at));
        let last: Option<Option<DateTime<Utc>>> = since.into_tuple().one(database).await?;
        Ok(last.flatten().max(Some(at)))
    }

    /// Each type over the whole period, and over time.
    pub(super) async fn received(&self) -> Result<(Vec<TypeFigures>, Vec<Step>), DbErr> {
        let counted = self.counted().await?;
        let mut types = BTreeMap::new();
        for Counted {
            step,
            last_event_at,
        } in &counted
        {
            let figures = types
                .entry(step.event_type.clone())
                .or_insert_with(|| TypeFigures::none(&step.event_type, *last_event_at));
            figures.add(step, *last_event_at);
        }
        for timed in self.timed().await? {
            if let Some(figures) = types.get_mut(&timed.event_type) {
                (figures.median_seconds, figures.p99_seconds) = (timed.median, timed.p99);
            }
        }
        let series = counted.into_iter().map(|counted| counted.step);
        Ok((types.into_values().collect(), series.collect()))
    }

    async fn counted(&self) -> Result<Vec<Counted>, DbErr> {
        let sql = format!(
            "SELECT {step} AS at, \"event_type\", COUNT(*) AS received, {processed} AS processed, {failed} AS failed, \
             {duplicates} AS duplicates, MAX(\"received_at\") AS last_event_at \
             FROM \"{TABLE}\" WHERE {ROWS} GROUP BY 1, 2 ORDER BY 1, 2",
            step = self.dialect().step("\"received_at\"", self.period.bucket()),
            processed = count_if("\"processed\""),
            failed = count_if(&format!("\"status\" IN ('{DEAD}', '{DISCARDED}')")),
            duplicates = count_if("\"is_duplicate\""),
        );
        self.query_with(&sql, self.log_values()).await
    }

    async fn timed(&self) -> Result<Vec<Timed>, DbErr> {
        let dialect = self.dialect();
        let samples = format!(
            "SELECT \"event_type\", {took} AS sample FROM \"{TABLE}\" WHERE {ROWS} AND \"status\" = '{STORED}'",
            took = dialect.seconds_between("\"received_at\"", "\"processed_at\""),
        );
        let sql = dialect.percentiles(&samples, Some("event_type"));
        self.query_with(&sql, self.log_values()).await
    }
}

impl TypeFigures {
    fn none(event_type: &str, last_event_at: DateTime<Utc>) -> Self {
        Self {
            event_type: event_type.to_owned(),
            received: 0,
            processed: 0,
            failed: 0,
            duplicates: 0,
            median_seconds: None,
            p99_seconds: None,
            last_event_at,
        }
    }

    fn add(&mut self, step: &Step, last_event_at: DateTime<Utc>) {
        self.received += step.received;
        self.processed += step.processed;
        self.failed += step.failed;
        self.duplicates += step.duplicates;
        self.last_event_at = self.last_event_at.max(last_event_at);
    }
}
