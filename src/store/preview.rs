//! What a replay would change: the typed rows are written as a replay writes them,
//! compared with what was there, and all of it is taken back.

use std::collections::{BTreeMap, HashMap};

use entity::columns::{Column, Kind};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Transaction;
use super::batch::{Entries, give_rows};
use super::dialect::{Dialect, quoted};
use super::entry::Incoming;
use super::rewrite::has_id_of_its_own;
use super::typed::{Planned, Tables, add_row};
use super::{Store, StoreError};
use crate::instagram::types::Table;

/// A column that would hold something else.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ReplayDifference)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The row's id within its account.
    pub id: String,
    /// The column; `None` where the whole row is there only before or after.
    pub column: Option<&'static str>,
    /// What it holds, or whether the row is there.
    pub old: Value,
    /// What it would hold, or whether the row would be there.
    pub new: Value,
}

/// When a row was made and changed is no content of it.
const BOOKKEEPING: [&str; 2] = ["created_at", "updated_at"];

/// The rows of a table, by account and id.
type Seen = BTreeMap<(String, String), Map<String, Value>>;

impl Store {
    /// What writing the typed rows of `batch` again would change; it comes as
    /// replays, and all of it is stored. Changes nothing, but holds the rows for as
    /// long as it looks.
    pub async fn preview(&self, batch: &[Incoming]) -> Result<Vec<Difference>, StoreError> {
        let mut entries = Entries::of(batch, &HashMap::new());
        let writing = self.begin().await?;
        let on = &writing.transaction;
        give_rows(on, &mut entries.0, chrono::Utc::now()).await?;
        let planned = Planned::of(&entries.0);
        let mut tables = Tables::new();
        for one in &planned.rewritten {
            add_row(&mut tables, one.table, one.row.clone());
        }
        let before = look(on, &tables).await?;
        self.write_typed(on, &entries, planned).await?;
        let after = look(on, &tables).await?;
        writing.roll_back().await?;
        let all = tables.iter().zip(before.iter().zip(&after));
        Ok(all
            .flat_map(|((table, _), (before, after))| compare(table, before, after))
            .collect())
    }
}

async fn look(on: &Transaction, tables: &Tables) -> Result<Vec<Seen>, DbErr> {
    let dialect = Dialect::of(on.get_database_backend());
    let mut all = Vec::with_capacity(tables.len());
    for (table, rows) in tables {
        let columns = (table.columns)();
        let wanted = named(columns, table);
        let sql = look_sql(dialect, table, columns, &wanted);
        let found = on.query_rows(&sql, rows, &wanted).await?;
        let mut seen = Seen::new();
        for row in &found {
            if let Value::Object(row) = row.try_get::<Value>("", "seen")? {
                let id = text(&row, "id");
                let id = match Uuid::try_parse(&id) {
                    // `SQLite` says it without hyphens.
                    Ok(uuid) if has_id_of_its_own(table) => uuid.to_string(),
                    _ => id,
                };
                seen.insert((text(&row, "account_id"), id), row);
            }
        }
        all.push(seen);
    }
    Ok(all)
}

fn text(row: &Map<String, Value>, column: &str) -> String {
    let value = row.get(column).and_then(Value::as_str);
    value.unwrap_or_default().to_owned()
}

/// The key, and the id where it may have moved.
pub(super) fn named(columns: &[Column], table: &Table) -> Vec<Column> {
    let is_named = |column: &&Column| table.key.contains(&column.name) || column.name == "id";
    columns.iter().filter(is_named).copied().collect()
}

/// Yields each row of `table` that has the key of a row of the parameters, or its id, as a document of `columns`.
pub(super) fn look_sql(
    dialect: Dialect,
    table: &Table,
    columns: &[Column],
    wanted: &[Column],
) -> String {
    let same: Vec<String> = table
        .key
        .iter()
        .map(|column| format!("t.\"{column}\" = r.\"{column}\""))
        .collect();
    let same = same.join(" AND ");
    let rows = dialect.rows(wanted);
    let name = table.name;
    let document = document(dialect, columns);
    let by_key =
        format!("SELECT {document} AS seen FROM ({rows}) AS r JOIN \"{name}\" AS t ON {same}");
    if !has_id_of_its_own(table) {
        return by_key;
    }
    format!(
        "{by_key} UNION ALL SELECT {document} FROM ({rows}) AS r JOIN \"{name}\" AS t \
         ON t.\"id\" = r.\"id\" AND NOT ({same})"
    )
}

/// A row of `t` as one JSON document.
fn document(dialect: Dialect, columns: &[Column]) -> String {
    let content = columns
        .iter()
        .filter(|column| !BOOKKEEPING.contains(&column.name));
    let field = |column: &Column| {
        let value = format!("t.{}", quoted(column.name));
        let value = match (dialect, column.kind) {
            (Dialect::Sqlite, Kind::Uuid) => format!("lower(hex({value}))"),
            (Dialect::Sqlite, Kind::Json) => format!("json({value})"),
            _ => value,
        };
        format!("'{}', {value}", column.name)
    };
    let fields: Vec<String> = content.map(field).collect();
    let function = match dialect {
        Dialect::Postgres => "jsonb_build_object",
        Dialect::Sqlite => "json_object",
    };
    format!("{function}({})", fields.join(", "))
}

fn compare(table: &'static Table, before: &Seen, after: &Seen) -> Vec<Difference> {
    let difference = |id: &str, column, old: &Value, new: &Value| Difference {
        table: table.name,
        id: id.to_owned(),
        column,
        old: old.clone(),
        new: new.clone(),
    };
    let mut all = Vec::new();
    for (key, old) in before {
        let Some(new) = after.get(key) else {
            all.push(difference(&key.1, None, &true.into(), &false.into()));
            continue;
        };
        for column in (table.columns)() {
            let value =
                |row: &Map<String, Value>| row.get(column.name).cloned().unwrap_or_default();
            let (old, new) = (value(old), value(new));
            if old != new {
                all.push(difference(&key.1, Some(column.name), &old, &new));
            }
        }
    }
    for (_, id) in after.keys().filter(|key| !before.contains_key(key)) {
        all.push(difference(id, None, &false.into(), &true.into()));
    }
    all
}
