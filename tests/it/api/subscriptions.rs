//! Subscriptions over HTTP: Instagram is asked to tell of an account, and not to any more.

use serde_json::{Value, json};

use super::accounts::{TOKEN, added, start};
use super::client::{Client, OTHER, deliver_comment, problem, token};
use crate::support::{
    graph::{Graph, Reply, error, error_body, ok},
    on_both,
    payloads::ACCOUNT,
    postgres::TestDatabase,
};

on_both! {
    an_account_is_subscribed_and_unsubscribed,
}

const SUBSCRIPTIONS: &str = "/webhooks/subscriptions";

fn meta(method: &str) -> String {
    format!("{method} /{ACCOUNT}/subscribed_apps")
}

fn agrees(graph: &Graph) {
    for method in ["POST", "DELETE"] {
        graph.on(&meta(method), [ok(json!({ "success": true }))]);
    }
}

async fn an_account_is_subscribed_and_unsubscribed(database: TestDatabase) {
    let (service, graph) = start(&database).await;
    agrees(&graph);
    let client = Client::of(&service);
    let (_, account) = added(&client).await;
    let body = |fields: &[&str]| json!({ "account_id": account["id"], "fields": fields });
    let answer = client
        .post(SUBSCRIPTIONS, &body(&["comments", "messages"]))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let subscription = answer.json();
    let path = format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap());
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/instagram{path}").as_str())
    );
    assert_eq!(subscription["fields"], json!(["comments", "messages"]));
    assert_eq!(
        (&subscription["status"], &subscription["account_id"]),
        (&json!("active"), &account["id"])
    );
    let asked = &graph.asked_for(&meta("POST"))[0];
    assert_eq!(asked.authorization, format!("Bearer {TOKEN}"));
    assert_eq!(asked.parameters["subscribed_fields"], "comments,messages");

    deliver_comment(&service, ACCOUNT, "counted").await;
    service.streams().await.drained().await;
    let again = client.post(SUBSCRIPTIONS, &body(&["messages"])).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(
        (&again.json()["id"], &again.json()["fields"]),
        (&subscription["id"], &json!(["messages"]))
    );
    assert_eq!(
        again.json()["events_received_count"],
        1,
        "what was counted stays"
    );
    assert_eq!(client.all(SUBSCRIPTIONS).await, [again.json()]);
    assert_eq!(client.json(&path).await, again.json());

    let deleted = client.delete(&path).await;
    assert_eq!((deleted.status, deleted.body.as_str()), (204, ""));
    assert_eq!(graph.asked_for(&meta("DELETE")).len(), 1);
    problem(&client.delete(&path).await, 404, "not-found");
    assert_eq!(client.all(SUBSCRIPTIONS).await, [] as [Value; 0]);
    assert!(!service.log().contains(TOKEN), "{}", service.log());
}

