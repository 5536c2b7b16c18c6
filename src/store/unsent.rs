//! What a person unsent is blanked, whichever comes first, the message or its
//! unsend: in the message's own row by the rules of its columns, in the rows
//! that quote it here.
//!
//! Whoever tells of a message has its conversation, duplicates included: so of
//! two that meet, the second sees what the first one wrote.
//!
//! The unsend itself is kept as it came: it has nothing of the message but its
//! id, and a replay needs it.

use std::collections::BTreeMap;

use entity::columns::Kind;
use entity::webhook_event::status::UNASSIGNED;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use serde_json::json;
use uuid::Uuid;

use super::Transaction;
use super::dialect::Dialect;
use super::entry::Entry;
use super::generic::TABLE;
use super::statements::{Row, column, row};
use crate::instagram::EventType;
use crate::instagram::identity::event_ids_with;
use crate::instagram::types::{MENTIONS, MESSAGES, OF_MESSAGES, story_mention_id};

/// The messages that a batch tells of: by account and id, the account as
/// received.
pub(super) struct Unsent<'a> {
    told: BTreeMap<(Uuid, &'a str), &'a str>,
}

/// A message that was unsent.
struct Deleted<'a> {
    account_id: Uuid,
    ig_account_id: &'a str,
    mid: String,
    sender: Option<String>,
}

impl<'a> Unsent<'a> {
    pub(super) fn of(entries: &[Entry<'a>]) -> Self {
        let mut told = BTreeMap::new();
        for entry in entries
            .iter()
            .filter(|entry| is_of_messages(entry.event_type))
            .filter(|entry| entry.is_fresh() || entry.is_rewritten() || entry.is_duplicate())
        {
            let event = entry.event;
            let (Some(account_id), Some(mid)) = (entry.account_id, event.object_id.as_deref())
            else {
                continue;
            };
            told.insert((account_id, mid), event.ig_account_id.as_str());
        }
        Self { told }
    }

    /// Blanks what quotes those of the messages that are unsent by now.
    pub(super) async fn blank(&self, on: &Transaction) -> Result<(), DbErr> {
        let deleted = self.deleted(on).await?;
        if deleted.is_empty() {
            return Ok(());
        }
        let mentions: Vec<Row> = blank_payloads(on, &deleted)
            .await?
            .into_iter()
            .chain(deleted.iter().map(mention_of))
            .collect();
        blank_mentions(on, &mentions).await
    }

    async fn deleted(&self, on: &Transaction) -> Result<Vec<Deleted<'a>>, DbErr> {
        if self.told.is_empty() {
            return Ok(Vec::new());
        }
        let columns = [
            column("account", Kind::Uuid),
            column("mid", Kind::Text(None)),
        ];
        let told: Vec<Row> = self
            .told
            .keys()
            .map(|(account_id, mid)| row(json!({ "account": account_id, "mid": mid })))
            .collect();
        let dialect = Dialect::of(on.get_database_backend());
        let sql = format!(
            "SELECT m.\"account_id\", m.\"id\", m.\"sender_ig_id\" FROM ({}) AS b \
             JOIN \"{MESSAGES}\" AS m ON m.\"account_id\" = b.\"account\" AND m.\"id\" = b.\"mid\" \
             WHERE m.\"is_deleted\"",
            dialect.rows(&columns)
        );
        let found = on.query_rows(&sql, &told, &columns).await?;
        found.iter().map(|row| self.read_deleted(row)).collect()
    }

    fn read_deleted(&self, row: &QueryResult) -> Result<Deleted<'a>, DbErr> {
        let account_id = row.try_get("", "account_id")?;
        let mid: String = row.try_get("", "id")?;
        Ok(Deleted {
            account_id,
            ig_account_id: self
                .told
                .get(&(account_id, mid.as_str()))
                .copied()
                .unwrap_or_default(),
            sender: row.try_get("", "sender_ig_id")?,
            mid,
        })
    }
}

