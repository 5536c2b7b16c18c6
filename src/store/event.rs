//! One event of the generic log, for who looks at it: its payload, and its typed rows as they are now.

use chrono::DateTime;
use entity::columns::{Column, Kind};
use entity::webhook_event::{self, Entity};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uuid::Uuid;

use super::dialect::Dialect;
use super::events::Listed;
use super::preview::{look_sql, named};
use super::statements::{Row, row};
use super::transaction::query_rows;
use super::typed::rows_for;
use super::unassigned::{Kept, with_text};
use super::{Store, StoreError};
use crate::instagram::time::canonical;
use crate::instagram::types::{self, Table};
use crate::instagram::{Event, EventType};

/// All that is known of an event.
#[derive(Debug)]
pub struct Whole {
    /// Its row.
    pub event: Listed,
    /// The item as received; `None` where it was blanked.
    pub payload: Option<Box<RawValue>>,
    /// The typed rows that it left or told of, by their tables.
    pub rows: Vec<(&'static str, Row)>,
}

impl Store {
    /// The event of that receipt, if it is the account's.
    pub async fn event(
        &self,
        account_id: Uuid,
        receipt_id: Uuid,
    ) -> Result<Option<Whole>, StoreError> {
        let query = Entity::find_by_id(receipt_id)
            .filter(webhook_event::Column::InstagramAccountId.eq(account_id));
        let Some(kept) = with_text(query).one(&self.database).await? else {
            return Ok(None);
        };
        let event = listed(&kept.row);
        let payload = kept.payload_text.clone();
        let rows = self.typed_rows(account_id, kept).await?;
        Ok(Some(Whole {
            event,
            payload: payload.and_then(|text| RawValue::from_string(text).ok()),
            rows,
        }))
    }

    async fn typed_rows(
        &self,
        account_id: Uuid,
        kept: Kept,
    ) -> Result<Vec<(&'static str, Row)>, DbErr> {
        let event = kept.event();
        let Some(event_type) = types::by_name(&event.event_type) else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for (table, key) in keys(event_type, &event, account_id) {
            let found = self.typed_row(table, &key).await?;
            all.extend(found.map(|row| (table.name, row)));
        }
        Ok(all)
    }

    async fn typed_row(&self, table: &'static Table, key: &Row) -> Result<Option<Row>, DbErr> {
        let columns: Vec<Column> = (table.columns)()
            .iter()
            .filter(|column| column.name != "raw_data")
            .copied()
            .collect();
        let wanted = named(&columns, table);
        let sql = look_sql(Dialect::of(self.backend()), table, &columns, &wanted);
        let found = query_rows(&self.database, &sql, std::slice::from_ref(key), &wanted).await?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        let Value::Object(mut row) = found.try_get::<Value>("", "seen")? else {
            return Ok(None);
        };
        for column in columns {
            if let Some(value) = row.get_mut(column.name) {
                same_everywhere(value, column.kind);
            }
        }
        Ok(Some(row))
    }
}

/// What the rows of an event are found by. Of what was blanked nothing can be understood any more: a row that
/// has the id of what it is about is found by that.
fn keys(event_type: &EventType, event: &Event, account_id: Uuid) -> Vec<(&'static Table, Row)> {
    if event.raw.is_some() {
        return rows_for(event_type, event, account_id).collect();
    }
    let has_its_id = |table: &&&'static Table| table.key == ["account_id", "id"];
    let tables = event_type.tables.iter().filter(has_its_id);
    tables
        .map(|table| {
            let key = row(json!({ "account_id": account_id, "id": event.object_id }));
            (*table, key)
        })
        .collect()
}

/// What the two databases write differently in a document.
fn same_everywhere(value: &mut Value, kind: Kind) {
    let same = match (kind, &*value) {
        (Kind::Uuid, Value::String(text)) => Uuid::try_parse(text).ok().map(|uuid| json!(uuid)),
        (Kind::Timestamp, Value::String(text)) => DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| json!(canonical(time.to_utc()))),
        (Kind::Boolean, Value::Number(number)) => Some(json!(number.as_i64() != Some(0))),
        _ => None,
    };
    if let Some(same) = same {
        *value = same;
    }
}

fn listed(row: &webhook_event::Model) -> Listed {
    let row = row.clone();
    Listed {
        id: row.id,
        event_type: row.event_type,
        event_id: row.event_id,
        ig_account_id: row.ig_account_id,
        origin: row.origin,
        object_type: row.object_type,
        object_id: row.object_id,
        sender_ig_id: row.sender_ig_id,
        sender_username: row.sender_username,
        status: row.status,
        processed: row.processed,
        processed_at: row.processed_at,
        processing_attempts: row.processing_attempts,
        deaths: row.deaths,
        last_processing_error: row.last_processing_error,
        is_duplicate: row.is_duplicate,
        duplicate_of: row.duplicate_of,
        delivery_id: row.delivery_id,
        occurred_at: row.occurred_at,
        received_at: row.received_at,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }
}
