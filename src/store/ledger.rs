//! What the ledger asks the database. Only read.

use chrono::{DateTime, Utc};
use entity::columns::Kind;
use entity::webhook_event::{Column, Entity};
use sea_orm::{
    ColumnTrait, Condition, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect,
};
use serde_json::json;
use uuid::Uuid;

use super::dialect::Dialect;
use super::generic::TABLE;
use super::statements::{Row, column, row};
use super::transaction::query_rows;
use super::{Store, StoreError};

/// What the row of a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The receipt.
    pub receipt: Uuid,
    /// One of [`entity::webhook_event::status`].
    pub status: String,
    /// The sequence of its message; `None` where the row was made from something else.
    pub sequence: Option<u64>,
}

/// Where a reading of rows has got to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    sequence: u64,
    receipt: Uuid,
}

/// What tells a row to a person.
#[derive(Debug, Clone)]
pub struct Told {
    /// The receipt.
    pub receipt: Uuid,
    /// The account as received.
    pub ig_account_id: String,
    /// What happened.
    pub event_id: String,
    /// The delivery it came in.
    pub delivery_id: Uuid,
    /// When that came.
    pub received_at: DateTime<Utc>,
    /// The sequence of its message.
    pub sequence: Option<u64>,
}

impl Place {
    /// Before every row whose message comes after `sequence`.
    #[must_use]
    pub fn after(sequence: u64) -> Self {
        Self {
            sequence: sequence.saturating_add(1),
            receipt: Uuid::nil(),
        }
    }

    /// Behind that row.
    #[must_use]
    pub fn behind(standing: &Standing) -> Self {
        Self {
            sequence: standing.sequence.unwrap_or_default(),
            receipt: standing.receipt,
        }
    }
}

impl Store {
    /// Up to `limit` rows of a type behind `place` whose messages' sequences are at most `up_to`, in the
    /// order of these.
    pub async fn standings(
        &self,
        event_type: &str,
        place: Place,
        up_to: u64,
        limit: u64,
    ) -> Result<Vec<Standing>, StoreError> {
        let from = as_column(place.sequence);
        let behind = Condition::any()
            .add(Column::StreamSequence.gt(from))
            .add(Column::Id.gt(place.receipt));
        let rows: Vec<(Uuid, String, Option<i64>)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::Status, Column::StreamSequence])
            .filter(Column::EventType.eq(event_type))
            .filter(Column::StreamSequence.gte(from))
            .filter(Column::StreamSequence.lte(as_column(up_to)))
            .filter(behind)
            .order_by_asc(Column::StreamSequence)
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(&self.database)
            .await?;
        let standing = |(receipt, status, sequence)| Standing {
            receipt,
            status,
            sequence: as_sequence(sequence),
        };
        Ok(rows.into_iter().map(standing).collect())
    }

    /// The rows of those receipts that have one.
    pub async fn standings_of(
        &self,
        receipts: impl Iterator<Item = Uuid>,
    ) -> Result<Vec<Standing>, StoreError> {
        let columns = [column("receipt", Kind::Uuid)];
        let rows: Vec<Row> = receipts
            .map(|receipt| row(json!({ "receipt": receipt })))
            .collect();
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let dialect = Dialect::of(self.backend());
        let sql = format!(
            "SELECT t.\"id\", t.\"status\", t.\"stream_sequence\" FROM ({}) AS r \
             JOIN \"{TABLE}\" AS t ON t.\"id\" = r.\"receipt\"",
            dialect.rows(&columns)
        );
        let found = query_rows(&self.database, &sql, &rows, &columns).await?;
        Ok(found.iter().map(read).collect::<Result<_, DbErr>>()?)
    }

    /// What tells the rows of these receipts, of those that are there.
    pub async fn told_of(&self, receipts: &[Uuid]) -> Result<Vec<Told>, StoreError> {
        type Columns = (Uuid, String, String, Uuid, DateTime<Utc>, Option<i64>);
        let rows: Vec<Columns> = Entity::find()
            .select_only()
            .columns([
                Column::Id,
                Column::IgAccountId,
                Column::EventId,
                Column::DeliveryId,
                Column::ReceivedAt,
                Column::StreamSequence,
            ])
            .filter(Column::Id.is_in(receipts.iter().copied()))
            .order_by_asc(Column::Id)
            .into_tuple()
            .all(&self.database)
            .await?;
        let told = |(receipt, ig_account_id, event_id, delivery_id, received_at, sequence)| Told {
            receipt,
            ig_account_id,
            event_id,
            delivery_id,
            received_at,
            sequence: as_sequence(sequence),
        };
        Ok(rows.into_iter().map(told).collect())
    }
}

fn read(found: &QueryResult) -> Result<Standing, DbErr> {
    Ok(Standing {
        receipt: found.try_get("", "id")?,
        status: found.try_get("", "status")?,
        sequence: as_sequence(found.try_get("", "stream_sequence")?),
    })
}

fn as_column(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn as_sequence(column: Option<i64>) -> Option<u64> {
    column.and_then(|sequence| u64::try_from(sequence).ok())
}
