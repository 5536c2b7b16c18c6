//! What retention asks of the generic log, and what it deletes of it.
//!
//! Rows are looked at page by page, each page by an index. What is to go is claimed first: in `PostgreSQL` it is
//! locked, and what somebody else holds is passed over, so several instances share the work and nobody waits. Then it
//! can be written elsewhere, and is deleted if it is still as it was when it was judged.

use chrono::{DateTime, Utc};
use entity::columns::Kind;
use entity::webhook_event::status::{DEAD, DISCARDED};
use entity::webhook_event::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult,
    QueryFilter, QueryOrder, QuerySelect, Statement,
};
use serde_json::json;
use uuid::Uuid;

use super::dialect::Dialect;
use super::generic::TABLE;
use super::statements::{Row, column, row};
use super::transaction::query_rows;
use super::unassigned::{Kept, with_text};
use super::{Store, StoreError, Writing};
use crate::instagram::time::canonical;

mod line;

const CLAIMED: [entity::columns::Column; 4] = [
    column("receipt", Kind::Uuid),
    column("status", Kind::Text(None)),
    column("sequence", Kind::Integer),
    column("updated_at", Kind::Timestamp),
];

/// Which rows are looked at: for each kind an index has them in an order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// Duplicates, by when they were written.
    Duplicates,
    /// What failed for good, by when it was written.
    Dead,
    /// What an operator gave up, by when it was written.
    Discarded,
    /// All rows, in the order of their receipts.
    All,
}

/// Where a reading of rows has got to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    created_at: DateTime<Utc>,
    receipt: Uuid,
}

/// What decides whether a row goes.
#[derive(Debug, Clone, PartialEq, Eq, FromQueryResult)]
pub struct Head {
    /// The receipt.
    pub id: Uuid,
    /// The type.
    pub event_type: String,
    /// One of [`entity::webhook_event::status`].
    pub status: String,
    /// When the row was written.
    pub created_at: DateTime<Utc>,
    /// When the row was last changed.
    pub updated_at: DateTime<Utc>,
    /// When nothing was left to do.
    pub processed_at: Option<DateTime<Utc>>,
    /// The sequence of its message.
    pub stream_sequence: Option<i64>,
}

impl Head {
    /// Behind this row.
    #[must_use]
    pub fn place(&self) -> Place {
        Place {
            created_at: self.created_at,
            receipt: self.id,
        }
    }

    fn claimed(&self) -> Row {
        row(json!({
            "receipt": self.id,
            "status": self.status,
            "sequence": self.stream_sequence,
            "updated_at": canonical(self.updated_at),
        }))
    }
}

/// Rows that are about to go. Dropped, it lets them be.
pub struct Claim<'a> {
    store: &'a Store,
    /// Holds the rows, where the database can.
    holding: Option<Writing<'a>>,
    receipts: Vec<Uuid>,
    rows: Vec<Row>,
    is_all: bool,
}

impl Store {
    /// The time by the database's clock, which the rows' times are from.
    pub async fn now(&self) -> Result<DateTime<Utc>, StoreError> {
        let backend = self.backend();
        let sql = format!("SELECT {} AS \"now\"", Dialect::of(backend).now());
        let told = self
            .database
            .query_one_raw(Statement::from_string(backend, sql))
            .await?;
        let told = told.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?;
        Ok(told.try_get("", "now")?)
    }

    /// Up to `limit` rows behind `place`; but for [`Among::All`] only those that were written before `cutoff`.
    pub async fn heads_among(
        &self,
        among: Among,
        cutoff: DateTime<Utc>,
        place: Place,
        limit: u64,
    ) -> Result<Vec<Head>, StoreError> {
        let created = || Expr::col(Column::CreatedAt);
        let heads = Entity::find().select_only().columns([
            Column::Id,
            Column::EventType,
            Column::Status,
            Column::CreatedAt,
            Column::UpdatedAt,
            Column::ProcessedAt,
            Column::StreamSequence,
        ]);
        let heads = match among {
            Among::All => heads.filter(Column::Id.gt(place.receipt)),
            Among::Duplicates => heads.filter(Expr::col(Column::IsDuplicate)),
            Among::Dead => heads.filter(failed(DEAD)),
            Among::Discarded => heads.filter(failed(DISCARDED)),
        };
        let heads = if among == Among::All {
            heads
        } else {
            let behind = Condition::any()
                .add(created().gt(self.time(place.created_at)))
                .add(Column::Id.gt(place.receipt));
            heads
                .filter(created().lt(self.time(cutoff)))
                .filter(created().gte(self.time(place.created_at)))
                .filter(behind)
                .order_by_asc(Column::CreatedAt)
        };
        Ok(heads
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_model()
            .all(&self.database)
            .await?)
    }

