//! `igstream audit`: the books balance at any moment.

use std::collections::BTreeMap;

use chrono::{TimeDelta, Utc};
use entity::erased_account;
use entity::webhook_event::{Column, Entity, Model, status};
use igstream::instagram::types;
use igstream::stream::names::{DELIVERIES, EVENTS};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};
use tokio::sync::watch;

use crate::support::{
    audit::{Audit, World},
    eventually::{eventually, eventually_true},
    nats::NatsServer,
    on_both,
    payloads::{ACCOUNT, changes, comment, mention, one_comment},
    postgres::TestDatabase,
    service::said,
    setup::Setup,
    simulator::Simulator,
};

on_both! {
    counts_what_is_there_after_traffic_of_all_kinds,
    balances_at_any_moment_under_load,
    balances_after_a_kill_in_the_middle,
    what_no_handler_has_had_is_in_flight,
    what_was_purged_is_left_out,
    what_was_erased_is_left_out_of_both_sides,
    copies_of_a_receipt_count_once,
    rows_without_a_sequence_are_found_by_their_receipts,
    a_stream_made_anew_begins_above_the_rows,
    balances_while_old_messages_are_purged,
}

const OTHER: &str = "17841400000000002";

async fn counts_what_is_there_after_traffic_of_all_kinds(database: TestDatabase) {
    let world = World::of(database, |setup| setup.set("accounts.auto_register", false)).await;
    let service = &world.service;
    // Two of the simulator's three.
    for account in [ACCOUNT, "17841413741308271"] {
        let added = service.run(&["accounts", "add", account]).await;
        assert!(added.status.success(), "{}", said(&added));
    }
    let empty = Audit::balanced(service).await;
    assert_eq!((empty.total("receipts"), empty.deep("items")), (0, 0));

    Simulator::start(service, 800, 0).finish().await;
    world.streams.drained().await;
    let audit = Audit::balanced(service).await;

    let rows = world.rows().await;
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for row in &rows {
        *by_status.entry(&row.status).or_default() += 1;
        *by_status.entry("all").or_default() += 1;
    }
    for (status, count) in &by_status {
        if *status != "all" {
            assert_eq!(audit.ledger["total"]["rows"][*status], *count, "{status}");
        }
    }
    for status in [
        status::STORED,
        status::DUPLICATE,
        status::DEAD,
        status::UNASSIGNED,
    ] {
        assert!(by_status.contains_key(status), "{by_status:?}");
    }
    let messages = world.streams.count(EVENTS).await;
    for (name, wanted) in [
        ("messages", messages),
        ("receipts", by_status["all"]),
        ("copies", 0),
        ("in_flight", 0),
    ] {
        assert_eq!(audit.total(name), wanted, "{name}");
    }
    let comments = rows
        .iter()
        .filter(|row| row.event_type == "comment")
        .count();
    assert_eq!(audit.of_type("comment")["receipts"], comments);
    assert_eq!(audit.deep("items"), by_status["all"]);
    assert_eq!(audit.deep("with_row"), by_status["all"]);

    let table = service.run(&["audit", "--deep"]).await;
    let text = said(&table);
    assert_eq!(table.status.code(), Some(0), "{text}");
    for part in [
        "MISSING",
        "story_insights",
        "0 deliveries in 0 messages wait",
        "The books balance.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

async fn balances_at_any_moment_under_load(database: TestDatabase) {
    let world = World::of(database, |setup| setup).await;
    let mut simulator = Simulator::start(&world.service, 2500, 300);
    let mut audits = 0;
    while simulator.is_sending() {
        Audit::balanced(&world.service).await;
        audits += 1;
    }
    assert!(audits > 1, "{audits} audits");
    simulator.finish().await;
    world.streams.drained().await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.total("receipts"), world.rows().await.len() as u64);
    assert_eq!(audit.total("in_flight"), 0);
}

async fn balances_after_a_kill_in_the_middle(database: TestDatabase) {
    let mut world = World::of(database, |setup| setup).await;
    let mut simulator = Simulator::start(&world.service, 1200, 200);
    eventually_true("some are stored", async || world.rows().await.len() > 200).await;
    world.service.kill().await;
    assert!(simulator.is_sending(), "it was killed in the middle");
    Audit::balanced(&world.service).await;
    world.service.spawn();
    // It starts, and takes up what it left.
    Audit::balanced(&world.service).await;
    world.service.until_ready().await;
    Audit::balanced(&world.service).await;
    simulator.finish().await;
    world.streams.drained().await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.total("receipts"), world.rows().await.len() as u64);
    assert_eq!(audit.total("in_flight"), 0);
}

