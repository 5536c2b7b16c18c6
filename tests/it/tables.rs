//! The tables: what the entities write comes back, and what the schema promises holds.

use chrono::Utc;
use entity::{
    client_account, comment, conversation, erased_account, mention, message, message_reaction,
    messaging_postback, messaging_seen, story_insight, timestamp, webhook_event,
    webhook_subscription,
};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, EntityTrait, IntoActiveModel, ModelTrait, Schema,
    Statement,
};
use uuid::Uuid;

use crate::support::{
    on_both,
    postgres::TestDatabase,
    rows::{self, fill, insert},
    schema_dump::{columns, dump},
};

on_both!(
    entities_match_the_schema,
    a_row_of_every_table_comes_back_as_written,
    an_event_has_one_first_row_and_any_number_of_duplicates,
    a_statement_can_name_the_index_of_first_rows,
    a_status_outside_the_list_is_refused,
    what_a_writer_leaves_out_has_its_default,
    a_removed_account_takes_its_rows_and_leaves_the_log,
    a_removed_first_row_leaves_its_duplicates,
    the_view_has_a_row_a_known_metric,
);

async fn entities_match_the_schema(database: TestDatabase) {
    let db = database.migrated().await;
    let of_migrations = columns(&db).await;
    migration::down(&db, None).await.unwrap();

    create_table(&db, client_account::Entity).await;
    create_table(&db, webhook_event::Entity).await;
    create_table(&db, erased_account::Entity).await;
    create_table(&db, webhook_subscription::Entity).await;
    create_table(&db, comment::Entity).await;
    create_table(&db, mention::Entity).await;
    create_table(&db, conversation::Entity).await;
    create_table(&db, message::Entity).await;
    create_table(&db, message_reaction::Entity).await;
    create_table(&db, messaging_postback::Entity).await;
    create_table(&db, messaging_seen::Entity).await;
    create_table(&db, story_insight::Entity).await;
    similar(&columns(&db).await, &of_migrations);
}

async fn a_row_of_every_table_comes_back_as_written(database: TestDatabase) {
    let db = database.migrated().await;
    fill(&db).await;
    assert_eq!(
        client_account::Entity::find().all(&db).await.unwrap(),
        [rows::client_account()]
    );
    assert_eq!(
        webhook_event::Entity::find().all(&db).await.unwrap(),
        [rows::webhook_event(3)]
    );
    assert_eq!(
        erased_account::Entity::find().all(&db).await.unwrap(),
        [rows::erased_account()]
    );
    assert_eq!(
        webhook_subscription::Entity::find().all(&db).await.unwrap(),
        [rows::webhook_subscription()]
    );
    assert_eq!(
        comment::Entity::find().all(&db).await.unwrap(),
        [rows::comment()]
    );
    assert_eq!(
        mention::Entity::find().all(&db).await.unwrap(),
        [rows::mention()]
    );
    assert_eq!(
        conversation::Entity::find().all(&db).await.unwrap(),
        [rows::conversation()]
    );
    assert_eq!(
        message::Entity::find().all(&db).await.unwrap(),
        [rows::message()]
    );
    assert_eq!(
        message_reaction::Entity::find().all(&db).await.unwrap(),
        [rows::message_reaction()]
    );
    assert_eq!(
        messaging_postback::Entity::find().all(&db).await.unwrap(),
        [rows::messaging_postback()]
    );
    assert_eq!(
        messaging_seen::Entity::find().all(&db).await.unwrap(),
        [rows::messaging_seen()]
    );
    assert_eq!(
        story_insight::Entity::find().all(&db).await.unwrap(),
        [rows::story_insight()]
    );
}

async fn an_event_has_one_first_row_and_any_number_of_duplicates(database: TestDatabase) {
    let db = database.migrated().await;
    insert(&db, rows::client_account()).await.unwrap();
    insert(&db, rows::webhook_event(1)).await.unwrap();

    insert(&db, rows::webhook_event(2)).await.unwrap_err();
    insert(&db, duplicate(2, 1)).await.unwrap();
    insert(&db, duplicate(3, 1)).await.unwrap();

    let told_to_another = webhook_event::Model {
        ig_account_id: "17841400000000002".to_owned(),
        ..rows::webhook_event(4)
    };
    insert(&db, told_to_another).await.unwrap();
    let of_another_type = webhook_event::Model {
        event_type: "live_comment".to_owned(),
        ..rows::webhook_event(5)
    };
    insert(&db, of_another_type).await.unwrap();
}

