//! The rows that `docs/event-types.md` shows are those that its examples leave.

use std::{collections::BTreeMap, fs};

use sea_orm::{DatabaseConnection, FromQueryResult, JsonValue, Statement};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{payloads::ACCOUNT, postgres::TestDatabase, setup::Setup};

/// What the document leaves out of a row.
const LEFT_OUT: [&str; 4] = ["account_id", "raw_data", "created_at", "updated_at"];

/// Stands for the ids of a run.
const ANY_UUID: &str = "a UUID";

type Row = BTreeMap<String, Value>;

#[tokio::test]
async fn every_example_leaves_the_rows_that_are_shown() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/event-types.md");
    let document = fs::read_to_string(path).unwrap();
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let (streams, db) = (service.streams().await, service.database().await);
    let mut compared = 0;
    for example in document.split("Instagram sends, in `entry[].").skip(1) {
        service.deliver(&delivery(example)).await;
        streams.drained().await;
        for (table, shown) in example.lines().filter_map(shown_row) {
            let rows = rows_of(&db, table, &shown).await;
            assert!(rows.contains(&shown), "{table}: {shown:#?} in {rows:#?}");
            compared += 1;
        }
    }
    assert!(compared >= 9, "{compared}");
}

fn delivery(example: &str) -> String {
    let (list, rest) = example.split_once("[]`").unwrap();
    let (_, rest) = rest.split_once("```json\n").unwrap();
    let (item, _) = rest.split_once("\n```").unwrap();
    let item: Value = serde_json::from_str(item).unwrap();
    let time = item.get("timestamp").cloned();
    let entry = json!({
        "id": ACCOUNT, "time": time.unwrap_or_else(|| json!(1_764_000_000)), list: [item],
    });
    json!({"object": "instagram", "entry": [entry]}).to_string()
}

/// A line such as `` `table`: `column` = "value", `other` = 1``.
fn shown_row(line: &str) -> Option<(&str, Row)> {
    let (table, columns) = line.strip_prefix('`')?.split_once("`: `")?;
    let pairs = columns.split(", `").map(|pair| {
        let (name, value) = pair.split_once("` = ").unwrap();
        let value = serde_json::from_str(value).unwrap_or_else(|error| panic!("{pair}: {error}"));
        (name.to_owned(), value)
    });
    Some((table, comparable(pairs)))
}

/// With what is a UUID in `shown` as any UUID.
async fn rows_of(db: &DatabaseConnection, table: &str, shown: &Row) -> Vec<Row> {
    let sql = format!("SELECT * FROM {table}");
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = JsonValue::find_by_statement(statement)
        .all(db)
        .await
        .unwrap();
    rows.into_iter()
        .map(|row| {
            let columns = row.as_object().unwrap().clone();
            let with_any = |(name, value): (String, Value)| {
                let is_any = shown.get(&name).is_some_and(|shown| shown == ANY_UUID);
                let value = if is_any { json!(ANY_UUID) } else { value };
                (name, value)
            };
            comparable(columns.into_iter().map(with_any))
        })
        .collect()
}

/// Without what is left out.
fn comparable(columns: impl Iterator<Item = (String, Value)>) -> Row {
    columns
        .filter(|(name, value)| !value.is_null() && !LEFT_OUT.contains(&name.as_str()))
        .map(|(name, value)| (name, plain(value)))
        .collect()
}

fn plain(value: Value) -> Value {
    match value {
        Value::Bool(flag) => json!(i32::from(flag)),
        Value::String(text) if Uuid::parse_str(&text).is_ok() => json!(ANY_UUID),
        other => other,
    }
}
