//! The stream of an account's events, read as a browser or another service does.

mod ends;
mod outages;
mod reader;

use serde_json::json;
use uuid::Uuid;

use self::reader::{Reader, refused, with_account};
use super::client::{Client, OTHER, account, deliver_comment, problem, setup, token};
use crate::support::{
    on_both,
    payloads::{ACCOUNT, changes, comment, one_mention},
    postgres::TestDatabase,
};

on_both! {
    events_come_as_they_are_stored_and_go_on_where_they_ended,
}

async fn events_come_as_they_are_stored_and_go_on_where_they_ended(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let client = Client::with(&service, token(json!({ "accounts": [account] })));
    let mut all = Reader::open(&client, account, "", None).await;
    let mut mentions = Reader::open(&client, account, "?type=mention", None).await;

    deliver_comment(&service, OTHER, "theirs").await;
    // Written with line breaks, told twice: it is one event, on one line.
    let body = serde_json::to_string_pretty(&changes(ACCOUNT, &[comment("1")])).unwrap();
    for _ in 0..2 {
        service.deliver(&body).await;
        service.streams().await.drained().await;
    }
    service.deliver(&one_mention("17")).await;
    let first = all.event().await;
    let body = first.data();
    assert_eq!(first.get("event"), "comment");
    assert_eq!(body["event_id"], "comment_1_4711");
    assert_eq!(
        body["rows"],
        json!([{"table": "instagram_comments", "id": "1"}])
    );
    assert_eq!(body["account_id"], json!(account));
    assert_eq!(body["raw"]["value"]["text"], "text of 1");
    let list = format!(
        "/webhooks/events/{account}?q={}",
        body["event_id"].as_str().unwrap()
    );
    let listed = client.all(&format!("{list}&duplicate=false")).await;
    for field in [
        "receipt_id",
        "event_id",
        "object_id",
        "sender_ig_id",
        "received_at",
        "delivery_id",
    ] {
        assert_eq!(body[field], listed[0][field], "{field}");
    }
    let second = all.event().await;
    assert_eq!(second.get("event"), "mention");
    assert_eq!(mentions.event().await, second);
    drop(all);

    for id in ["2", "3"] {
        deliver_comment(&service, ACCOUNT, id).await;
        service.streams().await.drained().await;
    }
    let mut again = Reader::open(&client, account, "", Some(first.get("id"))).await;
    assert_eq!(again.event().await, second);
    assert_eq!(again.ids(2).await, ["2", "3"]);
    let mut comments = Reader::open(&client, account, "?type=comment", Some(first.get("id"))).await;
    assert_eq!(comments.ids(2).await, ["2", "3"]);
    deliver_comment(&service, ACCOUNT, "4").await;
    assert_eq!(again.ids(1).await, ["4"]);
    assert_eq!(comments.ids(1).await, ["4"]);
}

/// Versions run beside each other while one is replaced.
#[tokio::test]
async fn what_a_newer_version_stored_is_told_and_what_is_no_event_is_said() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let account = with_account(&service).await;
    let mut reader = Reader::open(&Client::of(&service), account, "", None).await;
    let subject = format!("instagram.stored.novel.{ACCOUNT}");
    let novel = json!({ "account_id": account, "event_type": "novel" });
    for body in ["no event".to_owned(), novel.to_string()] {
        let js = service.streams().await.js;
        let acknowledged = js.publish(subject.clone(), body.into()).await.unwrap();
        acknowledged.await.unwrap();
    }
    let told = reader.event().await;
    assert_eq!((told.get("event"), told.data()), ("novel", novel));
    let log = service.log();
    assert!(log.contains("a message is no event"), "{log}");
    assert!(log.contains(&subject), "{log}");
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let mine = with_account(&service).await;
    deliver_comment(&service, OTHER, "theirs").await;
    let theirs = account(&service, OTHER).await;

    let client = Client::with(&service, token(json!({ "accounts": [mine] })));
    let hidden = refused(&client, theirs, "", None).await;
    problem(&hidden, 404, "not-found");
    let missing = refused(&client, Uuid::from_u128(1), "", None).await;
    assert_eq!(hidden.body, missing.body);
    let writer = Client::with(&service, token(json!({ "scope": "webhooks:write" })));
    problem(&refused(&writer, mine, "", None).await, 403, "forbidden");
    for last in ["x", "", "12", "19a-", "1-99999999999999999999", "-1-2"] {
        let answer = refused(&client, mine, "", Some(last)).await;
        let problem = problem(&answer, 400, "invalid-request");
        let field = &problem["errors"][0];
        assert_eq!(
            (&field["in"], &field["field"]),
            (&json!("header"), &json!("Last-Event-ID")),
            "{last}"
        );
    }
    for (query, field) in [("?type=like", "type"), ("?types=comment", "types")] {
        let problem = problem(
            &refused(&client, mine, query, None).await,
            400,
            "invalid-request",
        );
        assert_eq!(problem["errors"][0]["field"], field);
    }
}
