//! `igstream accounts remove --erase`: nothing of the account is left outside the journal, whatever goes on or
//! is killed meanwhile, and nothing of anybody else's is touched.

use entity::{
    client_account, comment,
    erased_account::{self, Model as Tombstone},
    webhook_event::{self, status},
};
use igstream::{
    instagram::identity::received_at,
    lab::cast::account_ids,
    stream::{
        erase::receipt_of,
        names::{DEAD_LETTERS, DELIVERIES, DELIVERIES_SUBJECT, EVENTS, REPROCESS, STORED},
    },
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{
    books::Books,
    eventually::{eventually, eventually_true},
    nats::{NatsServer, Streams},
    on_both,
    payloads::{ACCOUNT, changes, comment as comment_item, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
    simulator::{Simulator, deliveries, room},
};

const OTHER: &str = "17841400000000002";

on_both! {
    one_is_erased_while_traffic_goes_on,
    what_was_killed_half_way_is_finished_by_the_next_service,
    the_journal_read_again_brings_nothing_back,
}

async fn one_is_erased_while_traffic_goes_on(database: TestDatabase) {
    let setup = Setup::managed(&database).set("stream.max_bytes", room());
    let service = setup.start().await;
    let erased = account_ids(3).remove(1);
    let count = deliveries();
    // However long the erasure takes.
    let mut simulator = Simulator::start_steadily(&service.webhook(), &service, count / 12, 7);
    let db = service.database().await;
    eventually("events of the account are stored", async || {
        let stored = webhook_event::Entity::find()
            .filter(webhook_event::Column::IgAccountId.eq(&erased))
            .count(&db);
        match stored.await.map_err(|error| error.to_string())? {
            rows if rows >= count / 20 => Ok(()),
            rows => Err(format!("{rows} rows")),
        }
    })
    .await;

    assert!(simulator.is_sending(), "it is erased under traffic");
    let removed = erase(&service, &erased).await;
    assert!(said(&removed).contains("is erased"), "{}", said(&removed));
    let ledger = simulator.finish_early().await;
    let since = changes(&erased, &[comment_item("since")]).to_string();
    service.deliver(&since).await;
    let streams = service.streams().await;
    streams.drained().await;

    let tombstone = finished(&service, &erased).await;
    nothing_covered_is_left(&service, &tombstone).await;
    let since = rows_of(&db, &erased).await;
    assert!(!since.is_empty(), "more came of it");
    for row in since {
        assert!(row.instagram_account_id.is_none(), "{row:?}");
        assert!(row.status != status::STORED, "{row:?}");
    }
    let books = Books::read(&db, &streams).await;
    let (books, ledger) = (books.without(&erased), ledger.without(&erased));
    books.balance(&ledger);
}

async fn what_was_killed_half_way_is_finished_by_the_next_service(database: TestDatabase) {
    let nats = NatsServer::start().await;
    let mut service = Setup::external(&nats, &database).start().await;
    let streams = service.streams().await;
    let many: Vec<Value> = (0..500).map(|n| comment_item(&format!("c{n}"))).collect();
    for account in [ACCOUNT, OTHER] {
        service.deliver(&changes(account, &many).to_string()).await;
    }
    streams.drained().await;
    service.kill().await;
    // Durable, and nobody has had it yet.
    let mut receiver = Setup::external(&nats, &database)
        .roles("receiver")
        .start()
        .await;
    receiver.deliver(&one_comment("in the journal")).await;
    receiver.kill().await;

    let mut command = service.command(&["accounts", "remove", ACCOUNT, "--erase", "--yes"]);
    let mut command = command.spawn().unwrap();
    let db = service.database().await;
    eventually_true("the tombstone is there", async || {
        tombstone(&db, ACCOUNT).await.is_some()
    })
    .await;
    command.kill().await.unwrap();

    let again = service
        .run(&["accounts", "remove", ACCOUNT, "--erase"])
        .await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    for part in ["publisher", "no service works", "running service"] {
        assert!(said(&again).contains(part), "{part}: {}", said(&again));
    }
    let refused = service.run(&["accounts", "add", ACCOUNT]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("being erased"),
        "{}",
        said(&refused)
    );
    let listed = accounts(&service).await;
    let one = listed
        .iter()
        .find(|account| account["instagram_business_account_id"] == ACCOUNT)
        .unwrap();
    assert!(one["being_erased_since"].is_string() && one["active"] == false);
    let table = service.run(&["accounts", "list"]).await;
    assert!(said(&table).contains("being erased since"));

    service.start_again().await;
    let tombstone = finished(&service, ACCOUNT).await;
    nothing_covered_is_left(&service, &tombstone).await;
    streams.drained().await;
    assert_eq!(rows_of(&db, ACCOUNT).await, []);
    assert_eq!(rows_of(&db, OTHER).await.len(), 500);
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 500);
    assert_eq!(streams.count(EVENTS).await, 500);
    assert_eq!(streams.count(STORED).await, 500);
    assert_eq!(accounts(&service).await.len(), 1);
}

async fn the_journal_read_again_brings_nothing_back(database: TestDatabase) {
    let setup = Setup::managed(&database).set("stream.duplicate_window_seconds", 1);
    let service = setup.start().await;
    let streams = service.streams().await;
    let db = service.database().await;
    service.deliver(&one_comment("before")).await;
    let other = changes(OTHER, &[comment_item("before")]).to_string();
    service.deliver(&other).await;
    streams.drained().await;
    let removed = erase(&service, ACCOUNT).await;
    assert!(
        said(&removed).contains("INSTAGRAM_STORED"),
        "{}",
        said(&removed)
    );
    let tombstone = finished(&service, ACCOUNT).await;
    nothing_covered_is_left(&service, &tombstone).await;

    read_the_journal_again(&streams).await;
    nothing_covered_is_left(&service, &tombstone).await;
    assert_eq!(rows_of(&db, ACCOUNT).await, []);
    assert_eq!(rows_of(&db, OTHER).await.len(), 1);
    assert_eq!(client_account::Entity::find().count(&db).await.unwrap(), 1);

    // Added again it is a new account.
    let added = service.run(&["accounts", "add", ACCOUNT]).await;
    assert_eq!(added.status.code(), Some(0), "{}", said(&added));
    service.deliver(&one_comment("after")).await;
    streams.drained().await;
    read_the_journal_again(&streams).await;
    nothing_covered_is_left(&service, &tombstone).await;
    let comments: Vec<String> = rows_of(&db, ACCOUNT)
        .await
        .into_iter()
        .map(|row| {
            assert_eq!(row.status, status::STORED);
            row.object_id.unwrap_or_default()
        })
        .collect();
    assert_eq!(comments, ["after"]);
    let subject = format!("instagram.stored.comment.{ACCOUNT}");
    let told = streams.last(STORED, &subject).await.unwrap();
    assert_eq!(told.text("object_id"), "after");

    // And can be erased like any other.
    erase(&service, ACCOUNT).await;
    let again = finished(&service, ACCOUNT).await;
    assert!(again.erased_at > tombstone.erased_at);
    nothing_covered_is_left(&service, &again).await;
    assert_eq!(rows_of(&db, ACCOUNT).await, []);
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 1);
}