    /// Takes hold of those of `heads` that are as they were, have no duplicates and are not being erased: as many as
    /// hold `bytes` of items together, but one at least. Without `bytes` they are not going to be read.
    pub async fn claim(
        &self,
        heads: &[Head],
        bytes: Option<usize>,
    ) -> Result<Claim<'_>, StoreError> {
        let rows: Vec<Row> = heads.iter().map(Head::claimed).collect();
        let dialect = Dialect::of(self.backend());
        let size = bytes.map_or(
            "CAST(0 AS BIGINT)",
            |_| "CAST(COALESCE(LENGTH(CAST(t.\"payload\" AS TEXT)), 0) AS BIGINT)",
        );
        let sql = format!(
            "SELECT t.\"id\", {size} AS size{there}{lock}",
            there = there(dialect),
            lock = dialect.lock_what_is_free("UPDATE", "t"),
        );
        let (holding, found) = if self.backend() == DbBackend::Postgres {
            let holding = self.begin().await?;
            // No tombstone is made until this has ended: what is erased is not archived behind its back.
            let on = &holding.transaction;
            on.execute_unprepared("LOCK TABLE \"erased_accounts\" IN ROW SHARE MODE")
                .await?;
            let found = on.query_rows(&sql, &rows, &CLAIMED).await?;
            (Some(holding), found)
        } else {
            // It has one writer, who is not to wait for whatever is done with them.
            let found = query_rows(&self.database, &sql, &rows, &CLAIMED).await?;
            (None, found)
        };
        let sizes: Vec<(Uuid, i64)> = found
            .iter()
            .map(|found| Ok((found.try_get("", "id")?, found.try_get("", "size")?)))
            .collect::<Result<_, DbErr>>()?;
        let receipts = those_that_fit(&sizes, bytes.unwrap_or(usize::MAX));
        let rows = heads
            .iter()
            .filter(|head| receipts.contains(&head.id))
            .map(Head::claimed)
            .collect();
        Ok(Claim {
            store: self,
            holding,
            is_all: receipts.len() == sizes.len(),
            receipts,
            rows,
        })
    }
}

fn failed(status: &str) -> Condition {
    Condition::all()
        .add(Expr::col(Column::Processed).not())
        .add(Column::Status.eq(status))
}

/// The rows `t` that are still as the parameters say, that nobody's duplicate points to, and whose account is not
/// being erased: its eraser has them.
fn there(dialect: Dialect) -> String {
    format!(
        " FROM ({rows}) AS r JOIN \"{TABLE}\" AS t ON t.\"id\" = r.\"receipt\" \
         WHERE t.\"status\" = r.\"status\" AND {is_unchanged} \
         AND t.\"stream_sequence\" IS NOT DISTINCT FROM r.\"sequence\" \
         AND NOT EXISTS (SELECT 1 FROM \"{TABLE}\" AS d WHERE d.\"duplicate_of\" = t.\"id\") \
         AND NOT EXISTS (SELECT 1 FROM \"erased_accounts\" AS e \
         WHERE e.\"ig_account_id\" = t.\"ig_account_id\" AND e.\"finished_at\" IS NULL)",
        rows = dialect.rows(&CLAIMED),
        is_unchanged = dialect.same_time("t.\"updated_at\"", "r.\"updated_at\""),
    )
}

fn those_that_fit(sizes: &[(Uuid, i64)], bytes: usize) -> Vec<Uuid> {
    let mut held = 0_usize;
    sizes
        .iter()
        .enumerate()
        .take_while(|(nth, (_, size))| {
            held = held.saturating_add(usize::try_from(*size).unwrap_or(0));
            *nth == 0 || held <= bytes
        })
        .map(|(_, (receipt, _))| *receipt)
        .collect()
}

impl Claim<'_> {
    /// The rows.
    #[must_use]
    pub fn receipts(&self) -> &[Uuid] {
        &self.receipts
    }

    /// Whether these are all of those asked for that can go: no others were left for their size.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.is_all
    }

    /// Each row as a line of JSON, with all its columns, in the order of receipts.
    pub async fn lines(&self) -> Result<Vec<String>, StoreError> {
        let rows = Entity::find()
            .filter(Column::Id.is_in(self.receipts.iter().copied()))
            .order_by_asc(Column::Id);
        let rows = with_text(rows);
        let rows: Vec<Kept> = match &self.holding {
            Some(holding) => rows.all(&holding.transaction).await?,
            None => rows.all(&self.store.database).await?,
        };
        Ok(rows
            .into_iter()
            .map(line::of)
            .collect::<Result<_, serde_json::Error>>()?)
    }

    /// Deletes them. Returns how many went: what has changed since stays.
    pub async fn delete(self) -> Result<u64, StoreError> {
        let writing = match self.holding {
            Some(holding) => holding,
            None => self.store.begin().await?,
        };
        let dialect = Dialect::of(self.store.backend());
        // Another look: a duplicate may have come before they were held.
        let still = dialect.one_of(&format!("SELECT t.\"id\"{}", there(dialect)));
        let sql = format!("DELETE FROM \"{TABLE}\" WHERE \"id\" {still}");
        let gone = writing
            .transaction
            .execute_rows(&sql, &self.rows, &CLAIMED)
            .await?;
        writing.commit().await?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_taken_as_fit_and_one_at_least() {
        let sizes: Vec<(Uuid, i64)> = (1..=4).map(|n| (Uuid::from_u128(n), 10)).collect();
        for (bytes, taken) in [(0, 1), (10, 1), (29, 2), (30, 3), (usize::MAX, 4)] {
            assert_eq!(those_that_fit(&sizes, bytes).len(), taken, "{bytes}");
        }
    }
}
