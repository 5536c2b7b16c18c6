//! What failed for good: to look at, to try again, to give up.

use chrono::{DateTime, Utc};
use entity::timestamp::sqlite_text;
use entity::webhook_event::status::{DEAD, DISCARDED};
use entity::webhook_event::{Column, Entity, Model};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::unassigned::event_of;
use super::{Store, StoreError};
use crate::instagram::Event;
use crate::instagram::event::UNKNOWN;

/// Which dead letters are meant; all that is given has to be so.
#[derive(Debug, Clone, Default)]
pub struct DeadLetters {
    /// These receipts; any when empty.
    pub receipts: Vec<Uuid>,
    /// These events; any when empty.
    pub event_ids: Vec<String>,
    /// This type.
    pub event_type: Option<String>,
    /// This account, as received.
    pub ig_account_id: Option<String>,
    /// Received then or later.
    pub since: Option<DateTime<Utc>>,
}

impl Store {
    /// Up to `limit` rows of dead letters, the newest first and before `before`.
    pub async fn dead_letters(
        &self,
        which: &DeadLetters,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Model>, StoreError> {
        let earlier = before.map(|before| Column::Id.lt(before));
        Ok(Entity::find()
            .filter(self.condition(which))
            .filter(Condition::all().add_option(earlier))
            .order_by_desc(Column::Id)
            .limit(limit)
            .all(&self.database)
            .await?)
    }

    /// Gives dead letters up: they are not tried again and not listed any more.
    /// Returns how many.
    pub async fn discard(&self, which: &DeadLetters) -> Result<u64, StoreError> {
        let writing = self.begin().await?;
        let discarded = Entity::update_many()
            .col_expr(Column::Status, Expr::value(DISCARDED))
            .col_expr(Column::UpdatedAt, self.time(Utc::now()))
            .filter(self.condition(which))
            .exec(&writing.transaction)
            .await?;
        writing.commit().await?;
        Ok(discarded.rows_affected)
    }

    fn condition(&self, which: &DeadLetters) -> Condition {
        let receipts =
            (!which.receipts.is_empty()).then(|| Column::Id.is_in(which.receipts.clone()));
        let events =
            (!which.event_ids.is_empty()).then(|| Column::EventId.is_in(which.event_ids.clone()));
        let event_type = which
            .event_type
            .as_deref()
            .map(|name| Column::EventType.eq(name));
        let account = which
            .ig_account_id
            .as_deref()
            .map(|id| Column::IgAccountId.eq(id));
        let since = which
            .since
            .map(|since| Expr::col(Column::ReceivedAt).gte(self.time(since)));
        Condition::all()
            .add(Column::Status.eq(DEAD))
            // What is dead is unprocessed: said for the index of these alone.
            .add(Expr::col(Column::Processed).not())
            .add_option(receipts)
            .add_option(events)
            .add_option(event_type)
            .add_option(account)
            .add_option(since)
    }

    /// `SQLite` keeps times as texts of one form, in which they sort.
    pub(super) fn time(&self, time: DateTime<Utc>) -> Expr {
        match self.backend() {
            DbBackend::Sqlite => Expr::value(sqlite_text(time)),
            _ => Expr::value(time),
        }
    }
}

/// The event of a dead letter, to be tried again. `None` where that cannot help:
/// a malformed item is the same again.
#[must_use]
pub fn to_be_tried_again(row: Model) -> Option<Event> {
    (row.event_type != UNKNOWN).then(|| event_of(row))
}
