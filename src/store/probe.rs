//! Whether the database is well: what it does not take of any event, it takes of
//! none, and no event is to blame.

use std::collections::BTreeSet;

use chrono::Utc;
use entity::columns::columns_of;
use entity::webhook_event::{Entity, status::UNASSIGNED};
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use super::generic::TABLE;
use super::statements::{Row, insert_new, row};
use super::{Incoming, Store, StoreError};
use crate::instagram::EventType;
use crate::instagram::time::canonical;

impl Store {
    /// Whether the database takes what `events`, all of one type, need: a row of
    /// the generic log, and no row at all of each of their tables, which says that
    /// the table is there and may be written. Nothing of it stays.
    pub async fn probe(
        &self,
        event_type: &EventType,
        events: &[Incoming],
    ) -> Result<(), StoreError> {
        let tables: BTreeSet<&str> = events
            .iter()
            .flat_map(|incoming| (event_type.plan)(&incoming.event).writes)
            .map(|write| write.table.name)
            .collect();
        let writing = self.begin().await?;
        let on = &writing.transaction;
        insert_new(on, TABLE, columns_of::<Entity>(), &[of_nothing(event_type)]).await?;
        for table in tables.into_iter().chain(["conversations"]) {
            let nothing = format!("INSERT INTO \"{table}\" SELECT * FROM \"{table}\" WHERE 1 = 0");
            on.execute_unprepared(&nothing).await?;
        }
        Ok(writing.roll_back().await?)
    }
}

fn of_nothing(event_type: &EventType) -> Row {
    let (receipt, now) = (Uuid::now_v7(), canonical(Utc::now()));
    row(json!({
        "id": receipt,
        "event_type": event_type.name,
        "event_id": receipt.to_string(),
        "ig_account_id": "",
        "status": UNASSIGNED,
        "processed": false,
        "processing_attempts": 0,
        "deaths": 0,
        "is_duplicate": false,
        "delivery_id": receipt,
        "occurred_at": now,
        "received_at": now,
    }))
}