async fn what_no_handler_has_had_is_in_flight(database: TestDatabase) {
    let nats = NatsServer::start().await;
    let receiver = Setup::external(&nats, &database)
        .roles("receiver")
        .start()
        .await;
    let migrated = receiver.run(&["migrate", "up"]).await;
    assert!(migrated.status.success(), "{}", said(&migrated));
    receiver.deliver(&one_comment("first")).await;
    let audit = Audit::balanced(&receiver).await;
    assert_eq!(audit.ledger["journal"]["deliveries"], 1);
    assert_eq!(audit.total("in_flight"), 0, "nobody publishes yet");

    let publisher = Setup::external(&nats, &database)
        .roles("publisher")
        .start()
        .await;
    let two = changes(ACCOUNT, &[comment("second"), mention("third")]);
    receiver.deliver(&two.to_string()).await;
    let streams = receiver.streams().await;
    eventually("all is published", async || {
        let publisher = streams.consumer(DELIVERIES, "publisher").await?;
        match (publisher.num_pending, publisher.num_ack_pending) {
            (0, 0) => Ok(()),
            waits => Err(format!("{waits:?} wait")),
        }
    })
    .await;
    let audit = Audit::balanced(&publisher).await;
    assert_eq!(audit.ledger["journal"]["deliveries"], 0);
    assert_eq!((audit.total("in_flight"), audit.total("receipts")), (3, 0));
    assert_eq!((audit.deep("in_flight"), audit.deep("items")), (3, 3));
    assert_eq!(audit.of_type("comment")["in_flight"], 2);

    let _handlers = Setup::external(&nats, &database)
        .roles("handlers")
        .start()
        .await;
    streams.drained().await;
    let audit = Audit::balanced(&publisher).await;
    assert_eq!((audit.total("in_flight"), audit.total("receipts")), (0, 3));
}

async fn what_was_purged_is_left_out(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2", "3"]).await;
    let [first, second] = [
        world.row("comment_1_4711").await,
        world.row("comment_2_4711").await,
    ];
    // Old by itself: subject by subject, as the purger does, below what an idle type holds.
    for row in [&first, &second] {
        world
            .change(
                Column::ReceivedAt,
                row.received_at - TimeDelta::days(8),
                Column::Id.eq(row.id),
            )
            .await;
    }
    let events = world.streams.js.get_stream(EVENTS).await.unwrap();
    let after = |row: &Model| u64::try_from(row.stream_sequence.unwrap()).unwrap() + 1;
    let purge = events
        .purge()
        .filter("instagram.events.comment.*")
        .sequence(after(&second));
    assert_eq!(purge.await.unwrap().purged, 2);
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.of_type("comment")["receipts"], 1);
    assert_eq!(audit.of_type("mention")["receipts"], 2);
    assert_eq!(audit.deep("with_row"), 5);
    // Retention deletes their rows later.
    world.delete_row(&first).await;
    let journal = world.streams.js.get_stream(DELIVERIES).await.unwrap();
    journal.purge().await.unwrap();
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.deep("items"), 0);

    let last = world.row("mention_after_-_-").await;
    events.purge().sequence(after(&last)).await.unwrap();
    let audit = Audit::balanced(&world.service).await;
    assert_eq!((audit.total("messages"), audit.total("receipts")), (0, 0));
}

async fn what_was_erased_is_left_out_of_both_sides(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2", "3"]).await;
    world
        .service
        .deliver(&changes(OTHER, &[comment("1"), comment("2")]).to_string())
        .await;
    world.streams.drained().await;
    assert_eq!(Audit::balanced(&world.service).await.total("receipts"), 7);
    // An erasure in the middle: a row is gone, of another the message.
    world.delete_row(&world.row("comment_2_4711").await).await;
    world
        .delete_message(world.row("comment_3_4711").await.stream_sequence)
        .await;
    assert_eq!(Audit::of(&world.service, &[]).await.code, Some(1));
    let tombstone = erased_account::Model {
        ig_account_id: ACCOUNT.to_owned(),
        erased_at: Utc::now(),
        finished_at: None,
        confirmation_code: None,
    };
    tombstone
        .into_active_model()
        .insert(&world.database)
        .await
        .unwrap();
    let audit = Audit::balanced(&world.service).await;
    assert_eq!((audit.total("messages"), audit.total("receipts")), (2, 2));
    assert_eq!((audit.deep("left_out"), audit.deep("with_row")), (1, 6));
}

async fn copies_of_a_receipt_count_once(database: TestDatabase) {
    let world = World::of(database, |setup| {
        setup.set("stream.duplicate_window_seconds", 1)
    })
    .await;
    for id in ["1", "2"] {
        world.service.deliver(&one_comment(id)).await;
    }
    world.streams.drained().await;
    let first = world.row("comment_1_4711").await;
    let again = world.publish_again(&first).await;
    world.streams.drained().await;
    let audit = Audit::balanced(&world.service).await;
    let counted = |audit: &Audit| ["messages", "receipts", "copies"].map(|name| audit.total(name));
    assert_eq!(counted(&audit), [3, 2, 1]);
    assert_eq!(
        world.row("comment_1_4711").await.stream_sequence,
        i64::try_from(again).ok()
    );

    // Its row says the later copy, of which there is nothing any more.
    world.delete_message(i64::try_from(again).ok()).await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(counted(&audit), [2, 2, 0]);

    // Only an earlier copy lies at or below the floor.
    world
        .change(Column::StreamSequence, i64::MAX, Column::Id.eq(first.id))
        .await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(counted(&audit), [2, 2, 0]);

    // Without its row it is missing once.
    let second = world.row("comment_2_4711").await;
    world.publish_again(&second).await;
    world.streams.drained().await;
    world.delete_row(&second).await;
    let audit = Audit::of(&world.service, &["--deep"]).await;
    audit.differs(&[("missing", second.id)]);
    assert_eq!(counted(&audit), [3, 2, 1]);
}

