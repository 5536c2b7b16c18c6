//! Accounts over HTTP: added, seen, changed, stopped and erased.

use entity::{client_account, comment, webhook_event};
use reqwest::Method;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, OTHER, deliver_comment, problem, setup, token};
use crate::support::{
    audit::Audit,
    eventually::eventually,
    graph::{Graph, Reply, error},
    http::{self, Answer},
    on_both,
    payloads::ACCOUNT,
    postgres::TestDatabase,
    service::Service,
};

on_both! {
    an_account_is_added_seen_changed_and_stopped,
    an_erased_account_leaves_nothing_and_the_books_balance,
}

pub const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub const TOKEN: &str = "IGAAtoken1234567890ofanaccount";

/// A service without any account, and Meta.
pub async fn start(database: &TestDatabase) -> (Service, Graph) {
    let graph = Graph::start().await;
    graph.is_owner(ACCOUNT, "29");
    let service = setup(database)
        .await
        .set("accounts.auto_register", false)
        .set("accounts.encryption_key", KEY)
        .set("instagram.graph_url", graph.url())
        .set("instagram.graph_patience", "2s")
        .start()
        .await;
    service.streams().await.drained().await;
    (service, graph)
}

async fn patch(client: &Client<'_>, path: &str, tag: Option<&str>, body: &Value) -> Answer {
    let mut request = client
        .request(Method::PATCH, path)
        .header("Content-Type", "application/json");
    if let Some(tag) = tag {
        request = request.header("If-Match", tag);
    }
    http::send(request.body(body.to_string()))
        .await
        .expect("an answer")
}

