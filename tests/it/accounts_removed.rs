//! `igstream accounts remove`: nothing more is expected of an account, and nothing of it is deleted.

use entity::{
    comment,
    webhook_event::{self, status},
};
use igstream::stream::names::STORED;
use sea_orm::EntityTrait;
use serde_json::Value;

use crate::support::{
    eventually::eventually,
    on_both,
    payloads::{ACCOUNT, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

on_both! {
    what_was_stored_stays_and_what_comes_waits,
}

async fn what_was_stored_stays_and_what_comes_waits(database: TestDatabase) {
    // Not even an account that would be made by itself comes back unasked.
    let setup = Setup::managed(&database).set("accounts.auto_register", true);
    let service = setup.start().await;
    let streams = service.streams().await;
    service.deliver(&one_comment("before")).await;
    streams.drained().await;

    let removed = service.run(&["accounts", "remove", ACCOUNT]).await;
    assert_eq!(removed.status.code(), Some(0), "{}", said(&removed));
    assert_eq!(active(&service).await, [false]);
    service.deliver(&one_comment("after")).await;
    streams.drained().await;
    assert_eq!(
        statuses(&service).await,
        [
            ("before".to_owned(), status::STORED.to_owned()),
            ("after".to_owned(), status::UNASSIGNED.to_owned())
        ]
    );
    assert_eq!(streams.count(STORED).await, 1);

    let again = service.run(&["accounts", "remove", ACCOUNT]).await;
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(said(&again).contains("already"), "{}", said(&again));

    let added = service.run(&["accounts", "add", ACCOUNT]).await;
    assert!(said(&added).contains("again"), "{}", said(&added));
    eventually("what waited is processed", async || {
        match streams.count(STORED).await {
            2 => Ok(()),
            count => Err(format!("{count} are told as stored")),
        }
    })
    .await;
    assert_eq!(active(&service).await, [true]);
    let db = service.database().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_account_that_is_not_there_is_named() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).not_started();
    for (wrong, code) in [("17841400000000009", 1), ("17841405 822304914", 2), ("", 2)] {
        let refused = service.run(&["accounts", "remove", wrong]).await;
        assert_eq!(refused.status.code(), Some(code), "{}", said(&refused));
        assert!(said(&refused).contains(wrong), "{}", said(&refused));
    }
}

async fn active(service: &Service) -> Vec<bool> {
    let list = service.run(&["accounts", "list", "--json"]).await;
    let accounts: Value = serde_json::from_slice(&list.stdout).expect("JSON and nothing else");
    let accounts = accounts.as_array().expect("a list");
    accounts
        .iter()
        .map(|account| account["active"] == true)
        .collect()
}

/// What became of each comment, in the order in which they came.
async fn statuses(service: &Service) -> Vec<(String, String)> {
    let db = service.database().await;
    let mut rows = webhook_event::Entity::find().all(&db).await.unwrap();
    rows.sort_by_key(|row| row.id);
    rows.into_iter()
        .map(|row| (row.object_id.unwrap_or_default(), row.status))
        .collect()
}
