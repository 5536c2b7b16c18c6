//! The schema: made, undone and made again the same.

use entity::client_account;
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::support::{on_both, postgres::TestDatabase, rows, schema_dump::dump};

/// The number of migrations.
const ALL: usize = 15;

on_both!(
    every_migration_is_undone_by_its_rollback,
    status_tells_what_is_applied,
    status_changes_nothing,
    two_that_start_at_once_both_succeed,
    a_change_that_fails_changes_nothing,
    a_database_of_a_newer_igstream_is_left_alone,
    fresh_empties_what_is_ours_only,
);

async fn every_migration_is_undone_by_its_rollback(database: TestDatabase) {
    let db = database.connect().await;
    let mut before_each = Vec::new();
    for _ in 0..ALL {
        before_each.push(dump(&db).await);
        assert_eq!(migration::up(&db, Some(1)).await.unwrap().len(), 1);
    }
    let whole = dump(&db).await;
    assert!(migration::up(&db, None).await.unwrap().is_empty());

    for before in before_each.iter().rev() {
        let undone = migration::down(&db, Some(1)).await.unwrap();
        assert_eq!(undone.len(), 1);
        assert_eq!(&dump(&db).await, before, "after the rollback of {undone:?}");
    }
    assert!(before_each[0].is_empty());
    assert!(migration::down(&db, None).await.unwrap().is_empty());

    assert_eq!(migration::up(&db, None).await.unwrap().len(), ALL);
    assert_eq!(dump(&db).await, whole);
    assert_eq!(migration::down(&db, None).await.unwrap().len(), ALL);
    assert!(dump(&db).await.is_empty());
}

async fn status_tells_what_is_applied(database: TestDatabase) {
    let db = database.connect().await;
    let applied = migration::up(&db, Some(2)).await.unwrap();
    let status = migration::status(&db).await.unwrap();
    assert_eq!(status.len(), ALL);
    let told: Vec<_> = status
        .iter()
        .filter(|state| state.applied)
        .map(|state| state.name.clone())
        .collect();
    assert_eq!(told, applied);
    assert_eq!(
        told,
        [
            "m20261124_000001_create_client_accounts",
            "m20261124_000002_create_instagram_webhook_events"
        ]
    );
}

async fn status_changes_nothing(database: TestDatabase) {
    let db = database.connect().await;
    let status = migration::status(&db).await.unwrap();
    assert!(status.iter().all(|state| !state.applied));
    let list = db
        .execute_unprepared("SELECT 1 FROM seaql_migrations")
        .await;
    assert!(list.is_err(), "the list of migrations was made by a look");
}

async fn two_that_start_at_once_both_succeed(database: TestDatabase) {
    let (one, other) = (database.connect().await, database.connect().await);
    let (one, other) = tokio::join!(
        tokio::spawn(async move { migration::up(&one, None).await }),
        tokio::spawn(async move { migration::up(&other, None).await }),
    );
    let mut applied = [one.unwrap().unwrap().len(), other.unwrap().unwrap().len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, ALL]);
}

async fn a_change_that_fails_changes_nothing(database: TestDatabase) {
    let db = database.connect().await;
    db.execute_unprepared("CREATE TABLE messages (somebody_elses integer)")
        .await
        .unwrap();
    let before = dump(&db).await;

    let error = migration::up(&db, None).await.unwrap_err();
    assert!(
        matches!(error, migration::Error::Change { .. }),
        "{error:?}"
    );
    assert_eq!(dump(&db).await, before);
    assert!(
        migration::status(&db)
            .await
            .unwrap()
            .iter()
            .all(|state| !state.applied)
    );

    db.execute_unprepared("DROP TABLE messages").await.unwrap();
    assert_eq!(migration::up(&db, None).await.unwrap().len(), ALL);
}

async fn a_database_of_a_newer_igstream_is_left_alone(database: TestDatabase) {
    let db = database.migrated().await;
    db.execute_unprepared(
        "INSERT INTO seaql_migrations VALUES ('m20991231_000001_of_tomorrow', 0)",
    )
    .await
    .unwrap();
    let before = dump(&db).await;
    for error in [
        migration::up(&db, None).await.unwrap_err(),
        migration::down(&db, None).await.unwrap_err(),
        migration::fresh(&db).await.unwrap_err(),
        migration::status(&db).await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("m20991231_000001_of_tomorrow"),
            "{error}"
        );
    }
    assert_eq!(dump(&db).await, before);
}

async fn fresh_empties_what_is_ours_only(database: TestDatabase) {
    let db = database.migrated().await;
    let whole = dump(&db).await;
    rows::fill(&db).await;
    db.execute_unprepared("CREATE TABLE others AS SELECT 1 AS n")
        .await
        .unwrap();

    assert_eq!(migration::fresh(&db).await.unwrap().len(), ALL);
    assert!(
        client_account::Entity::find()
            .all(&db)
            .await
            .unwrap()
            .is_empty()
    );
    db.execute_unprepared("DROP TABLE others").await.unwrap();
    assert_eq!(dump(&db).await, whole);
}