#[tokio::test]
async fn nothing_is_erased_by_mistake() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("stays")).await;
    service.streams().await.drained().await;
    for (arguments, code, named) in [
        (&[ACCOUNT, "--erase"][..], 2, "--yes"),
        (&[ACCOUNT, "--yes"], 2, "--erase"),
        (&["1784 1405", "--erase", "--yes"], 2, "entry.id"),
        (&["", "--erase", "--yes"], 2, "entry.id"),
        (
            &["17841400000000009", "--erase", "--yes"],
            1,
            "17841400000000009",
        ),
    ] {
        let refused = service
            .run(&[&["accounts", "remove"], arguments].concat())
            .await;
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
        assert!(
            said(&refused).contains(named),
            "{named}: {}",
            said(&refused)
        );
    }
    let db = service.database().await;
    assert_eq!(rows_of(&db, ACCOUNT).await.len(), 1);
    assert!(tombstone(&db, ACCOUNT).await.is_none());
    assert_eq!(accounts(&service).await[0]["active"], true);

    // It is said what goes, and what went.
    let unsaid = service
        .run(&["accounts", "remove", ACCOUNT, "--erase"])
        .await;
    let erased = erase(&service, ACCOUNT).await;
    for part in [
        "instagram_comments",
        "instagram_webhook_events",
        EVENTS,
        STORED,
    ] {
        assert!(said(&unsaid).contains(part), "{part}: {}", said(&unsaid));
        assert!(said(&erased).contains(part), "{part}: {}", said(&erased));
    }
    for arguments in [&[ACCOUNT, "--erase"][..], &[ACCOUNT]] {
        let again = service
            .run(&[&["accounts", "remove"], arguments].concat())
            .await;
        assert_eq!(again.status.code(), Some(0), "{}", said(&again));
        assert!(said(&again).contains("erased"), "{}", said(&again));
    }
}

