//! `igstream replay`: stored events are processed again, by the running service.

use entity::comment;
use igstream::stream::names::{REPROCESS, STORED};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};

use crate::support::{
    deliveries,
    eventually::eventually_true,
    fixtures::fixtures,
    on_both,
    payloads::{ACCOUNT, changes, comment as comment_item, mention},
    postgres::TestDatabase,
    replays::{
        as_json, assert_same, change, counters, falsify, replayed, row, snapshot, with_traffic,
    },
    setup::Setup,
};

const OTHER: &str = "17841400000000002";

on_both! {
    what_was_falsified_is_right_again_from_the_log_and_from_deliveries,
    only_what_is_named_is_replayed,
    what_was_unsent_stays_blanked,
    every_fixture_is_the_same_again,
    interrupted_and_repeated,
}

async fn what_was_falsified_is_right_again_from_the_log_and_from_deliveries(
    database: TestDatabase,
) {
    let service = with_traffic(&database, 250).await;
    let db = service.database().await;
    let right = snapshot(&db).await;
    let counted = counters(&service).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let false_columns = falsify(&db).await;
        let wrong = snapshot(&db).await;
        let looked = as_json(&service, &[source, &["--dry-run"]].concat()).await;
        assert_same(&snapshot(&db).await, &wrong);
        let by_column = &looked["changes"]["by_column"];
        for (table, column, rows) in &false_columns {
            assert_eq!(
                by_column[table][column],
                json!(rows),
                "{table}.{column}: {looked:#}"
            );
        }
        let named: u64 = by_column.as_object().unwrap().values().map(columns).sum();
        assert_eq!(named, false_columns.len() as u64, "no other: {by_column:#}");

        // The second time there is nothing to mend, and it does no harm.
        for _ in 0..2 {
            let told = replayed(&service, source).await;
            assert!(told.contains("sent to their handlers once more"), "{told}");
            assert_same(&snapshot(&db).await, &right);
        }
        assert_eq!(counters(&service).await, counted, "a replay is no event");
        let nothing = replayed(&service, &[source, &["--dry-run"]].concat()).await;
        assert!(nothing.contains("Nothing would change"), "{nothing}");
    }
}

fn columns(of_table: &Value) -> u64 {
    of_table.as_object().unwrap().len() as u64
}

async fn only_what_is_named_is_replayed(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    for (account, id) in [(ACCOUNT, "first"), (OTHER, "second"), (ACCOUNT, "third")] {
        let items = [comment_item(id), mention(&format!("media-{id}"))];
        service.deliver(&changes(account, &items).to_string()).await;
    }
    streams.drained().await;
    let db = service.database().await;
    let at = |id: &'static str| {
        let db = db.clone();
        async move { row(&db, id).await.unwrap().received_at }
    };
    let (first, third) = (at("first").await, at("third").await);
    let (to, from) = (first.to_rfc3339(), third.to_rfc3339());
    for source in [&[] as &[&str], &["--from-deliveries"]] {
        for (which, right) in [
            (
                &["--type", "comment"] as &[&str],
                ["first", "second", "third"].as_slice(),
            ),
            (&["--type", "mention"], &[]),
            (&["--account", OTHER], &["second"]),
            (&["--to", &to], &["first"]),
            (&["--from", &from, "--to", "0s"], &["third"]),
            (
                &["--from", "1h", "--to", &from],
                &["first", "second", "third"],
            ),
            (&["--to", "1h"], &[]),
            (
                &["--account", ACCOUNT, "--type", "comment", "--from", &from],
                &["third"],
            ),
        ] {
            change(&db, "UPDATE instagram_comments SET text = 'false'").await;
            replayed(&service, &[which, source].concat()).await;
            let mut mended: Vec<String> = comment::Entity::find()
                .filter(comment::Column::Text.ne("false"))
                .all(&db)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.id)
                .collect();
            mended.sort();
            assert_eq!(mended, right, "{which:?} {source:?}");
        }
    }
}

async fn what_was_unsent_stays_blanked(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    let said = json!({"message": {"mid": "m_1", "text": "secret"}});
    let unsaid = json!({"message": {"mid": "m_1", "is_deleted": true}});
    for item in [
        deliveries::inbound(deliveries::NOON, &said),
        deliveries::inbound(deliveries::NOON + 1000, &unsaid),
    ] {
        let body = deliveries::delivery("messaging", &[item]);
        service.deliver(&body).await;
    }
    service.streams().await.drained().await;
    let db = service.database().await;
    let blank = snapshot(&db).await;
    assert!(!blank.concat().contains("secret"));
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let told = as_json(&service, source).await;
        assert_eq!(
            (&told["sent"], &told["left"]),
            (&json!({"message": 1}), &json!({"blanked": 1})),
            "the unsend itself is replayed"
        );
        assert_same(&snapshot(&db).await, &blank);
    }
}

/// Each shape that Instagram sends, and many that it does not, several of one comment
/// or message.
async fn every_fixture_is_the_same_again(database: TestDatabase) {
    let service = Setup::managed(&database).start().await;
    for (_, _, fixture) in fixtures() {
        service.deliver(fixture.body()).await;
    }
    service.streams().await.drained().await;
    let db = service.database().await;
    let before = snapshot(&db).await;
    let counted = counters(&service).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let looked = replayed(&service, &[source, &["--dry-run"]].concat()).await;
        assert!(looked.contains("Nothing would change"), "{looked}");
        replayed(&service, source).await;
        assert_same(&snapshot(&db).await, &before);
    }
    assert_eq!(counters(&service).await, counted);
}

async fn interrupted_and_repeated(database: TestDatabase) {
    let mut service = with_traffic(&database, 300).await;
    let db = service.database().await;
    let right = snapshot(&db).await;
    falsify(&db).await;
    let stored = service.streams().await.count(STORED).await;
    for source in [&["--all"] as &[&str], &["--all", "--from-deliveries"]] {
        let mut interrupted = service
            .command(&[&["replay"], source].concat())
            .spawn()
            .expect("igstream runs");
        let streams = service.streams().await;
        eventually_true("some are under way, or it is over", async || {
            streams.count(REPROCESS).await > 0 || interrupted.try_wait().unwrap().is_some()
        })
        .await;
        let _ = interrupted.kill().await;
        service.kill().await;
        service.start_again().await;
    }
    replayed(&service, &["--all"]).await;
    assert_same(&snapshot(&db).await, &right);
    assert_eq!(service.streams().await.count(STORED).await, stored);
}