async fn a_statement_can_name_the_index_of_first_rows(database: TestDatabase) {
    let db = database.migrated().await;
    insert(&db, rows::client_account()).await.unwrap();
    for (receipt, inserted) in [(1, 1), (2, 0)] {
        let mut first = OnConflict::columns([
            webhook_event::Column::IgAccountId,
            webhook_event::Column::EventType,
            webhook_event::Column::EventId,
        ]);
        first
            .target_and_where(Expr::col(webhook_event::Column::IsDuplicate).not())
            .do_nothing();
        let told = webhook_event::Entity::insert(rows::webhook_event(receipt).into_active_model())
            .on_conflict(first)
            .exec_without_returning(&db)
            .await
            .unwrap();
        assert_eq!(told, inserted, "receipt {receipt}");
    }
}

async fn a_status_outside_the_list_is_refused(database: TestDatabase) {
    let db = database.migrated().await;
    insert(&db, rows::client_account()).await.unwrap();
    insert(
        &db,
        webhook_event::Model {
            status: "lost".to_owned(),
            ..rows::webhook_event(1)
        },
    )
    .await
    .unwrap_err();
    insert(
        &db,
        webhook_event::Model {
            origin: Some("nowhere".to_owned()),
            ..rows::webhook_event(1)
        },
    )
    .await
    .unwrap_err();
    insert(
        &db,
        message_reaction::Model {
            action: "shrug".to_owned(),
            ..rows::message_reaction()
        },
    )
    .await
    .unwrap_err();
    insert(
        &db,
        webhook_event::Model {
            origin: None,
            ..rows::webhook_event(1)
        },
    )
    .await
    .unwrap();
}

async fn what_a_writer_leaves_out_has_its_default(database: TestDatabase) {
    let db = database.migrated().await;
    let before = Utc::now();
    db.execute_raw(Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO client_accounts (id, instagram_business_account_id) VALUES ($1, 'a')",
        [rows::ACCOUNT.into()],
    ))
    .await
    .unwrap();
    db.execute_raw(Statement::from_sql_and_values(
        db.get_database_backend(),
        "INSERT INTO instagram_webhook_subscriptions (id, account_id) VALUES ($1, $2)",
        [Uuid::from_u128(5).into(), rows::ACCOUNT.into()],
    ))
    .await
    .unwrap();

    let account = client_account::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert!(account.active);
    // SQLite's clock gives milliseconds.
    assert!(
        (account.created_at - before).num_milliseconds().abs() < 60_000,
        "{account:?}"
    );
    assert!(
        (account.updated_at - before).num_milliseconds().abs() < 60_000,
        "{account:?}"
    );
    let subscription = webhook_subscription::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(subscription.fields, serde_json::json!([]));
    assert_eq!(subscription.status, "active");
    assert_eq!(subscription.events_received_count, 0);
}

