//! Events that were kept for want of an account, once the account is known.

use std::collections::HashMap;

use entity::webhook_event::status::UNASSIGNED;
use entity::{client_account, erased_account, webhook_event};
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Select, SelectModel, Selector,
};
use uuid::Uuid;

use super::erased::last_covered;
use super::{Store, StoreError, payload};
use crate::instagram::Event;

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
        let erased = erased_account::Entity::find()
            .filter(erased_account::Column::IgAccountId.is_in(&accounts))
            .all(&self.database)
            .await?;
        let mut query = webhook_event::Entity::find()
            .filter(webhook_event::Column::Status.eq(UNASSIGNED))
            .filter(webhook_event::Column::IgAccountId.is_in(accounts))
            .filter(not_erased(&erased))
            .order_by_asc(webhook_event::Column::Id)
            .limit(limit);
        if let Some(after) = after {
            query = query.filter(webhook_event::Column::Id.gt(after));
        }
        let rows = with_text(query).all(&self.database).await?;
        Ok(rows.into_iter().map(Kept::event).collect())
    }

    async fn accounts_with_unassigned(&self) -> Result<Vec<String>, StoreError> {
        let waiting: Vec<String> = webhook_event::Entity::find()
            .select_only()
            .distinct()
            .column(webhook_event::Column::IgAccountId)
            .filter(webhook_event::Column::Status.eq(UNASSIGNED))
            .into_tuple()
            .all(&self.database)
            .await?;
        let known: HashMap<String, Uuid> = client_account::Entity::find()
            .filter(client_account::Column::InstagramBusinessAccountId.is_in(waiting))
            .filter(client_account::Column::Active.eq(true))
            .all(&self.database)
            .await?
            .into_iter()
            .map(|account| (account.instagram_business_account_id, account.id))
            .collect();
        Ok(known.into_keys().collect())
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

/// What a tombstone covers is only still there: it is about to go.
fn not_erased(tombstones: &[erased_account::Model]) -> Condition {
    let covered = |tombstone: &erased_account::Model| {
        Condition::all()
            .add(webhook_event::Column::IgAccountId.eq(&tombstone.ig_account_id))
            .add(webhook_event::Column::Id.lte(last_covered(tombstone.erased_at)))
            .not()
    };
    tombstones
        .iter()
        .map(covered)
        .fold(Condition::all(), Condition::add)
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
