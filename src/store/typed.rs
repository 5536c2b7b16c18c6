//! The typed rows of events, and the conversations they belong to.

use std::collections::{BTreeMap, HashMap, HashSet};

use entity::columns::{Kind, columns_of};
use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entry::{Entry, StoredRow};
use super::statements::{Row, ids, insert_new, row, upsert};
use super::{StoreError, links};
use crate::instagram::time::canonical;
use crate::instagram::types::{MESSAGES, Merge, Plan, Table, Write};
use crate::instagram::{Event, EventType};

pub(super) static CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: columns_of::<entity::conversation::Entity>,
    key: &["account_id", "participant_ig_id"],
    merge: &[("last_message_at", Merge::Greatest)],
    blanked: &[],
};

/// Writes the typed rows of those of `entries` that are fresh, all of one type.
/// Takes the conversations of duplicates too: see [`super::unsent`].
pub(super) async fn write(
    on: &DatabaseTransaction,
    event_type: &EventType,
    entries: &[Entry<'_>],
    keep_unsent: bool,
) -> Result<(), StoreError> {
    let mut conversations: BTreeMap<Uuid, Row> = BTreeMap::new();
    let mut tables: Vec<(&'static Table, Vec<Row>)> = Vec::new();
    for entry in entries {
        let Some(account_id) = entry.account_id else {
            continue;
        };
        if !entry.is_fresh() && !entry.is_duplicate() {
            continue;
        }
        let plan = (event_type.plan)(entry.event);
        let conversation = conversation(account_id, entry.event, &plan);
        if entry.is_fresh() {
            for write in plan.writes {
                let (table, row) = completed(write, account_id, entry.event, conversation.as_ref());
                match tables
                    .iter_mut()
                    .find(|(known, _)| known.name == table.name)
                {
                    Some((_, rows)) => rows.push(row),
                    None => tables.push((table, vec![row])),
                }
            }
        }
        if let Some((id, row)) = conversation {
            conversations
                .entry(id)
                .and_modify(|known| keep_later(known, &row))
                .or_insert(row);
        }
    }
    take_conversations(on, conversations.into_values().collect()).await?;
    for (table, rows) in &tables {
        upsert(on, table, rows.clone(), keep_unsent).await?;
    }
    let written: HashMap<&str, &Vec<Row>> = tables
        .iter()
        .map(|(table, rows)| (table.name, rows))
        .collect();
    Ok(links::find(on, &written).await?)
}

/// Makes the conversations that are missing, and locks all of them.
///
/// In two statements: one that merges names one unique key, and `PostgreSQL`
/// takes it for an error when a row that is being made by another conflicts on the
/// other key, the id, which is the same too.
async fn take_conversations(
    on: &DatabaseTransaction,
    mut conversations: Vec<Row>,
) -> Result<(), DbErr> {
    if conversations.is_empty() {
        return Ok(());
    }
    let columns = (CONVERSATIONS.columns)();
    let made: HashSet<String> =
        ids(&insert_new(on, CONVERSATIONS.name, &columns, &conversations).await?)?
            .into_iter()
            .map(|id| id.to_string())
            .collect();
    let id = |row: &Row| row.get("id").and_then(Value::as_str).map(str::to_owned);
    conversations.retain(|row| id(row).is_none_or(|id| !made.contains(&id)));
    upsert(on, &CONVERSATIONS, conversations, true).await
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
    Write {
        table,
        mut row,
        is_whole,
    }: Write,
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
    if let Some(raw) = event.raw.as_ref().filter(|_| is_whole) {
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
        .any(|write| write.is_whole && write.table.name == MESSAGES);
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
