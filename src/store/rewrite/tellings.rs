//! Rows that several events tell of: they are held, and all that the generic log
//! has of them is found.

use crate::store::Transaction;
use std::collections::HashSet;

use entity::webhook_event;
use entity::webhook_event::status::STORED;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Rewritten, named, same_key};
use crate::instagram::identity::event_ids_with;
use crate::instagram::types::{Table, by_name};
use crate::store::cells::Cells as _;
use crate::store::dialect::{Dialect, quoted};
use crate::store::generic::TABLE;
use crate::store::statements::{Row, ids, row};
use crate::store::typed::rows_for;
use crate::store::unassigned::with_text;
use crate::store::unsent::PLACE;

/// Holds the rows that are there: whoever changes one of them later sees what is
/// written here, and whoever did before is seen.
pub(super) async fn lock(on: &Transaction, table: &Table, rows: &[Row]) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let columns = named(table, table.key);
    let order: Vec<String> = table
        .key
        .iter()
        .map(|name| format!("t.{}", quoted(name)))
        .collect();
    let sql = format!(
        "SELECT 1 AS held FROM ({rows}) AS r JOIN \"{name}\" AS t ON {same} ORDER BY {order}{lock}",
        rows = dialect.rows(&columns),
        name = table.name,
        same = same_key(table, "t", "r"),
        order = order.join(", "),
        lock = dialect.lock("NO KEY UPDATE", "t"),
    );
    on.query_rows(&sql, rows, &columns).await.map(|_| ())
}

/// What other stored events tell of the same rows. What was blanked or deleted
/// tells nothing any more.
pub(super) async fn others(
    on: &Transaction,
    table: &Table,
    told: &[&Rewritten<'_>],
) -> Result<Vec<Row>, DbErr> {
    let own: HashSet<Uuid> = told.iter().map(|one| one.event.receipt_id).collect();
    let keys: HashSet<String> = told.iter().map(|one| one.row.key(table.key)).collect();
    let receipts = receipts_of(on, table, told).await?;
    let receipts: Vec<Uuid> = receipts.difference(&own).copied().collect();
    let mut rows = Vec::new();
    for some in receipts.chunks(100) {
        let rows_of_some = webhook_event::Entity::find()
            .filter(webhook_event::Column::Id.is_in(some.iter().copied()));
        for kept in with_text(rows_of_some).all(on).await? {
            let row = &kept.row;
            let (event_type, account_id) = (by_name(&row.event_type), row.instagram_account_id);
            let (Some(event_type), Some(account_id)) = (event_type, account_id) else {
                continue;
            };
            let event = kept.event();
            let theirs = rows_for(event_type, &event, account_id)
                .filter(|(of, row)| of.name == table.name && keys.contains(&row.key(of.key)));
            rows.extend(theirs.map(|(_, row)| row));
        }
    }
    Ok(rows)
}

/// The receipts of all stored events that tell of the rows.
async fn receipts_of(
    on: &Transaction,
    table: &Table,
    told: &[&Rewritten<'_>],
) -> Result<HashSet<Uuid>, DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let bytewise = dialect.bytewise();
    let is_there = format!(
        "f.\"ig_account_id\" = r.\"account\" AND f.\"event_type\" = r.\"type\" \
         AND f.\"event_id\" >= r.\"from\"{bytewise} AND f.\"event_id\" < r.\"to\"{bytewise} \
         AND NOT f.\"is_duplicate\" AND f.\"object_id\" = r.\"mid\" AND f.\"status\" = '{STORED}' \
         AND f.\"payload\" IS NOT NULL"
    );
    let sql = dialect.ids_for_each(&dialect.rows(&PLACE), TABLE, &is_there);
    let places: Vec<Row> = told
        .iter()
        .flat_map(|one| {
            let id = one
                .row
                .get("id")
                .and_then(Value::as_str)
                .unwrap_or_default();
            table.told_by.iter().map(move |event_type| {
                let ids = event_ids_with(event_type, id);
                row(json!({
                    "account": one.event.ig_account_id,
                    "type": event_type,
                    "from": ids.start,
                    "to": ids.end,
                    "mid": id,
                }))
            })
        })
        .collect();
    let found = on.query_rows(&sql, &places, &PLACE).await?;
    ids(&found)
}