#[tokio::test]
async fn what_meta_refuses_is_said_and_changes_nothing() {
    let database = TestDatabase::sqlite().await;
    let (service, graph) = start(&database).await;
    let client = Client::of(&service);
    let (_, account) = added(&client).await;
    let body = json!({ "account_id": account["id"], "fields": ["comments"] });
    let limit = Reply::With(
        429,
        vec![("retry-after", "600".to_owned())],
        error_body(613, "Calls limit"),
    );
    for (reply, parts) in [
        (
            error(403, 200, "(#200) Permissions error"),
            &[
                "(#200) Permissions error",
                "instagram_business_manage_comments",
            ][..],
        ),
        (
            error(400, 190, &format!("Session of {TOKEN} has expired")),
            &["has expired", "code 190", "connect again"],
        ),
        (
            error(500, 2, "Service temporarily unavailable"),
            &["Service temporarily unavailable", "AbCdEf"],
        ),
        (Reply::Never, &["no answer"]),
        (limit, &["rate limit", "10m"]),
    ] {
        graph.on(&meta("POST"), [reply]);
        let answer = client.post(SUBSCRIPTIONS, &body).await;
        let refused = problem(&answer, 502, "instagram-failed");
        let said = refused["detail"].as_str().unwrap();
        for part in parts.iter().copied().chain([meta("POST").as_str()]) {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(TOKEN), "{said}");
        assert_eq!(
            answer.header("retry-after"),
            said.contains("10m").then_some("600")
        );
    }
    assert_eq!(client.all(SUBSCRIPTIONS).await, [] as [Value; 0]);

    // It passes.
    graph.on(
        &meta("POST"),
        [error(400, 4, "limit"), ok(json!({ "success": true }))],
    );
    let subscription = client.post(SUBSCRIPTIONS, &body).await;
    assert_eq!(subscription.status, 201, "{subscription:?}");
    let path = format!(
        "{SUBSCRIPTIONS}/{}",
        subscription.json()["id"].as_str().unwrap()
    );
    graph.on(&meta("DELETE"), [error(403, 10, "(#10) Not allowed")]);
    problem(&client.delete(&path).await, 502, "instagram-failed");
    assert_eq!(
        client.all(SUBSCRIPTIONS).await.len(),
        1,
        "it is there at Meta still"
    );
    // The shop has removed the app: there is nothing at Meta any more.
    graph.on(
        &meta("DELETE"),
        [error(400, 190, "The user has not authorized application")],
    );
    assert_eq!(client.delete(&path).await.status, 204);
    assert!(!service.log().contains(TOKEN), "{}", service.log());
}

#[tokio::test]
async fn what_cannot_be_subscribed_is_said() {
    let database = TestDatabase::sqlite().await;
    let (service, graph) = start(&database).await;
    agrees(&graph);
    let client = Client::of(&service);
    let (_, account) = added(&client).await;
    let other = client
        .post(
            "/accounts",
            &json!({ "instagram_business_account_id": OTHER }),
        )
        .await
        .json();
    let asked = graph.asked().len();
    for (body, field) in [
        (json!({ "fields": ["comments"] }), "account_id"),
        (json!({ "account_id": account["id"] }), "fields"),
        (
            json!({ "account_id": account["id"], "fields": [] }),
            "fields",
        ),
        (
            json!({ "account_id": account["id"], "fields": ["a b"] }),
            "fields",
        ),
        (
            json!({ "account_id": account["id"], "fields": ["comments", "comments"] }),
            "fields",
        ),
        (
            json!({ "account_id": account["id"], "fields": "comments" }),
            "fields",
        ),
        (
            json!({ "account_id": account["id"], "fields": ["comments"], "status": "active" }),
            "status",
        ),
        (
            json!({ "account_id": ACCOUNT, "fields": ["comments"] }),
            "account_id",
        ),
    ] {
        let refused = problem(
            &client.post(SUBSCRIPTIONS, &body).await,
            400,
            "invalid-request",
        );
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    let of_other = json!({ "account_id": other["id"], "fields": ["comments"] });
    let refused = problem(
        &client.post(SUBSCRIPTIONS, &of_other).await,
        409,
        "conflict",
    );
    assert!(
        refused["detail"].as_str().unwrap().contains("access token"),
        "{refused}"
    );
    let mine = Client::with(&service, token(json!({ "accounts": [other["id"]] })));
    let of_account = json!({ "account_id": account["id"], "fields": ["comments"] });
    problem(
        &mine.post(SUBSCRIPTIONS, &of_account).await,
        404,
        "not-found",
    );
    assert_eq!(graph.asked().len(), asked, "Meta is not asked");
    let subscription = client.post(SUBSCRIPTIONS, &of_account).await.json();
    let path = format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap());
    problem(&mine.get(&path).await, 404, "not-found");
    problem(&mine.delete(&path).await, 404, "not-found");
    assert_eq!(mine.all(SUBSCRIPTIONS).await, [] as [Value; 0]);
}
