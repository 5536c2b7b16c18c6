//! What has stayed long enough goes, and nothing else does.

use entity::erased_account;
use entity::webhook_event::{Column, Model, status};
use igstream::stream::names::{DELIVERIES, EVENTS};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait};
use uuid::Uuid;

use crate::support::{
    audit::{Audit, World},
    eventually::eventually,
    on_both,
    payloads::one_comment,
    postgres::TestDatabase,
    retained::{age, ago, archived, duplicate, insert_all, receipts, row, rows},
    rows::{IG_ACCOUNT, client_account, insert},
    service::{Service, said},
    setup::Setup,
};

on_both! {
    each_status_has_its_days,
    a_first_row_stays_as_long_as_its_duplicates,
    zero_keeps_for_ever,
    what_is_deleted_and_told_again_is_new,
    nothing_goes_that_is_in_the_stream_of_events,
    nothing_goes_whose_delivery_is_in_the_journal,
    rows_that_know_no_sequence_wait_for_the_stream,
    typed_rows_stay,
    what_is_being_erased_is_not_archived,
}

const DELETED: &str = "instagram_retention_deleted_total";

/// Starts a service on a database with these rows and one more that goes last, and waits until that is gone: then all
/// have been looked at. Returns the receipts that are left.
async fn after_a_look(
    database: &TestDatabase,
    given: &[Model],
    change: impl FnOnce(Setup) -> Setup,
) -> (Service, Vec<Uuid>) {
    let db = database.migrated().await;
    insert_all(&db, given).await;
    let last = row(9999, status::STORED, 91);
    insert_all(&db, std::slice::from_ref(&last)).await;
    let service = change(Setup::managed(database)).start().await;
    until_gone(&db, &[last.id]).await;
    let left = receipts(&db).await;
    (service, left)
}

async fn until_gone(db: &DatabaseConnection, gone: &[Uuid]) {
    eventually("they are deleted", async || {
        let left = receipts(db).await;
        match gone.iter().filter(|id| left.contains(id)).count() {
            0 => Ok(()),
            waiting => Err(format!("{waiting} are left")),
        }
    })
    .await;
}

fn ids<'a>(rows: impl IntoIterator<Item = &'a Model>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = rows.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids
}

async fn each_status_has_its_days(database: TestDatabase) {
    let unknown = Model {
        event_type: "unknown".to_owned(),
        ..row(9, status::STORED, 92)
    };
    let first = row(10, status::STORED, 10);
    let goes = [
        row(1, status::STORED, 92),
        row(2, status::DEAD, 31),
        row(3, status::DISCARDED, 31),
        unknown,
        duplicate(4, &first, 8),
        Model {
            duplicate_of: None,
            ..duplicate(5, &first, 8)
        },
    ];
    // Its account came, or it died once more, a day ago.
    let late = Model {
        processed_at: Some(ago(1)),
        ..row(11, status::STORED, 92)
    };
    let again = Model {
        updated_at: ago(1),
        ..row(12, status::DEAD, 31)
    };
    let stays = [
        first,
        late,
        again,
        row(13, status::STORED, 89),
        row(14, status::DEAD, 29),
        row(15, status::DISCARDED, 29),
        row(16, status::RETRYING, 9000),
        row(17, status::UNASSIGNED, 9000),
    ];
    let young = duplicate(18, &stays[0], 6);
    let stays: Vec<Model> = stays.into_iter().chain([young]).collect();
    let given: Vec<Model> = stays.iter().chain(&goes).cloned().collect();
    let given = sorted(given);
    let (service, left) = after_a_look(&database, &given, |setup| setup).await;
    assert_eq!(left, ids(&stays));
    let metrics = service.metrics().await;
    for (kind, rows) in [("processed", 3), ("duplicate", 2), ("dead_letter", 2)] {
        assert_eq!(metrics.count(DELETED, &[("kind", kind)]), rows, "{kind}");
    }
    let log = service.log();
    assert!(
        log.contains("rows that have stayed long enough are deleted"),
        "{log}"
    );
}

/// First rows before their duplicates, as they came.
fn sorted(mut rows: Vec<Model>) -> Vec<Model> {
    rows.sort_by_key(|row| row.is_duplicate);
    rows
}