async fn a_removed_account_takes_its_rows_and_leaves_the_log(database: TestDatabase) {
    let db = database.migrated().await;
    fill(&db).await;
    rows::client_account().delete(&db).await.unwrap();

    assert!(message::Entity::find().all(&db).await.unwrap().is_empty());
    assert!(
        conversation::Entity::find()
            .all(&db)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(comment::Entity::find().all(&db).await.unwrap().is_empty());
    assert!(
        story_insight::Entity::find()
            .all(&db)
            .await
            .unwrap()
            .is_empty()
    );
    let event = webhook_event::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(event.instagram_account_id, None);
    assert_eq!(event.ig_account_id, rows::IG_ACCOUNT);
}

async fn a_removed_first_row_leaves_its_duplicates(database: TestDatabase) {
    let db = database.migrated().await;
    insert(&db, rows::client_account()).await.unwrap();
    insert(&db, rows::webhook_event(1)).await.unwrap();
    insert(&db, duplicate(2, 1)).await.unwrap();
    rows::webhook_event(1).delete(&db).await.unwrap();

    let left = webhook_event::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((left.id, left.duplicate_of), (Uuid::from_u128(2), None));
}

async fn the_view_has_a_row_a_known_metric(database: TestDatabase) {
    let db = database.migrated().await;
    fill(&db).await;
    let query =
        "SELECT metric, value FROM instagram_story_insights WHERE media_id = '180' ORDER BY metric";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), query))
        .await
        .unwrap();
    let metrics: Vec<(String, i64)> = rows
        .iter()
        .map(|row| {
            row.try_get_many("", &["metric".to_owned(), "value".to_owned()])
                .unwrap()
        })
        .collect();
    assert_eq!(
        metrics,
        [
            ("impressions".to_owned(), 5_000_000_000),
            ("reach".to_owned(), 0),
            ("taps_back".to_owned(), 7)
        ]
    );
}

#[tokio::test]
async fn sqlite_keeps_time_as_text_of_one_width_that_sorts() {
    let database = TestDatabase::sqlite().await;
    let db = database.migrated().await;
    db.execute_unprepared(
        "INSERT INTO client_accounts (id, instagram_business_account_id) VALUES (x'01', 'a')",
    )
    .await
    .unwrap();
    let default = one_text(
        &db,
        "SELECT typeof(created_at) || ' ' || created_at FROM client_accounts",
    )
    .await;
    assert_eq!(
        default.len(),
        "text 2026-11-24T17:25:19.123456Z".len(),
        "{default}"
    );
    assert!(
        default.starts_with("text 2") && default.ends_with("000Z"),
        "{default}"
    );

    let text = timestamp::sqlite_text(rows::time());
    assert_eq!(text, "2026-11-24T17:25:19.123456Z");
    db.execute_unprepared(&format!(
        "INSERT INTO erased_accounts (ig_account_id, erased_at) VALUES ('a', '{text}')"
    ))
    .await
    .unwrap();
    let tombstone = erased_account::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(tombstone.erased_at, rows::time());
}

#[tokio::test]
async fn postgres_compares_ids_by_their_bytes() {
    let database = TestDatabase::postgres().await;
    let db = database.migrated().await;
    let dump = dump(&db).await;
    for column in [
        "instagram_webhook_events.event_id",
        "messages.id",
        "instagram_messaging_seen.last_message_id",
    ] {
        let line = dump
            .iter()
            .find(|line| line.contains(&format!(" {column} ")))
            .unwrap();
        assert!(line.contains("collate C "), "{line}");
    }
    let has = |part: &str| {
        assert!(
            dump.iter().any(|line| line.contains(part)),
            "{part} in {dump:#?}"
        );
    };
    has("USING brin (created_at)");
    has("USING hash (postback_payload)");
    has("(ig_account_id, event_type, event_id) WHERE (NOT is_duplicate)");
}

fn duplicate(receipt: u128, of: u128) -> webhook_event::Model {
    webhook_event::Model {
        is_duplicate: true,
        duplicate_of: Some(Uuid::from_u128(of)),
        status: webhook_event::status::DUPLICATE.to_owned(),
        ..rows::webhook_event(receipt)
    }
}

async fn create_table<E: EntityTrait>(db: &DatabaseConnection, entity: E) {
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(entity);
    db.execute(&table).await.unwrap();
}

async fn one_text(db: &DatabaseConnection, query: &str) -> String {
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), query))
        .await
        .unwrap()
        .unwrap();
    row.try_get_by_index(0).unwrap()
}

/// Equal, and if not, only the lines that differ are shown.
fn similar(entities: &[String], migrations: &[String]) {
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .cloned()
            .collect()
    };
    let (of_entities, of_migrations) = (only(entities, migrations), only(migrations, entities));
    assert!(
        of_entities.is_empty() && of_migrations.is_empty(),
        "the entities say {of_entities:#?}, the migrations {of_migrations:#?}"
    );
}
