//! Retention beside all else: under load, killed in its middle, and by several instances.

use entity::webhook_event::{Column, Entity, Model, status};
use igstream::stream::names::{DELIVERIES, EVENTS};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter};
use tempfile::tempdir;

use crate::support::{
    audit::{Audit, World},
    eventually::{eventually, eventually_true},
    nats::NatsServer,
    on_both,
    postgres::TestDatabase,
    retained::{age, ago, archived, as_row, duplicate, insert_all, receipts, row},
    setup::Setup,
    simulator::Simulator,
};

on_both! {
    the_books_balance_under_load_and_after_a_kill,
    two_instances_share_the_work,
}

#[tokio::test]
async fn instances_with_archives_of_their_own_archive_each_row_once() {
    let database = TestDatabase::postgres().await;
    together(&database, &[tempdir().unwrap(), tempdir().unwrap()]).await;
}

async fn two_instances_share_the_work(database: TestDatabase) {
    together(&database, &[tempdir().unwrap()]).await;
}

/// Two instances with these directories, or with the one.
async fn together(database: &TestDatabase, directories: &[tempfile::TempDir]) {
    let db = database.migrated().await;
    let mut given: Vec<Model> = (1..=2500).map(|n| row(n, status::STORED, 92)).collect();
    let duplicates: Vec<Model> = (3001..=3800)
        .zip(&given)
        .map(|(n, first)| duplicate(n, first, 8))
        .collect();
    given.extend(duplicates);
    insert_all(&db, &given).await;
    let nats = NatsServer::start().await;
    let setup = |nth: usize| {
        let directory = directories[nth % directories.len()].path();
        Setup::external(&nats, database)
            .set("retention.archive_dir", directory.display())
            .not_started()
    };
    let mut services = [setup(0), setup(1)];
    for service in &mut services {
        service.spawn();
    }
    for service in &mut services {
        service.until_ready().await;
    }
    eventually("all are deleted", async || {
        match receipts(&db).await.len() {
            0 => Ok(()),
            rows => Err(format!("{rows} rows are left")),
        }
    })
    .await;
    let mut lines = 0;
    for directory in directories {
        lines += archived(directory.path())
            .values()
            .map(Vec::len)
            .sum::<usize>();
    }
    assert_eq!(lines, given.len(), "each once");
    let mut counted = 0;
    for service in &services {
        counted += service
            .metrics()
            .await
            .count("instagram_retention_deleted_total", &[]);
        assert!(!service.log().contains("deadlock"), "{}", service.log());
    }
    assert_eq!(counted, given.len() as u64);
}

async fn old_rows(db: &DatabaseConnection) -> u64 {
    Entity::find()
        .filter(Column::ReceivedAt.lt(ago(50)))
        .filter(Column::Status.is_in([status::STORED, status::DUPLICATE, status::DEAD]))
        .count(db)
        .await
        .unwrap()
}

async fn the_books_balance_under_load_and_after_a_kill(database: TestDatabase) {
    let archive = tempdir().unwrap();
    let mut world = World::of(database, |setup| {
        setup
            .set("retention.archive_dir", archive.path().display())
            // The simulator sends the same again, and this is to be no repetition.
            .set("stream.duplicate_window_seconds", 1)
    })
    .await;
    Simulator::start(&world.service, 1500, 0).finish().await;
    world.streams.drained().await;
    world.service.stop().await;
    let old = age(&world.database, 100, true).await;
    for stream in [DELIVERIES, EVENTS] {
        let stream = world.streams.js.get_stream(stream).await.unwrap();
        stream.purge().await.unwrap();
    }
    let before = old_rows(&world.database).await;
    assert!(before > 1000, "{before} rows");

    world.service.start_again().await;
    let mut simulator = Simulator::start_steadily(&world.service.webhook(), &world.service, 20, 2);
    eventually_true("some are deleted", async || {
        old_rows(&world.database).await < before
    })
    .await;
    world.service.kill().await;
    let left = old_rows(&world.database).await;
    Audit::balanced(&world.service).await;
    world.service.spawn();
    Audit::balanced(&world.service).await;
    world.service.until_ready().await;
    while old_rows(&world.database).await > 0 {
        Audit::balanced(&world.service).await;
    }
    assert!(simulator.is_sending(), "it went on under load");
    simulator.finish_early().await;
    world.streams.drained().await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.total("in_flight"), 0);
    eprintln!("{left} of {before} rows were left by the kill");

    let archived = archived(archive.path());
    for row in &old {
        let is_done =
            [status::STORED, status::DUPLICATE, status::DEAD].contains(&row.status.as_str());
        let lines = archived.get(&row.id).map_or(&[][..], Vec::as_slice);
        assert_eq!(!lines.is_empty(), is_done, "{row:?}");
        assert!(lines.iter().all(|line| as_row(line) == *row), "{row:?}");
    }
    assert!(archived.len() >= usize::try_from(before).unwrap());
}
