//! Links between rows, found from whichever side comes last.
//!
//! A receipt says that everything up to a message was read: the message it
//! names, whoever sent it, and what was sent earlier to the same reader. The
//! earliest receipt counts.

use entity::columns::{Column, Kind};
use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::Transaction;
use super::cells::{Cell, Cells};
use super::dialect::Dialect;
use super::statements::column;
use crate::instagram::types::{MESSAGES, SEEN, Table};

/// The rows that were written between which there can be links.
#[derive(Debug, Default)]
pub(super) struct Linked {
    messages: Vec<Message>,
    receipts: Vec<Receipt>,
}

/// A row of the messages' table.
#[derive(Debug)]
struct Message {
    account_id: Uuid,
    id: String,
}

/// A row of the receipts' table.
#[derive(Debug)]
struct Receipt(Uuid);

impl Linked {
    /// Adds those of `rows`, of `table`, that can be linked.
    pub(super) fn add<R: Cells>(&mut self, table: &Table, rows: &[R]) {
        match table.name {
            MESSAGES => self.messages.extend(rows.iter().filter_map(Message::of)),
            SEEN => self.receipts.extend(rows.iter().filter_map(Receipt::of)),
            _ => {}
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        self.messages.extend(other.messages);
        self.receipts.extend(other.receipts);
    }
}

impl Message {
    const COLUMNS: [Column; 2] = [
        column("account_id", Kind::Uuid),
        column("id", Kind::Text(None)),
    ];

    fn of(row: &impl Cells) -> Option<Self> {
        let id = match row.cell("id")? {
            Cell::Json(id) => id.as_str()?,
            Cell::Text(id) => id,
            _ => return None,
        };
        Some(Self {
            account_id: uuid(row.cell("account_id")?)?,
            id: id.to_owned(),
        })
    }
}

impl Receipt {
    const COLUMNS: [Column; 1] = [column("id", Kind::Uuid)];

    fn of(row: &impl Cells) -> Option<Self> {
        uuid(row.cell("id")?).map(Self)
    }
}

fn uuid(cell: Cell<'_>) -> Option<Uuid> {
    match cell {
        Cell::Uuid(uuid) => Some(uuid),
        Cell::Json(text) => text.as_str()?.parse().ok(),
        _ => None,
    }
}

impl Cells for Message {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        match column {
            "account_id" => Some(Cell::Uuid(self.account_id)),
            "id" => Some(Cell::Text(&self.id)),
            _ => None,
        }
    }
}

impl Cells for Receipt {
    fn cell(&self, column: &str) -> Option<Cell<'_>> {
        (column == "id").then_some(Cell::Uuid(self.0))
    }
}

/// Finds the links of the rows that were written.
pub(super) async fn find(on: &Transaction, written: &Linked) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    if !written.messages.is_empty() {
        let messages = dialect.rows(&Message::COLUMNS);
        let named = seen_by(dialect, &receipts_naming(&messages));
        for sql in [named, covered(dialect, &messages)] {
            on.execute_rows(&sql, &written.messages, &Message::COLUMNS)
                .await?;
        }
    }
    if !written.receipts.is_empty() {
        let theirs = format!(
            "SELECT s.* FROM ({}) AS b JOIN \"{SEEN}\" AS s ON s.\"id\" = b.\"id\"",
            dialect.rows(&Receipt::COLUMNS)
        );
        let sql = seen_by(dialect, &theirs);
        on.execute_rows(&sql, &written.receipts, &Receipt::COLUMNS)
            .await?;
    }
    Ok(())
}

/// Forgets when those messages were seen that are written again: [`find`] finds it anew from all
/// receipts, by the times that they have now.
pub(super) async fn forget(on: &Transaction, written: &Linked) -> Result<(), DbErr> {
    if written.messages.is_empty() {
        return Ok(());
    }
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{MESSAGES}\" AS m SET \"seen_at\" = NULL FROM ({}) AS r \
         WHERE m.\"account_id\" = r.\"account_id\" AND m.\"id\" = r.\"id\" AND m.\"seen_at\" IS NOT NULL",
        dialect.rows(&Message::COLUMNS)
    );
    on.execute_rows(&sql, &written.messages, &Message::COLUMNS)
        .await
        .map(drop)
}