async fn a_first_row_stays_as_long_as_its_duplicates(database: TestDatabase) {
    let firsts: Vec<Model> = (1..=4).map(|n| row(n, status::STORED, 92)).collect();
    let dead = row(5, status::DEAD, 31);
    let stays = [
        firsts[0].clone(),
        duplicate(11, &firsts[0], 3),
        dead.clone(),
        duplicate(12, &dead, 3),
    ];
    let goes = [
        firsts[1].clone(),
        duplicate(21, &firsts[1], 8),
        firsts[2].clone(),
        firsts[3].clone(),
        duplicate(22, &firsts[3], 8),
        duplicate(23, &firsts[3], 9),
    ];
    let given = sorted(stays.iter().chain(&goes).cloned().collect());
    let (_service, left) = after_a_look(&database, &given, |setup| setup).await;
    assert_eq!(left, ids(&stays));
    let db = database.connect().await;
    for kept in rows(&db).await.iter().filter(|row| row.is_duplicate) {
        assert!(kept.duplicate_of.is_some(), "{kept:?}");
    }
}

async fn zero_keeps_for_ever(database: TestDatabase) {
    let first = row(1, status::STORED, 9000);
    let given = [
        first.clone(),
        row(2, status::DEAD, 9000),
        row(3, status::DISCARDED, 9000),
        duplicate(4, &first, 9000),
    ];
    let (service, left) = after_a_look(&database, &given, |setup| {
        setup
            .set("retention.duplicates_days", 0)
            .set("retention.dead_letters_days", 0)
    })
    .await;
    assert_eq!(
        left,
        ids(&given),
        "the first row is one of a duplicate that stays"
    );
    drop(service);
    let db = database.connect().await;
    let dead = row(5, status::DEAD, 31);
    insert_all(&db, std::slice::from_ref(&dead)).await;
    let _service = Setup::managed(&database)
        .set("retention.processed_days", 0)
        .start()
        .await;
    until_gone(&db, &[dead.id, given[1].id, given[2].id, given[3].id]).await;
    assert_eq!(receipts(&db).await, [first.id]);
}

/// A service that has stored some comments and stands still, its rows as old as they are to be.
async fn grown_old(database: TestDatabase, and_receipts: bool) -> World {
    let mut world = World::with_comments(database, &["1", "2"]).await;
    world.service.stop().await;
    age(&world.database, 100, and_receipts).await;
    world
}

impl World {
    async fn purge(&self, stream: &str) {
        let stream = self.streams.js.get_stream(stream).await.unwrap();
        stream.purge().await.unwrap();
    }

    /// Has the service look once, and waits until it has.
    async fn look(&mut self) {
        // It goes with the last of them: no stream has anything of its type.
        let last = Model {
            stream_sequence: Some(1),
            event_type: "story_insights".to_owned(),
            ..row(9999, status::STORED, 92)
        };
        insert_all(&self.database, std::slice::from_ref(&last)).await;
        self.service.start_again().await;
        until_gone(&self.database, &[last.id]).await;
        self.service.stop().await;
    }
}

async fn what_is_deleted_and_told_again_is_new(database: TestDatabase) {
    let mut world = grown_old(database, false).await;
    let first = world.row("comment_1_4711").await;
    for stream in [DELIVERIES, EVENTS] {
        world.purge(stream).await;
    }
    world.look().await;
    assert!(receipts(&world.database).await.is_empty());
    world.service.start_again().await;
    for _ in 0..2 {
        world.service.deliver(&one_comment("1")).await;
        world.streams.drained().await;
    }
    let told = sorted(rows(&world.database).await);
    assert_eq!(told.len(), 2);
    assert!(told[0].id != first.id && told[0].status == status::STORED);
    assert_eq!(told[1].duplicate_of, Some(told[0].id));
    let comments = entity::comment::Entity::find().count(&world.database);
    assert_eq!(comments.await.unwrap(), 2, "typed rows stay");
    Audit::balanced(&world.service).await;
}