fn new_account(more: Value) -> Value {
    let mut body = json!({ "instagram_business_account_id": ACCOUNT });
    let Value::Object(more) = more else {
        panic!("an object")
    };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// Adds the account with its token; its path.
pub async fn added(client: &Client<'_>) -> (String, Value) {
    let answer = client
        .post("/accounts", &new_account(json!({ "access_token": TOKEN })))
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let account = answer.json();
    let path = format!("/accounts/{}", account["id"].as_str().unwrap());
    assert_eq!(
        answer.header("location"),
        Some(format!("/api/instagram{path}").as_str())
    );
    assert!(answer.header("etag").is_some(), "{answer:?}");
    assert!(!answer.body.contains(TOKEN), "{answer:?}");
    (path, account)
}

async fn an_account_is_added_seen_changed_and_stopped(database: TestDatabase) {
    let (service, graph) = start(&database).await;
    let client = Client::of(&service);
    // What came before waits for it.
    deliver_comment(&service, ACCOUNT, "early").await;
    let (path, account) = added(&client).await;
    assert_eq!(account["instagram_business_account_id"], ACCOUNT);
    // As Meta says.
    assert_eq!(
        (&account["username"], &account["app_scoped_id"]),
        (&json!("shop"), &json!("29"))
    );
    assert_eq!(
        (&account["has_access_token"], &account["active"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(account["being_erased_since"], Value::Null);
    let db = service.database().await;
    eventually(
        "what waited is stored",
        async || match comment::Entity::find()
            .count(&db)
            .await
            .map_err(|error| error.to_string())?
        {
            1 => Ok(()),
            count => Err(format!("{count}")),
        },
    )
    .await;
    let row = client_account::Entity::find()
        .one(&db)
        .await
        .unwrap()
        .unwrap();
    assert!(row.access_token.unwrap().0.starts_with("v1."));

    let seen = client.get(&path).await;
    assert_eq!((seen.status, seen.json()), (200, account.clone()));
    assert_eq!(
        client.all("/accounts").await,
        std::slice::from_ref(&account)
    );
    let again = client.post("/accounts", &new_account(json!({}))).await;
    problem(&again, 409, "conflict");

    let tag = seen.header("etag").unwrap().to_owned();
    let body = json!({ "username": "renamed", "app_scoped_id": null });
    problem(
        &patch(&client, &path, None, &body).await,
        428,
        "precondition-required",
    );
    let changed = patch(&client, &path, Some(&tag), &body).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(changed.json()["username"], "renamed");
    assert_eq!(changed.json()["app_scoped_id"], Value::Null);
    assert_eq!(changed.json()["has_access_token"], true);
    problem(
        &patch(&client, &path, Some(&tag), &body).await,
        412,
        "precondition-failed",
    );
    let now = client.get(&path).await;
    assert_eq!(
        (now.json(), now.header("etag")),
        (changed.json(), changed.header("etag"))
    );
    let without = patch(&client, &path, Some("*"), &json!({ "access_token": null })).await;
    assert_eq!(without.json()["has_access_token"], false, "{without:?}");
    let nothing = patch(&client, &path, Some("*"), &json!({})).await;
    assert_eq!((nothing.status, nothing.json()), (200, without.json()));
    let with = patch(
        &client,
        &path,
        Some("*"),
        &json!({ "access_token": TOKEN, "username": "mine" }),
    )
    .await;
    assert_eq!(with.json()["has_access_token"], true, "{with:?}");
    assert_eq!(
        (&with.json()["username"], &with.json()["app_scoped_id"]),
        (&json!("mine"), &json!("29"))
    );

    let stopped = client.delete(&path).await;
    assert_eq!((stopped.status, stopped.body.as_str()), (204, ""));
    assert_eq!(client.delete(&path).await.status, 204);
    assert_eq!(client.json(&path).await["active"], false);
    assert_eq!(
        comment::Entity::find().count(&db).await.unwrap(),
        1,
        "nothing is deleted"
    );
    problem(
        &client.post("/accounts", &new_account(json!({}))).await,
        409,
        "conflict",
    );
    let active = patch(&client, &path, Some("*"), &json!({ "active": true })).await;
    assert_eq!(active.json()["active"], true, "{active:?}");
    let log = service.log();
    assert!(!log.contains(TOKEN), "{log}");
    assert!(graph.asked().iter().all(|asked| !asked.uri.contains(TOKEN)));
}

async fn an_erased_account_leaves_nothing_and_the_books_balance(database: TestDatabase) {
    let (service, _graph) = start(&database).await;
    let client = Client::of(&service);
    let (path, _) = added(&client).await;
    let other = json!({ "instagram_business_account_id": OTHER });
    assert_eq!(client.post("/accounts", &other).await.status, 201);
    for account in [ACCOUNT, OTHER] {
        deliver_comment(&service, account, "before").await;
    }
    let streams = service.streams().await;
    streams.drained().await;

    let answer = client.delete(&format!("{path}?erase=true")).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = answer.header("location").unwrap().to_owned();
    let progress = location.strip_prefix("/api/instagram").unwrap();
    assert_eq!(answer.json()["state"], "in_progress", "{answer:?}");
    let finished = eventually("it is erased", async || {
        let state = client.json(progress).await;
        if state["state"] == "finished" {
            Ok(state)
        } else {
            Err(state.to_string())
        }
    })
    .await;
    assert!(finished["finished_at"].is_string(), "{finished}");
    problem(&client.get(&path).await, 404, "not-found");
    assert_eq!(client.all("/accounts").await.len(), 1);
    let db = service.database().await;
    let rows = webhook_event::Entity::find()
        .filter(webhook_event::Column::IgAccountId.eq(ACCOUNT))
        .count(&db);
    assert_eq!(rows.await.unwrap(), 0);
    assert_eq!(comment::Entity::find().count(&db).await.unwrap(), 1);
    Audit::balanced(&service).await;
    problem(&client.get("/erasures/4711").await, 404, "not-found");

    // Added again it is a new account.
    let (again, _) = added(&client).await;
    assert_ne!(again, path);
}

#[tokio::test]
async fn what_meta_says_of_a_token_is_said() {
    let database = TestDatabase::sqlite().await;
    let (service, graph) = start(&database).await;
    let client = Client::of(&service);
    let body = new_account(json!({ "access_token": TOKEN }));
    graph.on(
        "GET /me",
        [error(400, 190, &format!("Malformed access token {TOKEN}"))],
    );
    let refused = problem(
        &client.post("/accounts", &body).await,
        400,
        "invalid-request",
    );
    assert_eq!(refused["errors"][0]["field"], "access_token");
    let said = refused["detail"].as_str().unwrap();
    assert!(
        said.contains("Malformed access token") && !said.contains(TOKEN),
        "{said}"
    );
    graph.is_owner(OTHER, "30");
    let refused = problem(
        &client.post("/accounts", &body).await,
        400,
        "invalid-request",
    );
    assert!(
        refused["detail"].as_str().unwrap().contains(OTHER),
        "{refused}"
    );
    for reply in [
        error(500, 2, "Service temporarily unavailable"),
        Reply::Never,
        error(400, 4, "limit"),
    ] {
        graph.on("GET /me", [reply]);
        problem(
            &client.post("/accounts", &body).await,
            502,
            "instagram-failed",
        );
    }
    assert_eq!(client.all("/accounts").await, [] as [Value; 0]);
}

#[tokio::test]
async fn bad_input_is_named() {
    let database = TestDatabase::sqlite().await;
    let (service, graph) = start(&database).await;
    let client = Client::of(&service);
    for (body, field) in [
        (json!({}), "instagram_business_account_id"),
        (
            json!({ "instagram_business_account_id": 17 }),
            "instagram_business_account_id",
        ),
        (
            json!({ "instagram_business_account_id": "1784 14" }),
            "instagram_business_account_id",
        ),
        (
            json!({ "instagram_business_account_id": "x".repeat(256) }),
            "instagram_business_account_id",
        ),
        (new_account(json!({ "username": "" })), "username"),
        (
            new_account(json!({ "app_scoped_id": "a\nb" })),
            "app_scoped_id",
        ),
        (
            new_account(json!({ "access_token": "two words" })),
            "access_token",
        ),
        (
            new_account(json!({ "access_token": "x".repeat(4097) })),
            "access_token",
        ),
        (new_account(json!({ "active": false })), "active"),
    ] {
        let refused = problem(
            &client.post("/accounts", &body).await,
            400,
            "invalid-request",
        );
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    let (path, account) = added(&client).await;
    for (body, field) in [
        (json!({ "active": null }), "active"),
        (json!({ "username": 5 }), "username"),
        (json!({ "id": Uuid::nil() }), "id"),
        (json!({ "access_token": "" }), "access_token"),
    ] {
        let refused = problem(
            &patch(&client, &path, Some("*"), &body).await,
            400,
            "invalid-request",
        );
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    problem(
        &client.delete(&format!("{path}?erase=maybe")).await,
        400,
        "invalid-request",
    );
    problem(
        &client.delete(&format!("{path}?purge=true")).await,
        400,
        "invalid-request",
    );
    assert_eq!(client.json(&path).await, account);
    assert_eq!(graph.asked().len(), 1);
}

#[tokio::test]
async fn a_token_does_what_it_may() {
    let database = TestDatabase::sqlite().await;
    let (service, _graph) = start(&database).await;
    let all = Client::of(&service);
    let (path, account) = added(&all).await;
    let other = all
        .post(
            "/accounts",
            &json!({ "instagram_business_account_id": OTHER }),
        )
        .await
        .json();
    let theirs = format!("/accounts/{}", other["id"].as_str().unwrap());
    let mine = Client::with(&service, token(json!({ "accounts": [account["id"]] })));
    assert_eq!(mine.all("/accounts").await, std::slice::from_ref(&account));
    problem(&mine.get(&theirs).await, 404, "not-found");
    problem(
        &patch(&mine, &theirs, Some("*"), &json!({ "active": false })).await,
        404,
        "not-found",
    );
    problem(&mine.delete(&theirs).await, 404, "not-found");
    assert_eq!(
        patch(&mine, &path, Some("*"), &json!({ "username": "mine" }))
            .await
            .status,
        200
    );
    problem(&mine.delete(&path).await, 403, "forbidden");
    problem(
        &mine.delete(&format!("{path}?erase=true")).await,
        403,
        "forbidden",
    );
    problem(
        &mine.post("/accounts", &new_account(json!({}))).await,
        403,
        "forbidden",
    );
    problem(
        &mine.get(&format!("/erasures/{ACCOUNT}")).await,
        403,
        "forbidden",
    );
    let reader = Client::with(&service, token(json!({ "scope": "webhooks:read" })));
    problem(&reader.delete(&path).await, 403, "forbidden");
    problem(
        &patch(&reader, &path, Some("*"), &json!({ "active": false })).await,
        403,
        "forbidden",
    );
    assert_eq!(all.json(&path).await["active"], true);
}

#[tokio::test]
async fn without_a_key_no_token_is_stored_and_all_else_works() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .set("accounts.auto_register", false)
        .start()
        .await;
    service.streams().await.drained().await;
    let client = Client::of(&service);
    let body = new_account(json!({ "access_token": TOKEN }));
    let refused = problem(&client.post("/accounts", &body).await, 503, "unavailable");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("accounts.encryption_key"),
        "{refused}"
    );
    let answer = client
        .post("/accounts", &new_account(json!({ "username": "shop" })))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["has_access_token"]),
        (201, &json!(false)),
        "{answer:?}"
    );
}