async fn rows_without_a_sequence_are_found_by_their_receipts(database: TestDatabase) {
    let world = World::with_comments(database, &["1", "2"]).await;
    world
        .change(
            Column::StreamSequence,
            Option::<i64>::None,
            Column::EventType.eq("comment"),
        )
        .await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!(audit.of_type("comment")["rows"]["stored"], 2);
    assert_eq!(audit.total("copies"), 0);
}

async fn a_stream_made_anew_begins_above_the_rows(database: TestDatabase) {
    let mut world = World::with_comments(database, &["1", "2"]).await;
    world.service.stop().await;
    world.streams.js.delete_stream(EVENTS).await.unwrap();
    let audit = Audit::balanced(&world.service).await;
    assert_eq!((audit.total("receipts"), audit.deep("with_row")), (0, 4));
    world.service.start_again().await;
    eventually_true("the stream is there", async || {
        world.streams.js.get_stream(EVENTS).await.is_ok()
    })
    .await;
    Audit::balanced(&world.service).await;
    world.service.deliver(&one_comment("3")).await;
    world.streams.drained().await;
    let audit = Audit::balanced(&world.service).await;
    assert_eq!((audit.total("receipts"), audit.deep("with_row")), (1, 5));
}

async fn balances_while_old_messages_are_purged(database: TestDatabase) {
    let world = World::of(database, |setup| setup).await;
    Simulator::start(&world.service, 500, 0).finish().await;
    world.streams.drained().await;
    let long_ago = Utc::now() - TimeDelta::days(8);
    world
        .change(Column::ReceivedAt, long_ago, Column::Id.is_not_null())
        .await;
    let journal = world.streams.js.get_stream(DELIVERIES).await.unwrap();
    journal.purge().await.unwrap();
    let events = world.streams.js.get_stream(EVENTS).await.unwrap();
    let last = events.cached_info().state.last_sequence;
    let audits = watch::Sender::new(0);
    let purged = async {
        for up_to in (1..last).step_by(10).chain([last + 1]) {
            if up_to > last / 2 {
                // However slow an audit is, one ends before the purger.
                let mut audits = audits.subscribe();
                audits.wait_for(|audits| *audits > 0).await.unwrap();
            }
            for event_type in types::with_unknown() {
                let filter = format!("instagram.events.{}.*", event_type.name);
                let purge = events.purge().filter(filter).sequence(up_to);
                purge.await.unwrap();
                // Retention follows the purger.
                Entity::delete_many()
                    .filter(Column::EventType.eq(event_type.name))
                    .filter(Column::IsDuplicate.eq(true))
                    .filter(Column::StreamSequence.lt(i64::try_from(up_to).unwrap()))
                    .exec(&world.database)
                    .await
                    .unwrap();
            }
        }
    };
    tokio::pin!(purged);
    loop {
        tokio::select! {
            () = &mut purged => break,
            _ = Audit::balanced(&world.service) => audits.send_modify(|audits| *audits += 1),
        }
    }
    assert_eq!(Audit::balanced(&world.service).await.total("messages"), 0);
}

#[tokio::test]
async fn a_service_that_does_not_run_is_audited_too() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("1")).await;
    service.streams().await.drained().await;
    service.stop().await;
    assert_eq!(Audit::balanced(&service).await.total("receipts"), 1);
    service.start_again().await;
    assert_eq!(Audit::balanced(&service).await.total("receipts"), 1);
}

#[tokio::test]
async fn without_a_schema_there_is_no_ledger() {
    let mut world = World::with_comments(TestDatabase::sqlite().await, &["1"]).await;
    let other = TestDatabase::sqlite().await;
    other.connect().await.close().await.unwrap();
    world.service.set("database.url", other.url());
    let output = world.service.run(&["audit"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(text.contains("migrate up"), "{text}");
}

#[tokio::test]
async fn without_a_database_there_is_no_ledger_and_no_file() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database).not_started();
    let output = service.run(&["audit"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("database.url"), "{}", said(&output));
    let path = database
        .url()
        .trim_start_matches("sqlite://")
        .split('?')
        .next()
        .unwrap();
    assert!(!std::path::Path::new(path).exists(), "it only reads");
}
