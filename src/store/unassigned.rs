//! Events that were kept for want of an account, once the account is known.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::client_account;
use entity::webhook_event::{Column, Entity};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Store, StoreError, generic};
use crate::instagram::Event;
use crate::instagram::understand::reread;

/// What an event is understood from again.
#[derive(FromQueryResult)]
struct Kept {
    id: Uuid,
    event_type: String,
    event_id: String,
    ig_account_id: String,
    origin: Option<String>,
    object_type: Option<String>,
    object_id: Option<String>,
    sender_ig_id: Option<String>,
    sender_username: Option<String>,
    /// As text: what people nest deeply is more than a JSON value is read from.
    payload: Option<String>,
    delivery_id: Uuid,
    occurred_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
}

const COLUMNS: [Column; 12] = [
    Column::Id,
    Column::EventType,
    Column::EventId,
    Column::IgAccountId,
    Column::Origin,
    Column::ObjectType,
    Column::ObjectId,
    Column::SenderIgId,
    Column::SenderUsername,
    Column::DeliveryId,
    Column::OccurredAt,
    Column::ReceivedAt,
];

impl Store {
    /// Up to `limit` events, the oldest first and after `after`, whose account
    /// was not known when they came and is now.
    pub async fn adoptable(
        &self,
        after: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<Event>, StoreError> {
        let accounts = self.accounts_with_unassigned().await?;
        if accounts.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = Entity::find()
            .select_only()
            .columns(COLUMNS)
            .column_as(
                Expr::col((Entity, Column::Payload)).cast_as("text"),
                "payload",
            )
            .filter(Column::Status.eq(generic::UNASSIGNED))
            .filter(Column::IgAccountId.is_in(accounts))
            .order_by_asc(Column::Id)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after));
        }
        Ok(query
            .into_model::<Kept>()
            .all(&self.database)
            .await?
            .into_iter()
            .map(event_of)
            .collect())
    }

    async fn accounts_with_unassigned(&self) -> Result<Vec<String>, StoreError> {
        let waiting: Vec<String> = Entity::find()
            .select_only()
            .distinct()
            .column(Column::IgAccountId)
            .filter(Column::Status.eq(generic::UNASSIGNED))
            .into_tuple()
            .all(&self.database)
            .await?;
        let known: HashMap<String, Uuid> = client_account::Entity::find()
            .filter(client_account::Column::InstagramBusinessAccountId.is_in(waiting))
            .all(&self.database)
            .await?
            .into_iter()
            .map(|account| (account.instagram_business_account_id, account.id))
            .collect();
        Ok(known.into_keys().collect())
    }
}

/// The event of a row, understood again from what was received.
fn event_of(row: Kept) -> Event {
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
        raw: row.payload.and_then(|raw| RawValue::from_string(raw).ok()),
        raw_omitted: false,
        place: String::new(),
    };
    reread(&mut event, row.origin.as_deref().unwrap_or_default());
    event
}
