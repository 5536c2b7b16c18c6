//! What retention deletes is in the archive first, and nothing is deleted that cannot be written there.

use std::{collections::BTreeMap, fs, path::PathBuf};

use entity::webhook_event::{Model, status};
use sea_orm::DatabaseConnection;
use serde_json::json;
use uuid::Uuid;

use crate::support::{
    eventually::{eventually, eventually_true},
    on_both,
    postgres::TestDatabase,
    retained::{archived, as_row, duplicate, insert_all, receipts, row, rows},
    service::{Service, said},
    setup::Setup,
    small_disk::SmallDisk,
};

on_both! {
    what_is_deleted_is_in_the_archive_as_it_was,
    a_crash_before_the_deletion_leaves_a_row_twice_and_never_nowhere,
    nothing_is_deleted_that_cannot_be_archived,
    a_full_disk_stops_the_deleting,
}

/// More than a batch, of all kinds, some of them large.
fn many() -> Vec<Model> {
    let mut many: Vec<Model> = (1..=700).map(|n| row(n, status::STORED, 92)).collect();
    many.extend((701..=900).map(|n| row(n, status::DEAD, 31)));
    let firsts = many[..300].to_vec();
    many.extend(
        (1001..)
            .zip(&firsts)
            .map(|(n, first)| duplicate(n, first, 8)),
    );
    for large in many.iter_mut().skip(100).take(5) {
        large.payload = Some(json!({ "text": "ü\n".repeat(1_500_000) }));
    }
    many[99].payload = None;
    many
}

async fn filled(
    database: &TestDatabase,
    given: &[Model],
) -> (DatabaseConnection, BTreeMap<Uuid, Model>) {
    let db = database.migrated().await;
    insert_all(&db, given).await;
    let rows = rows(&db).await.into_iter().map(|row| (row.id, row));
    (db, rows.collect())
}

async fn until_all_are_gone(db: &DatabaseConnection) {
    eventually("all are deleted", async || match receipts(db).await.len() {
        0 => Ok(()),
        rows => Err(format!("{rows} rows are left")),
    })
    .await;
}

fn archive_of(service: &Service) -> PathBuf {
    service.file("archive")
}

async fn what_is_deleted_is_in_the_archive_as_it_was(database: TestDatabase) {
    let (db, given) = filled(&database, &many()).await;
    let service = Setup::managed(&database)
        .set("retention.archive_dir", "archive")
        .start()
        .await;
    until_all_are_gone(&db).await;
    let archived = archived(&archive_of(&service));
    assert_eq!(archived.len(), given.len());
    for (receipt, lines) in archived {
        assert_eq!(lines.len(), 1, "{receipt}");
        assert_eq!(as_row(&lines[0]), given[&receipt]);
    }
    let files = fs::read_dir(archive_of(&service)).unwrap();
    let files = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = files.filter(|name| name.ends_with(".ndjson.zst")).collect();
    // Two, if midnight was in between.
    assert!((1..=2).contains(&files.len()), "{files:?}");
}

async fn a_crash_before_the_deletion_leaves_a_row_twice_and_never_nowhere(database: TestDatabase) {
    let (db, given) = filled(&database, &many()).await;
    let archive = tempfile::tempdir().unwrap();
    let setup = || Setup::managed(&database).set("retention.archive_dir", archive.path().display());
    let mut crashes = setup()
        .env("IGSTREAM_FAULT", "abort:retention")
        .not_started();
    crashes.spawn();
    eventually_true("it has crashed", async || crashes.has_ended()).await;
    let once = archived(archive.path());
    assert!(!once.is_empty());
    assert_eq!(receipts(&db).await.len(), given.len());
    drop(crashes);
    // And in the middle of a line, too.
    let mut files = fs::read_dir(archive.path()).unwrap();
    let file = files
        .find_map(|entry| {
            let path = entry.unwrap().path();
            path.extension()
                .is_some_and(|it| it == "zst")
                .then_some(path)
        })
        .unwrap();
    let length = fs::metadata(&file).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(length - 9)
        .unwrap();

    let service = setup().start().await;
    until_all_are_gone(&db).await;
    let archived = archived(archive.path());
    assert_eq!(archived.len(), given.len());
    for (receipt, lines) in archived {
        assert!(lines.len() <= 2, "{receipt}");
        assert!(lines.iter().all(|line| as_row(line) == given[&receipt]));
    }
    assert!(service.log().contains("cut off by a crash"));
}

async fn nothing_is_deleted_that_cannot_be_archived(database: TestDatabase) {
    let (db, given) = filled(&database, &[row(1, status::STORED, 92)]).await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let mut service = Setup::managed(&database)
        .set("retention.archive_dir", file.join("archive").display())
        .start()
        .await;
    is_hindered(&service, "retention.archive_dir").await;
    let metrics = service.metrics().await;
    assert!(metrics.count("instagram_retention_archive_failures_total", &[]) > 0);
    assert_eq!(metrics.count("instagram_retention_deleted_total", &[]), 0);
    assert_eq!(receipts(&db).await.len(), given.len());
    let checked = service.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
    assert!(
        said(&checked).contains("retention.archive_dir"),
        "{}",
        said(&checked)
    );

    service.stop().await;
    fs::remove_file(&file).unwrap();
    service.start_again().await;
    until_all_are_gone(&db).await;
    assert_eq!(archived(&file.join("archive")).len(), given.len());
    let checked = service.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(0), "{}", said(&checked));
}

async fn is_hindered(service: &Service, why: &str) {
    eventually("readyz says so", async || {
        let (status, readiness) = service.readiness().await;
        let retention = &readiness["degraded"]["retention"];
        match retention["error"].as_str() {
            Some(error) if error.contains(why) && status == 200 => Ok(()),
            _ => Err(format!("{status}: {readiness}")),
        }
    })
    .await;
}

async fn a_full_disk_stops_the_deleting(database: TestDatabase) {
    let Some(disk) = SmallDisk::mount(4) else {
        return;
    };
    let (db, given) = filled(&database, &many()).await;
    disk.fill();
    let mut service = Setup::managed(&database)
        .set(
            "retention.archive_dir",
            disk.path().join("archive").display(),
        )
        .start()
        .await;
    is_hindered(&service, "retention.archive_dir").await;
    assert_eq!(receipts(&db).await.len(), given.len());
    service.stop().await;
    // Room for part of it: a frame is cut off.
    disk.fill_but(1);
    service.start_again().await;
    until_all_are_gone(&db).await;
    let archived = archived(&disk.path().join("archive"));
    assert_eq!(archived.len(), given.len());
}