async fn nothing_goes_that_is_in_the_stream_of_events(database: TestDatabase) {
    let mut world = grown_old(database, true).await;
    let all = receipts(&world.database).await;
    world.purge(DELIVERIES).await;
    world.look().await;
    assert_eq!(receipts(&world.database).await, all);

    // The first comment alone, as the purger does it; of mentions nothing.
    let second = world.row("comment_2_4711").await;
    let events = world.streams.js.get_stream(EVENTS).await.unwrap();
    let purge = events
        .purge()
        .filter("instagram.events.comment.*")
        .sequence(u64::try_from(second.stream_sequence.unwrap()).unwrap());
    assert_eq!(purge.await.unwrap().purged, 1);
    let first = world.row("comment_1_4711").await;
    world.look().await;
    let left: Vec<Uuid> = all.into_iter().filter(|id| *id != first.id).collect();
    assert_eq!(receipts(&world.database).await, left);

    world.purge(EVENTS).await;
    world.look().await;
    assert!(receipts(&world.database).await.is_empty());
}

async fn nothing_goes_whose_delivery_is_in_the_journal(database: TestDatabase) {
    let mut world = grown_old(database, false).await;
    let all = receipts(&world.database).await;
    world.purge(EVENTS).await;
    world.look().await;
    assert_eq!(receipts(&world.database).await, all);
    // Nothing that this program knows tells which of its messages is whose: the journal's first message counts.
    let journal = world.streams.js.get_stream(DELIVERIES).await.unwrap();
    assert!(journal.cached_info().state.messages > 1);
    journal.purge().keep(1).await.unwrap();
    world.look().await;
    assert_eq!(receipts(&world.database).await, all);
    world.purge(DELIVERIES).await;
    world.look().await;
    assert!(receipts(&world.database).await.is_empty());
}

async fn rows_that_know_no_sequence_wait_for_the_stream(database: TestDatabase) {
    let mut world = grown_old(database, false).await;
    let comment = Column::EventType.eq("comment");
    world
        .change(Column::StreamSequence, Option::<i64>::None, comment)
        .await;
    let mentions = ids(&rows(&world.database)
        .await
        .into_iter()
        .filter(|row| row.event_type == "mention")
        .collect::<Vec<_>>());
    let all = receipts(&world.database).await;
    world.purge(DELIVERIES).await;
    world.look().await;
    assert_eq!(receipts(&world.database).await, all);
    let events = world.streams.js.get_stream(EVENTS).await.unwrap();
    events
        .purge()
        .filter("instagram.events.comment.*")
        .await
        .unwrap();
    world.look().await;
    assert_eq!(receipts(&world.database).await, mentions);
}

async fn typed_rows_stay(database: TestDatabase) {
    let mut world = grown_old(database, false).await;
    for stream in [DELIVERIES, EVENTS] {
        world.purge(stream).await;
    }
    world.look().await;
    assert!(receipts(&world.database).await.is_empty());
    let db = &world.database;
    assert_eq!(entity::comment::Entity::find().count(db).await.unwrap(), 2);
    assert_eq!(entity::mention::Entity::find().count(db).await.unwrap(), 2);
    let replayed = world.service.run(&["replay", "--all", "--dry-run"]).await;
    assert!(
        said(&replayed).contains("retention.processed_days"),
        "{}",
        said(&replayed)
    );
    let recent = world
        .service
        .run(&["replay", "--from", "2days", "--dry-run", "--json"])
        .await;
    assert!(
        said(&recent).contains("\"may_lack_before\": null"),
        "{}",
        said(&recent)
    );
}

async fn what_is_being_erased_is_not_archived(database: TestDatabase) {
    let erased = Model {
        ig_account_id: "17841400000000003".to_owned(),
        ..row(1, status::STORED, 92)
    };
    let other = row(2, status::STORED, 92);
    let db = database.migrated().await;
    let tombstone = erased_account::Model {
        ig_account_id: erased.ig_account_id.clone(),
        erased_at: ago(0),
        finished_at: None,
        confirmation_code: None,
    };
    insert(&db, client_account()).await.unwrap();
    insert(&db, tombstone).await.unwrap();
    let (service, left) = after_a_look(&database, &[erased.clone(), other.clone()], |setup| {
        setup.set("retention.archive_dir", "archive")
    })
    .await;
    assert!(!left.contains(&other.id));
    until_gone(&db, &[erased.id]).await;
    let archived = archived(&service.file("archive"));
    assert!(archived.contains_key(&other.id) && !archived.contains_key(&erased.id));
    assert_eq!(other.ig_account_id, IG_ACCOUNT);
}
