//! The typed rows of events, and the conversations they belong to.

use std::collections::{BTreeMap, HashMap, HashSet};

use entity::columns::{Kind, columns_of};
use sea_orm::{DatabaseTransaction, DbErr};
use serde_json::{Value, json};
use uuid::Uuid;

use super::entry::{Entry, StoredRow};
use super::rewrite::{self, Rewritten};
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
    told_by: &[],
};

/// The rows that entries of one type leave, not yet written.
#[derive(Default)]
pub(super) struct Planned<'a> {
    conversations: BTreeMap<Uuid, Row>,
    fresh: Tables,
    /// The rows that are written over what is there.
    pub(super) rewritten: Vec<Rewritten<'a>>,
}

/// Rows by their table.
pub(super) type Tables = Vec<(&'static Table, Vec<Row>)>;

impl<'a> Planned<'a> {
    /// The rows of those of `entries` that are fresh or written again. Takes the
    /// conversations of duplicates too: see [`super::unsent`].
    pub(super) fn of(event_type: &EventType, entries: &[Entry<'a>]) -> Self {
        let mut planned = Self::default();
        for entry in entries {
            if let Some(account_id) = entry.account_id
                && (entry.is_fresh() || entry.is_rewritten() || entry.is_duplicate())
            {
                planned.add(event_type, entry, account_id);
            }
        }
        planned
    }

    fn add(&mut self, event_type: &EventType, entry: &Entry<'a>, account_id: Uuid) {
        let event = entry.event;
        let plan = (event_type.plan)(event);
        let conversation = conversation(account_id, event, &plan);
        let rows = |write| completed(write, account_id, event, conversation.as_ref());
        for (table, row) in plan.writes.into_iter().map(rows) {
            if entry.is_fresh() {
                add_row(&mut self.fresh, table, row);
            } else if entry.is_rewritten() {
                self.rewritten.push(Rewritten { table, row, event });
            }
        }
        if let Some((id, row)) = conversation {
            self.conversations
                .entry(id)
                .and_modify(|known| keep_later(known, &row))
                .or_insert(row);
        }
    }

    /// Writes them, and finds their links.
    pub(super) async fn write(
        self,
        on: &DatabaseTransaction,
        keep_unsent: bool,
    ) -> Result<(), StoreError> {
        take_conversations(on, self.conversations.into_values().collect()).await?;
        rewrite::write(on, &self.rewritten, keep_unsent).await?;
        for (table, rows) in &self.fresh {
            upsert(on, table, rows.clone(), keep_unsent).await?;
        }
        let mut written = self.fresh;
        let mut again = Tables::new();
        for one in self.rewritten {
            add_row(&mut again, one.table, one.row);
        }
        for (table, rows) in again {
            if table.name == MESSAGES {
                links::forget(on, &rows).await?;
            }
            for row in rows {
                add_row(&mut written, table, row);
            }
        }
        let written: HashMap<&str, &Vec<Row>> = written
            .iter()
            .map(|(table, rows)| (table.name, rows))
            .collect();
        Ok(links::find(on, &written).await?)
    }
}

pub(super) fn add_row(tables: &mut Tables, table: &'static Table, row: Row) {
    match tables
        .iter_mut()
        .find(|(known, _)| known.name == table.name)
    {
        Some((_, rows)) => rows.push(row),
        None => tables.push((table, vec![row])),
    }
}

/// The rows of an event that was stored for `account_id`.
pub(super) fn rows_for(
    event_type: &EventType,
    event: &Event,
    account_id: Uuid,
) -> impl Iterator<Item = (&'static Table, Row)> {
    let plan = (event_type.plan)(event);
    let conversation = conversation(account_id, event, &plan);
    plan.writes
        .into_iter()
        .map(move |write| completed(write, account_id, event, conversation.as_ref()))
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