async fn erase(service: &Service, account: &str) -> std::process::Output {
    let erased = service
        .run(&["accounts", "remove", account, "--erase", "--yes"])
        .await;
    assert_eq!(erased.status.code(), Some(0), "{}", said(&erased));
    erased
}

async fn accounts(service: &Service) -> Vec<Value> {
    let list = service.run(&["accounts", "list", "--json"]).await;
    serde_json::from_slice(&list.stdout).expect("JSON and nothing else")
}

async fn tombstone(db: &sea_orm::DatabaseConnection, account: &str) -> Option<Tombstone> {
    erased_account::Entity::find_by_id(account)
        .one(db)
        .await
        .unwrap()
}

/// The tombstone of an account, once nothing is left of it.
async fn finished(service: &Service, account: &str) -> Tombstone {
    let db = service.database().await;
    eventually("the erasure is finished", async || {
        match tombstone(&db, account).await {
            Some(tombstone) if tombstone.finished_at.is_some() => Ok(tombstone),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn rows_of(db: &sea_orm::DatabaseConnection, account: &str) -> Vec<webhook_event::Model> {
    webhook_event::Entity::find()
        .filter(webhook_event::Column::IgAccountId.eq(account))
        .all(db)
        .await
        .unwrap()
}

/// No row, and no message in any stream but the journal, of a receipt that came up to the erasure. Typed rows
/// have no receipt; there are none of an account that is not there.
async fn nothing_covered_is_left(service: &Service, tombstone: &Tombstone) {
    let is_covered = |receipt: Uuid| {
        received_at(receipt).timestamp_millis() <= tombstone.erased_at.timestamp_millis()
    };
    let db = service.database().await;
    for row in rows_of(&db, &tombstone.ig_account_id).await {
        assert!(!is_covered(row.id), "{row:?}");
    }
    let end = format!(".{}", tombstone.ig_account_id);
    let streams = service.streams().await;
    for stream in [EVENTS, STORED, DEAD_LETTERS] {
        for message in streams.messages(stream).await {
            let receipt = receipt_of(message.header("Nats-Msg-Id")).unwrap();
            let is_left = message.subject.ends_with(&end) && is_covered(receipt);
            assert!(!is_left, "{stream}: {message:?}");
        }
    }
    assert_eq!(streams.count(REPROCESS).await, 0);
}

/// Has all of the journal published once more, after the time in which that would be recognised.
async fn read_the_journal_again(streams: &Streams) {
    let journal = streams.messages(DELIVERIES).await;
    let published = async || {
        let events = streams.js.get_stream(EVENTS).await.unwrap();
        events.cached_info().state.last_sequence
    };
    let before = published().await;
    eventually("the journal is published again", async || {
        for message in &journal {
            let sent = streams
                .js
                .publish(DELIVERIES_SUBJECT, message.payload.clone())
                .await
                .map_err(|error| error.to_string())?;
            sent.await.map_err(|error| error.to_string())?;
        }
        streams.drained().await;
        match published().await {
            now if now >= before + journal.len() as u64 => Ok(()),
            now => Err(format!("from {before} to {now}")),
        }
    })
    .await;
}