fn is_of_messages(event_type: &EventType) -> bool {
    OF_MESSAGES.iter().any(|told| told.name == event_type.name)
}

/// Where the first rows of the events of a message lie.
pub(super) const PLACE: [entity::columns::Column; 5] = [
    column("account", Kind::Text(None)),
    column("type", Kind::Text(None)),
    column("from", Kind::Text(None)),
    column("to", Kind::Text(None)),
    column("mid", Kind::Text(None)),
];

fn places(ig_account_id: &str, mid: &str) -> [Row; 2] {
    OF_MESSAGES.map(|event_type| {
        let ids = event_ids_with(event_type.name, mid);
        row(json!({
            "account": ig_account_id,
            "type": event_type.name,
            "from": ids.start,
            "to": ids.end,
            "mid": mid,
        }))
    })
}

/// The first rows at the places of parameter 1, without the unsends. What waits
/// for its account needs its payload still; it is looked at again when stored.
fn firsts(dialect: Dialect) -> String {
    let bytewise = dialect.bytewise();
    let is_there = format!(
        "f.\"ig_account_id\" = r.\"account\" AND f.\"event_type\" = r.\"type\" \
         AND f.\"event_id\" >= r.\"from\"{bytewise} AND f.\"event_id\" < r.\"to\"{bytewise} \
         AND NOT f.\"is_duplicate\" AND f.\"object_id\" = r.\"mid\" AND f.\"status\" <> '{UNASSIGNED}' \
         AND f.\"event_id\" NOT LIKE '%\\_deleted' ESCAPE '\\'"
    );
    dialect.ids_for_each(&dialect.rows(&PLACE), TABLE, &is_there)
}

/// Returns the ids under which their mentions would be.
async fn blank_payloads(on: &Transaction, deleted: &[Deleted<'_>]) -> Result<Vec<Row>, DbErr> {
    let places: Vec<Row> = deleted
        .iter()
        .flat_map(|message| places(message.ig_account_id, &message.mid))
        .collect();
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{TABLE}\" AS t SET \"payload\" = NULL, \"updated_at\" = {now} FROM (\
         WITH firsts AS ({firsts}) SELECT \"id\" AS receipt FROM firsts UNION ALL \
         SELECT d.\"id\" FROM firsts JOIN \"{TABLE}\" AS d ON d.\"duplicate_of\" = firsts.\"id\") AS x \
         WHERE t.\"id\" = x.receipt RETURNING \"instagram_account_id\", \"event_id\"",
        now = dialect.now(),
        firsts = firsts(dialect),
    );
    let blanked = on.query_rows(&sql, &places, &PLACE).await?;
    blanked
        .iter()
        .map(|blanked| {
            let account_id: Option<Uuid> = blanked.try_get("", "instagram_account_id")?;
            let event_id: String = blanked.try_get("", "event_id")?;
            Ok(row(json!({ "account": account_id, "id": event_id })))
        })
        .collect()
}

/// The mention can outlive its generic row.
fn mention_of(message: &Deleted<'_>) -> Row {
    let id = story_mention_id(&message.mid, message.sender.as_deref());
    row(json!({ "account": message.account_id, "id": id }))
}

async fn blank_mentions(on: &Transaction, mentions: &[Row]) -> Result<(), DbErr> {
    let columns = [
        column("account", Kind::Uuid),
        column("id", Kind::Text(None)),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{MENTIONS}\" AS t SET \"raw_data\" = NULL, \"updated_at\" = {now} FROM ({rows}) AS r \
         WHERE t.\"account_id\" = r.\"account\" AND t.\"id\" = r.\"id\" AND t.\"raw_data\" IS NOT NULL",
        now = dialect.now(),
        rows = dialect.rows(&columns),
    );
    on.execute_rows(&sql, mentions, &columns).await.map(|_| ())
}
