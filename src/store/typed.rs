//! The typed rows of events, and the conversations they belong to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use entity::columns::columns_of;
use sea_orm::DbErr;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::StoreError;
use super::Transaction;
use super::cells::{Cell, Cells, TypedRow};
use super::entry::{Entry, StoredRow};
use super::links::{self, Linked};
use super::rewrite::{self, Rewritten, has_uuid};
use super::statements::{Row, ids, insert_new, upsert};
use crate::instagram::types::{MENTIONS, MESSAGES, Merge, Plan, SEEN, Table, Write};
use crate::instagram::{Event, EventType};

pub(super) static CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: columns_of::<entity::conversation::Entity>,
    key: &["account_id", "participant_ig_id"],
    merge: &[("last_message_at", Merge::Greatest)],
    blanked: &[],
    told_by: &[],
};

/// The rows that entries leave, not yet written.
#[derive(Default)]
pub(super) struct Planned<'a> {
    conversations: BTreeMap<Uuid, Conversation<'a>>,
    fresh: Vec<(&'static Table, Vec<TypedRow<'a>>)>,
    /// The rows that are written over what is there.
    pub(super) rewritten: Vec<Rewritten<'a>>,
}

/// Rows by their table.
pub(super) type Tables = Vec<(&'static Table, Vec<Row>)>;

impl<'a> Planned<'a> {
    /// The rows of those of `entries` that are fresh or written again. Takes the
    /// conversations of duplicates too: see [`super::unsent`].
    pub(super) fn of(entries: &[Entry<'a>]) -> Self {
        let mut planned = Self::default();
        for entry in entries {
            if let Some(account_id) = entry.account_id
                && (entry.is_fresh() || entry.is_rewritten() || entry.is_duplicate())
            {
                planned.add(entry, account_id);
            }
        }
        // The order in which everyone takes their locks.
        planned.fresh.sort_by_key(|(table, _)| table.name);
        planned
    }

    fn add(&mut self, entry: &Entry<'a>, account_id: Uuid) {
        let event = entry.event;
        let plan = (entry.event_type.plan)(event);
        let conversation = conversation(account_id, event, &plan);
        let id = conversation.as_ref().map(|conversation| conversation.id);
        for write in plan.writes {
            let (table, row) = completed(write, account_id, event, id);
            if entry.is_fresh() {
                add_row(&mut self.fresh, table, row);
            } else if entry.is_rewritten() {
                let row = row.into_row();
                self.rewritten.push(Rewritten { table, row, event });
            }
        }
        if let Some(conversation) = conversation {
            self.conversations
                .entry(conversation.id)
                .and_modify(|known| known.join(&conversation))
                .or_insert(conversation);
        }
    }

    /// Writes them, and finds their links.
    pub(super) async fn write(self, on: &Transaction, keep_unsent: bool) -> Result<(), StoreError> {
        take_conversations(on, self.conversations.into_values().collect()).await?;
        rewrite::write(on, &self.rewritten, keep_unsent).await?;
        let mut linked = Linked::default();
        for (table, rows) in self.fresh {
            linked.add(table, &rows);
            upsert(on, table, rows, keep_unsent).await?;
        }
        let mut again = Linked::default();
        for Rewritten { table, row, .. } in &self.rewritten {
            again.add(table, std::slice::from_ref(row));
        }
        links::forget(on, &again).await?;
        linked.append(again);
        Ok(links::find(on, &linked).await?)
    }
}

pub(super) fn add_row<R>(
    tables: &mut Vec<(&'static Table, Vec<R>)>,
    table: &'static Table,
    row: R,
) {
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
    let conversation = conversation(account_id, event, &plan).map(|conversation| conversation.id);
    plan.writes.into_iter().map(move |write| {
        let (table, row) = completed(write, account_id, event, conversation);
        (table, row.into_row())
    })
}

/// Makes the conversations that are missing, and locks those in which links are looked for.
///
/// In two statements: one that merges names one unique key, and `PostgreSQL`
/// takes it for an error when a row that is being made by another conflicts on the
/// other key, the id, which is the same too.
async fn take_conversations(
    on: &Transaction,
    mut conversations: Vec<Conversation<'_>>,
) -> Result<(), DbErr> {
    if conversations.is_empty() {
        return Ok(());
    }
    let columns = (CONVERSATIONS.columns)();
    let made = ids(&insert_new(on, CONVERSATIONS.name, columns, &conversations).await?)?;
    conversations.retain(|conversation| conversation.is_held && !made.contains(&conversation.id));
    upsert(on, &CONVERSATIONS, conversations, true).await
}

/// The typed rows of an event, as they are told to subscribers.
pub(super) fn rows_of(event_type: &EventType, event: &Event) -> Vec<StoredRow> {
    let told = |write: Write<'_>| {
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
fn completed<'a>(
    write: Write<'a>,
    account_id: Uuid,
    event: &'a Event,
    conversation_id: Option<Uuid>,
) -> (&'static Table, TypedRow<'a>) {
    let Write {
        table,
        row,
        is_whole,
    } = write;
    let row = TypedRow {
        data: row,
        account_id,
        receipt_id: has_uuid(table, "id").then_some(event.receipt_id),
        conversation_id: conversation_id.filter(|_| has_uuid(table, "conversation_id")),
        raw: event.raw.as_deref().map(RawValue::get).filter(|_| is_whole),
    };
    (table, row)
}

/// A conversation that events are in.
#[derive(Debug)]
struct Conversation<'a> {
    id: Uuid,
    account_id: Uuid,
    participant: &'a str,
    last_message_at: Option<DateTime<Utc>>,
    /// Whether links are looked for in it: whoever looks second must see what the first one wrote.
    is_held: bool,
}

impl Conversation<'_> {
    fn join(&mut self, other: &Self) {
        self.last_message_at = self.last_message_at.max(other.last_message_at);
        self.is_held |= other.is_held;
    }
}

impl Cells for Conversation<'_> {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        Some(match column {
            "id" => Cell::Uuid(self.id),
            "account_id" => Cell::Uuid(self.account_id),
            "participant_ig_id" => Cell::Text(self.participant),
            "last_message_at" => self.last_message_at.map_or(Cell::Null, Cell::Time),
            _ => return None,
        })
    }
}

/// The conversation of an event. Its id follows from its parties, so that two
/// handlers who make it at the same time make the same one.
fn conversation<'a>(
    account_id: Uuid,
    event: &'a Event,
    plan: &Plan<'_>,
) -> Option<Conversation<'a>> {
    let (sender, recipient) = (
        event.sender_ig_id.as_deref(),
        event.recipient_ig_id.as_deref(),
    );
    let participant = plan
        .thread
        .participant(&event.ig_account_id, sender, recipient)?;
    let writes_to = |name: &str| plan.writes.iter().any(|write| write.table.name == name);
    let is_message = plan
        .writes
        .iter()
        .any(|write| write.is_whole && write.table.name == MESSAGES);
    Some(Conversation {
        id: Uuid::new_v5(&account_id, participant.as_bytes()),
        account_id,
        participant,
        last_message_at: is_message.then_some(event.occurred_at),
        is_held: writes_to(MESSAGES) || writes_to(MENTIONS) || writes_to(SEEN),
    })
}
