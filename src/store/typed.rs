//! The typed rows of events, and the conversations they belong to.

use std::collections::{BTreeMap, HashMap};

use entity::columns::{Kind, columns_of};
use sea_orm::DatabaseTransaction;
use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Entry, StoredRow};
use super::generic::row;
use super::statements::{Row, upsert};
use super::{StoreError, links};
use crate::instagram::time::canonical;
use crate::instagram::types::{Merge, Plan, Table, Write};
use crate::instagram::{Event, EventType};

static CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: columns_of::<entity::conversation::Entity>,
    key: &["account_id", "participant_ig_id"],
    merge: &[("last_message_at", Merge::Greatest)],
    blanked: &[],
};

/// Writes the typed rows of `entries`, all of one type and with an account.
pub(super) async fn write(
    on: &DatabaseTransaction,
    event_type: &EventType,
    entries: &[&Entry<'_>],
    keep_unsent: bool,
) -> Result<(), StoreError> {
    let mut conversations: BTreeMap<Uuid, Row> = BTreeMap::new();
    let mut tables: Vec<(&'static Table, Vec<Row>)> = Vec::new();
    for entry in entries {
        let Some(account_id) = entry.account_id else {
            continue;
        };
        let plan = (event_type.plan)(entry.event);
        let conversation = conversation(account_id, entry.event, &plan);
        for write in plan.writes {
            let row = completed(write, account_id, entry.event, conversation.as_ref());
            match tables
                .iter_mut()
                .find(|(table, _)| table.name == row.0.name)
            {
                Some((_, rows)) => rows.push(row.1),
                None => tables.push((row.0, vec![row.1])),
            }
        }
        if let Some((id, row)) = conversation {
            conversations
                .entry(id)
                .and_modify(|known| keep_later(known, &row))
                .or_insert(row);
        }
    }
    upsert(
        on,
        &CONVERSATIONS,
        conversations.into_values().collect(),
        true,
    )
    .await?;
    for (table, rows) in &tables {
        upsert(on, table, rows.clone(), keep_unsent).await?;
    }
    let written: HashMap<&str, &Vec<Row>> = tables
        .iter()
        .map(|(table, rows)| (table.name, rows))
        .collect();
    Ok(links::find(on, &written).await?)
}

/// The typed rows of an event, as they are told to subscribers.
pub(super) fn rows_of(event_type: &EventType, event: &Event) -> Vec<StoredRow> {
    let told = |write: Write| {
        let own = write
            .row
            .get("id")
            .and_then(Value::as_str)
            .map(str::to_owned);
        StoredRow {
            table: write.table.name,
            id: own.unwrap_or_else(|| event.receipt_id.to_string()),
        }
    };
    (event_type.plan)(event)
        .writes
        .into_iter()
        .map(told)
        .collect()
}

/// Adds to a row what only the store knows. A row whose id is not Instagram's
/// takes its event's receipt.
fn completed(
    Write { table, mut row }: Write,
    account_id: Uuid,
    event: &Event,
    conversation: Option<&(Uuid, Row)>,
) -> (&'static Table, Row) {
    let columns = (table.columns)();
    let has = |name: &str, kind: Kind| {
        columns
            .iter()
            .any(|column| column.name == name && column.kind == kind)
    };
    row.insert("account_id".into(), json!(account_id));
    if has("id", Kind::Uuid) {
        row.insert("id".into(), json!(event.receipt_id));
    }
    if let Some((id, _)) = conversation.filter(|_| has("conversation_id", Kind::Uuid)) {
        row.insert("conversation_id".into(), json!(id));
    }
    // An edit or an unsend is not what the message is: its own raw data stay in
    // the generic log.
    let is_partial = has("message_type", Kind::Text(Some(50))) && !row.contains_key("message_type");
    if let Some(raw) = event.raw.as_ref().filter(|_| !is_partial) {
        row.insert("raw_data".into(), json!(raw.get()));
    }
    (table, row)
}

/// The conversation of an event. Its id follows from its parties, so that two
/// handlers who make it at the same time make the same one.
fn conversation(account_id: Uuid, event: &Event, plan: &Plan) -> Option<(Uuid, Row)> {
    let (sender, recipient) = (
        event.sender_ig_id.as_deref(),
        event.recipient_ig_id.as_deref(),
    );
    let participant = plan
        .thread
        .participant(&event.ig_account_id, sender, recipient)?;
    let id = Uuid::new_v5(&account_id, participant.as_bytes());
    let is_message = plan
        .writes
        .iter()
        .any(|write| write.row.contains_key("message_type"));
    let row = row(json!({
        "id": id,
        "account_id": account_id,
        "participant_ig_id": participant,
        "last_message_at": is_message.then(|| canonical(event.occurred_at)),
    }));
    Some((id, row))
}

/// Times in their canonical form sort as texts.
fn keep_later(known: &mut Row, row: &Row) {
    let time = |row: &Row| {
        row.get("last_message_at")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if time(row) > time(known) {
        known.insert("last_message_at".into(), json!(time(row)));
    }
}
