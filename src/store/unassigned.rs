//! Events that were kept for want of an account, once the account is known.

use entity::webhook_event::{self, Column, Entity, status::UNASSIGNED};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, Select, SelectModel, Selector, Statement,
};
use uuid::Uuid;

use super::{Store, StoreError, payload};
use crate::instagram::Event;

/// What the events of a page hold together at most, in bytes, unless it is one
/// larger event.
const PAGE_BYTES: i64 = 4 * 1024 * 1024;

impl Store {
    /// Up to `limit` events whose account was not known when they came and is
    /// now, those of one account: the oldest first and after `after`, which is the
    /// last one of the page before. They are fewer where they are large.
    pub async fn adoptable(
        &self,
        after: Option<&Event>,
        limit: u64,
    ) -> Result<Vec<Event>, StoreError> {
        if let Some(last) = after {
            let page = self.page(&last.ig_account_id, Some(last.receipt_id), limit);
            let page = page.await?;
            if !page.is_empty() {
                return Ok(page);
            }
        }
        let after = after.map_or("", |last| last.ig_account_id.as_str());
        match self.next_to_adopt(after).await? {
            Some(account) => Ok(self.page(&account, None, limit).await?),
            None => Ok(Vec::new()),
        }
    }

    /// The first active account after `after`, by its id, that has such events.
    /// One look into the index an account: however many events wait for accounts
    /// that are not known. A subquery with a limit is asked for each account; from
    /// `EXISTS` a planner may make a join that reads all that waits.
    async fn next_to_adopt(&self, after: &str) -> Result<Option<String>, DbErr> {
        let sql = format!(
            "SELECT a.\"instagram_business_account_id\" AS account FROM \"client_accounts\" AS a \
             WHERE a.\"active\" AND a.\"instagram_business_account_id\" > $1 \
             AND (SELECT e.\"ig_account_id\" FROM \"instagram_webhook_events\" AS e \
             WHERE e.\"status\" = '{UNASSIGNED}' \
             AND e.\"ig_account_id\" = a.\"instagram_business_account_id\" LIMIT 1) IS NOT NULL \
             ORDER BY a.\"instagram_business_account_id\" LIMIT 1"
        );
        let next = Statement::from_sql_and_values(self.backend(), sql, [after.into()]);
        let next = self.database.query_one_raw(next).await?;
        next.map(|row| row.try_get("", "account")).transpose()
    }

    async fn page(
        &self,
        account: &str,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Event>, DbErr> {
        let mut query = Entity::find()
            .filter(Column::Status.eq(UNASSIGNED))
            .filter(Column::IgAccountId.eq(account))
            .order_by_asc(Column::Id);
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after));
        }
        let size = Expr::cust("CAST(LENGTH(CAST(\"payload\" AS TEXT)) AS BIGINT)");
        let sizes: Vec<(Uuid, Option<i64>)> = query
            .clone()
            .select_only()
            .column(Column::Id)
            .column_as(size, "size")
            .limit(limit)
            .into_tuple()
            .all(&self.database)
            .await?;
        let Some(last) = last_that_fits(&sizes) else {
            return Ok(Vec::new());
        };
        let rows = query.filter(Column::Id.lte(last)).limit(limit);
        let rows = with_text(rows).all(&self.database).await?;
        Ok(rows.into_iter().map(Kept::event).collect())
    }
}

/// A row with its payload letter by letter, as a document's columns do not give it.
#[derive(Debug, FromQueryResult)]
pub(super) struct Kept {
    #[sea_orm(nested)]
    pub(super) row: webhook_event::Model,
    pub(super) payload_text: Option<String>,
}

impl Kept {
    /// The event of the row, understood again from what was received.
    pub(super) fn event(self) -> Event {
        understood(self.row, self.payload_text.as_deref())
    }
}

/// The rows of a query, with their payloads letter by letter.
pub(super) fn with_text(rows: Select<webhook_event::Entity>) -> Selector<SelectModel<Kept>> {
    let payload = webhook_event::Column::Payload.into_expr().cast_as("text");
    rows.column_as(payload, "payload_text").into_model()
}

fn last_that_fits(sizes: &[(Uuid, Option<i64>)]) -> Option<Uuid> {
    let mut bytes = 0;
    let fitting = sizes.iter().take_while(|(_, size)| {
        bytes += size.unwrap_or(0);
        bytes <= PAGE_BYTES
    });
    let last = fitting.last().or_else(|| sizes.first());
    last.map(|(id, _)| *id)
}

/// The event of a row, understood again from what was received.
pub(super) fn event_of(row: webhook_event::Model) -> Event {
    let payload = row.payload.as_ref().map(ToString::to_string);
    understood(row, payload.as_deref())
}

fn understood(row: webhook_event::Model, payload: Option<&str>) -> Event {
    let mut event = Event {
        receipt_id: row.id,
        event_id: row.event_id,
        event_type: row.event_type,
        ig_account_id: row.ig_account_id,
        object_type: row.object_type.unwrap_or_default(),
        object_id: row.object_id,
        sender_ig_id: row.sender_ig_id,
        sender_username: row.sender_username,
        recipient_ig_id: None,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
        delivery_id: row.delivery_id,
        data: serde_json::Map::new(),
        raw: None,
        raw_omitted: false,
        place: String::new(),
    };
    if let Some(kept) = payload {
        payload::restore(&mut event, kept, row.origin.as_deref());
    }
    event
}
