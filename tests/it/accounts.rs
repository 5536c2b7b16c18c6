//! Events of accounts that are not known are kept, and processed by themselves once they are; and what the
//! command line says to what it cannot take.

use entity::{
    comment,
    webhook_event::{self, status},
};
use igstream::stream::names::{DEAD_LETTERS, STORED};
use sea_orm::EntityTrait;
use serde_json::Value;

use crate::support::{
    eventually::eventually,
    payloads::{ACCOUNT, changes, comment, one_comment, strange_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

const OTHER: &str = "17841400000000002";

#[tokio::test]
async fn an_unknown_accounts_events_wait_for_it() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("accounts.auto_register", false);
    let service = setup.start().await;
    let streams = service.streams().await;
    for body in [
        one_comment("waits-1"),
        one_comment("waits-2"),
        changes(OTHER, &[comment("of another account")]).to_string(),
    ] {
        assert_eq!(service.post(&body).await.status, 200);
    }
    streams.drained().await;
    for row in rows(&service).await {
        assert_eq!(row.status, status::UNASSIGNED, "{row:?}");
        assert!(
            !row.processed && row.instagram_account_id.is_none(),
            "{row:?}"
        );
    }
    assert_eq!(streams.count(STORED).await, 0);

    let added = service
        .run(&["accounts", "add", ACCOUNT, "--username", "shop"])
        .await;
    assert!(added.status.success(), "{}", said(&added));
    eventually("its events are processed", async || {
        match streams.count(STORED).await {
            2 => Ok(()),
            count => Err(format!("{count} are told as stored")),
        }
    })
    .await;
    for row in rows(&service).await {
        let is_ours = row.ig_account_id == ACCOUNT;
        let wanted = if is_ours {
            status::STORED
        } else {
            status::UNASSIGNED
        };
        assert_eq!(row.status, wanted, "{row:?}");
        assert_eq!(
            (row.processed, row.instagram_account_id.is_some()),
            (is_ours, is_ours)
        );
    }
    let db = service.database().await;
    let comments = comment::Entity::find().all(&db).await.unwrap();
    let mut ids: Vec<_> = comments.iter().map(|comment| comment.id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["waits-1", "waits-2"]);
    assert_eq!(streams.count(DEAD_LETTERS).await, 0);

    // What comes from now on is stored at once.
    assert_eq!(service.post(&one_comment("comes later")).await.status, 200);
    streams.drained().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 3);
}

#[tokio::test]
async fn deeply_nested_ones_wait_and_are_processed_as_well() {
    for database in [TestDatabase::sqlite().await, TestDatabase::postgres().await] {
        let setup = Setup::managed(&database).set("accounts.auto_register", false);
        let service = setup.start().await;
        let streams = service.streams().await;
        for body in [strange_comment("strange"), one_comment("plain")] {
            assert_eq!(service.post(&body).await.status, 200);
        }
        streams.drained().await;
        let added = service.run(&["accounts", "add", ACCOUNT]).await;
        assert!(added.status.success(), "{}", said(&added));
        eventually("both are processed", async || {
            match streams.count(STORED).await {
                2 => Ok(()),
                count => Err(format!("{count} are told as stored")),
            }
        })
        .await;
    }
}

async fn rows(service: &Service) -> Vec<webhook_event::Model> {
    let database = service.database().await;
    let rows = webhook_event::Entity::find().all(&database).await;
    rows.expect("the generic log can be read")
}

#[tokio::test]
async fn accounts_are_listed_for_people_and_for_programs() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    for arguments in [
        &["accounts", "add", ACCOUNT, "--username", "shop"][..],
        &["accounts", "add", OTHER],
    ] {
        let added = service.run(arguments).await;
        assert!(added.status.success(), "{}", said(&added));
    }
    let again = service.run(&["accounts", "add", ACCOUNT]).await;
    assert!(again.status.success(), "{}", said(&again));
    assert!(said(&again).contains("already"), "{}", said(&again));

    let list = service.run(&["accounts", "list"]).await;
    for part in [ACCOUNT, OTHER, "shop"] {
        assert!(said(&list).contains(part), "{part}: {}", said(&list));
    }
    let list = service.run(&["accounts", "list", "--json"]).await;
    let accounts: Value = serde_json::from_slice(&list.stdout).expect("JSON and nothing else");
    let ids: Vec<_> = accounts
        .as_array()
        .expect("a list")
        .iter()
        .map(|account| account["instagram_business_account_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [OTHER, ACCOUNT]);
    assert!(accounts[0].get("access_token").is_none(), "{}", said(&list));
}

#[tokio::test]
async fn what_is_no_account_id_is_refused_with_the_reason() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let too_long = "1".repeat(1000);
    for wrong in ["", "1784 1405", "17841405\u{a0}", &too_long] {
        let refused = service.run(&["accounts", "add", wrong]).await;
        assert_eq!(
            refused.status.code(),
            Some(2),
            "{wrong:?}: {}",
            said(&refused)
        );
        assert!(said(&refused).contains("entry.id"), "{}", said(&refused));
    }
    let list = service.run(&["accounts", "list", "--json"]).await;
    assert_eq!(String::from_utf8_lossy(&list.stdout).trim(), "[]");
}

#[tokio::test]
async fn wrong_usage_and_configuration_end_with_2_and_a_name() {
    let database = TestDatabase::sqlite().await;
    for (arguments, key, value, named) in [
        (&["serv"][..], "log.format", "text", "serv"),
        (
            &["serve", "--roles", "reciever"],
            "log.format",
            "text",
            "reciever",
        ),
        (&["serve"], "server.bindd", "127.0.0.1:1", "SERVER__BINDD"),
        (&["serve"], "server.bind", "here", "server.bind"),
        (
            &["serve"],
            "instagram.app_secrets",
            "",
            "instagram.app_secrets",
        ),
        (
            &["accounts", "list"],
            "database.url",
            "mysql://x",
            "database.url",
        ),
    ] {
        let service = Setup::managed(&database).set(key, value).not_started();
        let refused = service.run(arguments).await;
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(
            said(&refused).contains(named),
            "{named}: {}",
            said(&refused)
        );
    }
}