/// The receipts that name one of `messages` (a query of `account_id`, `id`).
fn receipts_naming(messages: &str) -> String {
    format!(
        "SELECT s.* FROM ({messages}) AS b JOIN \"{SEEN}\" AS s \
         ON s.\"account_id\" = b.\"account_id\" AND s.\"last_message_id\" = b.\"id\""
    )
}

/// Up to when receipt `s` says that all was read: the time of the message `n` it
/// names, once that one itself has come, or its watermark.
fn read_up_to(dialect: Dialect) -> String {
    let watermark = dialect.time_of_digits("s.\"last_message_id\"");
    format!("CASE WHEN n.\"message_type\" IS NOT NULL THEN n.\"timestamp\" ELSE {watermark} END")
}

/// Marks what `receipts` (a query of rows of the receipts' table) say was read.
fn seen_by(dialect: Dialect, receipts: &str) -> String {
    let up_to = read_up_to(dialect);
    mark(
        dialect,
        &format!(
            "WITH receipts AS ({receipts}) \
             SELECT s.\"account_id\" AS account, s.\"last_message_id\" AS message, s.\"timestamp\" AS seen FROM receipts AS s \
             UNION ALL \
             SELECT t.\"account_id\", t.\"id\", s.\"timestamp\" FROM receipts AS s \
             LEFT JOIN \"{MESSAGES}\" AS n ON n.\"account_id\" = s.\"account_id\" AND n.\"id\" = s.\"last_message_id\" \
             JOIN \"{MESSAGES}\" AS t ON t.\"conversation_id\" = s.\"conversation_id\" \
             AND t.\"recipient_ig_id\" = s.\"reader_ig_id\" AND t.\"message_type\" IS NOT NULL \
             AND t.\"timestamp\" <= s.\"timestamp\" AND t.\"timestamp\" <= {up_to} \
             AND (t.\"seen_at\" IS NULL OR t.\"seen_at\" > s.\"timestamp\")"
        ),
    )
}

/// Marks those of `messages` (a query of `account_id`, `id`) that receipts which
/// came earlier say were read.
fn covered(dialect: Dialect, messages: &str) -> String {
    let up_to = read_up_to(dialect);
    mark(
        dialect,
        &format!(
            "SELECT t.\"account_id\" AS account, t.\"id\" AS message, s.\"timestamp\" AS seen FROM ({messages}) AS b \
             JOIN \"{MESSAGES}\" AS t ON t.\"account_id\" = b.\"account_id\" AND t.\"id\" = b.\"id\" \
             JOIN \"{SEEN}\" AS s ON s.\"account_id\" = t.\"account_id\" AND s.\"reader_ig_id\" = t.\"recipient_ig_id\" \
             AND s.\"conversation_id\" = t.\"conversation_id\" AND s.\"timestamp\" >= t.\"timestamp\" \
             LEFT JOIN \"{MESSAGES}\" AS n ON n.\"account_id\" = s.\"account_id\" AND n.\"id\" = s.\"last_message_id\" \
             WHERE t.\"message_type\" IS NOT NULL AND t.\"timestamp\" <= {up_to}"
        ),
    )
}

/// `readings` is a query of account, message and when it was seen.
fn mark(dialect: Dialect, readings: &str) -> String {
    format!(
        "UPDATE \"{MESSAGES}\" AS m SET \"seen_at\" = x.seen, \"updated_at\" = {now} FROM (\
         SELECT r.account, r.message, MIN(r.seen) AS seen FROM ({readings}) AS r GROUP BY r.account, r.message) AS x \
         WHERE m.\"account_id\" = x.account AND m.\"id\" = x.message AND (m.\"seen_at\" IS NULL OR m.\"seen_at\" > x.seen)",
        now = dialect.now()
    )
}
