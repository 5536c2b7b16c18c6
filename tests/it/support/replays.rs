//! `igstream replay` as it is run in tests, and what it must not change.

use std::process::Output;

use entity::{comment, webhook_event};
use igstream::stream::names::{EVENTS, REPROCESS, STORED};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, FromQueryResult, JsonValue,
    QueryFilter, Statement,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    eventually::eventually_true,
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
    simulator::Simulator,
};

/// The tables that events leave rows in.
pub const OF_EVENTS: [&str; 10] = [
    "instagram_webhook_events",
    "instagram_webhook_subscriptions",
    "conversations",
    "messages",
    "instagram_comments",
    "instagram_mentions",
    "instagram_message_reactions",
    "instagram_messaging_postbacks",
    "instagram_messaging_seen",
    "instagram_story_insights_aggregated",
];

/// Every row but when it was changed, by table.
pub async fn snapshot(database: &DatabaseConnection) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["client_accounts"].iter().chain(&OF_EVENTS) {
        let query = format!("SELECT * FROM {table}");
        let statement = Statement::from_string(database.get_database_backend(), query);
        let rows = JsonValue::find_by_statement(statement).all(database).await;
        let mut rows: Vec<String> = rows
            .unwrap()
            .into_iter()
            .map(|mut row| {
                row.as_object_mut().unwrap().remove("updated_at");
                format!("{table} {row}")
            })
            .collect();
        rows.sort();
        all.extend(rows);
    }
    all
}

pub fn assert_same(found: &[String], expected: &[String]) {
    let missing: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
    let more: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
    let some = |rows: &[&String]| format!("{} such as {:#?}", rows.len(), rows.first());
    assert!(
        missing.is_empty() && more.is_empty(),
        "missing: {}\nmore: {}",
        some(&missing),
        some(&more)
    );
}

/// What is counted of events and of what is told of them.
pub async fn counters(service: &Service) -> Vec<u64> {
    let metrics = service.metrics().await;
    let streams = service.streams().await;
    let mut all: Vec<u64> = ["received", "processed"]
        .iter()
        .map(|what| metrics.count(&format!("instagram_webhook_events_{what}_total"), &[]))
        .collect();
    for name in [
        "duplicates",
        "dead_letters",
        "retries",
        "processing_failures",
    ] {
        all.push(metrics.count(&format!("instagram_webhook_{name}_total"), &[]));
    }
    all.push(streams.count(STORED).await);
    all.push(streams.count(EVENTS).await);
    all
}

/// Runs it, and waits until the handlers have had what it sent.
pub async fn replay(service: &Service, arguments: &[&str]) -> Output {
    let output = service.run(&[&["replay"], arguments].concat()).await;
    let streams = service.streams().await;
    eventually_true("what was sent is processed", async || {
        streams.count(REPROCESS).await == 0
    })
    .await;
    streams.drained().await;
    output
}

pub async fn replayed(service: &Service, arguments: &[&str]) -> String {
    let output = replay(service, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

pub async fn as_json(service: &Service, arguments: &[&str]) -> Value {
    let told = replayed(service, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&told).unwrap()
}

pub async fn change(database: &DatabaseConnection, statement: &str) -> u64 {
    let changed = database.execute_unprepared(statement).await;
    changed.unwrap().rows_affected()
}

/// What a fault of the parser may have left, and how many rows it is each.
pub async fn falsify(database: &DatabaseConnection) -> Vec<(&'static str, &'static str, u64)> {
    let mut false_columns = Vec::new();
    for (table, column, value) in [
        ("messages", "text", "'false'"),
        ("messages", "raw_data", "NULL"),
        ("instagram_comments", "text", "NULL"),
        ("instagram_comments", "from_id", "'false'"),
        ("instagram_mentions", "media_id", "'false'"),
        ("instagram_message_reactions", "emoji", "'false'"),
        ("instagram_messaging_postbacks", "postback_payload", "NULL"),
        ("instagram_messaging_seen", "recipient_ig_id", "'false'"),
        ("instagram_story_insights_aggregated", "impressions", "-7"),
    ] {
        let of = if table == "messages" {
            " WHERE NOT is_deleted AND raw_data IS NOT NULL"
        } else if value == "NULL" {
            &format!(" WHERE {column} IS NOT NULL")
        } else {
            ""
        };
        let rows = change(
            database,
            &format!("UPDATE {table} SET {column} = {value}{of}"),
        )
        .await;
        assert!(rows > 0, "{table}.{column}: the traffic has none");
        false_columns.push((table, column, rows));
    }
    false_columns
}

pub async fn with_traffic(database: &TestDatabase, count: u64) -> Service {
    let service = Setup::managed(database).start().await;
    Simulator::start(&service, count, 0).finish().await;
    service.streams().await.drained().await;
    service
}

pub async fn row(db: &DatabaseConnection, comment_id: &str) -> Option<webhook_event::Model> {
    webhook_event::Entity::find()
        .filter(webhook_event::Column::ObjectId.eq(comment_id))
        .one(db)
        .await
        .unwrap()
}

/// As when rows and messages were lost, or an older parser did not see the item.
pub async fn lose(service: &Service, comment_id: &str) -> Uuid {
    let db = service.database().await;
    let lost = row(&db, comment_id).await.unwrap();
    let sequence = lost.stream_sequence.unwrap().unsigned_abs();
    let streams = service.streams().await;
    let events = streams.js.get_stream(EVENTS).await.unwrap();
    assert!(events.delete_message(sequence).await.unwrap());
    webhook_event::Entity::delete_by_id(lost.id)
        .exec(&db)
        .await
        .unwrap();
    comment::Entity::delete_many()
        .filter(comment::Column::Id.eq(comment_id))
        .exec(&db)
        .await
        .unwrap();
    lost.id
}
