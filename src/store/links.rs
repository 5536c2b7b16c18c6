//! Links between rows, found from whichever side comes last.
//!
//! A receipt says that everything up to a message was read: the message it
//! names, whoever sent it, and what was sent earlier to the same reader. The
//! earliest receipt counts.

use std::collections::HashMap;

use entity::columns::{Column, Kind};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr};

use super::dialect::Dialect;
use super::statements::{Row, column, json_array};
use crate::instagram::types::{MESSAGES, SEEN};

/// Finds the links of the rows that were written, by table.
pub(super) async fn find(
    on: &DatabaseTransaction,
    written: &HashMap<&str, &Vec<Row>>,
) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    if let Some(messages) = written.get(MESSAGES) {
        let columns = [
            column("account_id", Kind::Uuid),
            column("id", Kind::Text(None)),
        ];
        let named = receipts_naming(&dialect.rows(&columns));
        run(on, &seen_by(dialect, &named), messages, &columns).await?;
        run(
            on,
            &covered(dialect, &dialect.rows(&columns)),
            messages,
            &columns,
        )
        .await?;
    }
    if let Some(receipts) = written.get(SEEN) {
        let columns = [column("id", Kind::Uuid)];
        let theirs = format!(
            "SELECT s.* FROM ({}) AS b JOIN \"{SEEN}\" AS s ON s.\"id\" = b.\"id\"",
            dialect.rows(&columns)
        );
        run(on, &seen_by(dialect, &theirs), receipts, &columns).await?;
    }
    Ok(())
}

/// Forgets when those of `rows` (of the messages' table) were seen that are written
/// again: [`find`] finds it anew from all receipts, by the times that they have now.
pub(super) async fn forget(on: &DatabaseTransaction, rows: &[Row]) -> Result<(), DbErr> {
    let columns = [
        column("account_id", Kind::Uuid),
        column("id", Kind::Text(None)),
    ];
    let dialect = Dialect::of(on.get_database_backend());
    let sql = format!(
        "UPDATE \"{MESSAGES}\" AS m SET \"seen_at\" = NULL FROM ({}) AS r \
         WHERE m.\"account_id\" = r.\"account_id\" AND m.\"id\" = r.\"id\" AND m.\"seen_at\" IS NOT NULL",
        dialect.rows(&columns)
    );
    run(on, &sql, rows, &columns).await
}

async fn run(
    on: &DatabaseTransaction,
    sql: &str,
    rows: &[Row],
    columns: &[Column],
) -> Result<(), DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    on.execute_raw(dialect.statement(sql, json_array(rows, columns)))
        .await
        .map(|_| ())
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
