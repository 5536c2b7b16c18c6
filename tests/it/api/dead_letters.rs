//! What failed for good, seen, tried again and given up over HTTP.

use entity::comment;
use reqwest::Method;
use sea_orm::{ConnectionTrait, EntityTrait, PaginatorTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, OTHER, account, deliver_comment, problem, setup, token};
use crate::support::{
    eventually::eventually_true,
    http,
    payloads::{ACCOUNT, changes, comment as comment_item},
    postgres::TestDatabase,
    service::Service,
};

const POISON: &str = "CREATE TRIGGER poison BEFORE INSERT ON instagram_comments \
    WHEN NEW.id LIKE 'poison%' BEGIN SELECT RAISE(ABORT, 'no poison here'); END";

/// Two dead comments and a malformed one, and two that are well; and one of another account.
async fn with_dead_letters() -> (TestDatabase, Service) {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .set("handlers.max_attempts", 1)
        .start()
        .await;
    deliver_comment(&service, OTHER, "before").await;
    service.streams().await.drained().await;
    service
        .database()
        .await
        .execute_unprepared(POISON)
        .await
        .unwrap();
    let malformed = json!({ "field": "comments", "value": { "text": "no id" } });
    let mut items = vec![malformed];
    items.extend(["good", "poison-1", "fine", "poison-2"].map(comment_item));
    service.deliver(&changes(ACCOUNT, &items).to_string()).await;
    deliver_comment(&service, OTHER, "poison-3").await;
    service.streams().await.drained().await;
    (database, service)
}

fn ids(events: &[Value]) -> Vec<String> {
    let id = |event: &Value| event["event_id"].as_str().unwrap().to_owned();
    let mut ids: Vec<String> = events.iter().map(id).collect();
    ids.sort();
    ids
}

async fn comments(service: &Service) -> u64 {
    comment::Entity::find()
        .count(&service.database().await)
        .await
        .unwrap()
}

async fn mend(service: &Service) {
    service
        .database()
        .await
        .execute_unprepared("DROP TRIGGER poison")
        .await
        .unwrap();
}

#[tokio::test]
async fn they_are_listed_tried_again_and_given_up() {
    let (_database, service) = with_dead_letters().await;
    let client = Client::of(&service);
    let letters = format!(
        "/webhooks/dead-letters/{}",
        account(&service, ACCOUNT).await
    );
    let all = client.all(&format!("{letters}?limit=2")).await;
    assert_eq!(all.len(), 3, "{all:?}");
    let poisoned = client.all(&format!("{letters}?type=comment")).await;
    assert_eq!(
        ids(&poisoned),
        ["comment_poison-1_4711", "comment_poison-2_4711"]
    );
    assert!(
        poisoned[0]["last_processing_error"]
            .as_str()
            .unwrap()
            .contains("no poison here")
    );

    let of = |letter: &Value| format!("{letters}/{}", letter["receipt_id"].as_str().unwrap());
    let malformed = all
        .iter()
        .find(|letter| letter["event_type"] == "unknown")
        .unwrap();
    let answer = client
        .post(&format!("{}/retry", of(malformed)), &Value::Null)
        .await;
    problem(&answer, 409, "conflict");
    let given_up = client.delete(&of(malformed)).await;
    assert_eq!((given_up.status, given_up.body.as_str()), (204, ""));
    problem(&client.delete(&of(malformed)).await, 404, "not-found");
    assert_eq!(client.all(&letters).await.len(), 2);

    mend(&service).await;
    let before = comments(&service).await;
    let answer = client
        .post(&format!("{}/retry", of(&poisoned[0])), &Value::Null)
        .await;
    assert_eq!(
        (answer.status, answer.json()),
        (202, json!({"sent": 1, "malformed": 0}))
    );
    eventually_true("it is stored", async || {
        comments(&service).await == before + 1
    })
    .await;
    eventually_true("it is no dead letter any more", async || {
        client.all(&letters).await.len() == 1
    })
    .await;
    problem(
        &client
            .post(&format!("{}/retry", of(&poisoned[0])), &Value::Null)
            .await,
        404,
        "not-found",
    );
    let nobody = format!("{letters}/{}", Uuid::from_u128(1));
    problem(&client.delete(&nobody).await, 404, "not-found");

    // Another's is not there, by whichever account.
    let theirs = format!("/webhooks/dead-letters/{}", account(&service, OTHER).await);
    let dead = client.all(&theirs).await;
    let receipt = dead[0]["receipt_id"].as_str().unwrap();
    problem(
        &client.delete(&format!("{letters}/{receipt}")).await,
        404,
        "not-found",
    );
    let mine = Client::with(
        &service,
        token(json!({ "accounts": [account(&service, ACCOUNT).await] })),
    );
    problem(
        &mine.delete(&format!("{theirs}/{receipt}")).await,
        404,
        "not-found",
    );
    assert_eq!(client.all(&theirs).await.len(), 1);
}

#[tokio::test]
async fn failed_events_are_tried_again_together() {
    let (_database, service) = with_dead_letters().await;
    let client = Client::of(&service);
    let id = account(&service, ACCOUNT).await;
    let retry = format!("/webhooks/retry/{id}");
    let received = client
        .all(&format!("/webhooks/events/{id}?failed=true"))
        .await;
    let received_at = received[0]["received_at"].as_str().unwrap();
    for (which, sent, malformed) in [
        (
            json!({"event_ids": ["comment_poison-1_4711", "no such"]}),
            1,
            0,
        ),
        (json!({"event_ids": ["comment_poison-3_4711"]}), 0, 0),
        (
            json!({"event_ids": ["comment_poison-1_4711"], "type": "message"}),
            0,
            0,
        ),
        (json!({"type": "message"}), 0, 0),
        (json!({"since": "2199-01-01T00:00:00Z"}), 0, 0),
        (json!({"since": received_at}), 2, 1),
    ] {
        let answer = client.post(&retry, &which).await;
        assert_eq!(
            (answer.status, answer.json()),
            (202, json!({"sent": sent, "malformed": malformed})),
            "{which}"
        );
    }
    let deaths = async |wanted: i64| {
        eventually_true("each died once more", async || {
            let letters = client
                .all(&format!("/webhooks/dead-letters/{id}?type=comment"))
                .await;
            letters
                .iter()
                .all(|letter| letter["deaths"] == wanted && letter["processing_attempts"] == 1)
        })
        .await;
    };
    deaths(2).await;
    mend(&service).await;
    let before = comments(&service).await;
    for _ in 0..3 {
        assert_eq!(
            client
                .post(&retry, &json!({"type": "comment"}))
                .await
                .status,
            202
        );
    }
    eventually_true("they are stored", async || {
        comments(&service).await == before + 2
    })
    .await;
    service.streams().await.drained().await;
    let nothing = client.post(&retry, &json!({"type": "comment"})).await;
    assert_eq!(
        nothing.json(),
        json!({"sent": 0, "malformed": 0}),
        "harmless when repeated"
    );
    assert_eq!(
        client
            .all(&format!(
                "/webhooks/dead-letters/{}",
                account(&service, OTHER).await
            ))
            .await
            .len(),
        1,
        "another's is as it was"
    );
}

#[tokio::test]
async fn a_wrong_body_is_refused_naming_the_field() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    deliver_comment(&service, ACCOUNT, "1").await;
    let retry = format!("/webhooks/retry/{}", account(&service, ACCOUNT).await);
    let client = Client::of(&service);
    for (body, field) in [
        (json!({}), "event_ids"),
        (json!({"event_ids": []}), "event_ids"),
        (json!({"event_ids": vec!["x"; 501]}), "event_ids"),
        (json!({"event_ids": "x"}), "event_ids"),
        (json!({"event_ids": [1]}), "event_ids[0]"),
        (json!({"event_ids": ["a\u{0}b"]}), "event_ids[0]"),
        (json!({"event_ids": null, "type": "comment"}), "event_ids"),
        (json!({"type": "comments"}), "type"),
        (json!({"type": ["comment"]}), "type"),
        (json!({"since": 1_764_000_000}), "since"),
        (json!({"since": "yesterday"}), "since"),
        (json!({"type": "comment", "limit": 5}), "limit"),
    ] {
        let answer = client.post(&retry, &body).await;
        let problem = problem(&answer, 400, "invalid-request");
        assert_eq!(problem["errors"][0]["in"], "body", "{body}: {problem}");
        assert_eq!(problem["errors"][0]["field"], field, "{body}: {problem}");
    }
    let send = async |body: &str, content_type: Option<&str>| {
        let mut request = client.request(Method::POST, &retry).body(body.to_owned());
        if let Some(content_type) = content_type {
            request = request.header("Content-Type", content_type);
        }
        http::send(request).await.unwrap()
    };
    let json = Some("application/json; charset=utf-8");
    for body in [
        "",
        "{",
        "[]",
        "\"x\"",
        "{\"type\":\"comment\"}}",
        "{\"type\":\"comment\",\"type\":\"comment\"}",
        "\u{feff}{}",
    ] {
        problem(&send(body, json).await, 400, "invalid-request");
    }
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
    ] {
        problem(
            &send("{}", content_type).await,
            415,
            "unsupported-media-type",
        );
    }
    let large = format!("{{\"type\":\"{}\"}}", "x".repeat(300_000));
    problem(&send(&large, json).await, 413, "body-too-large");
    let deep = format!(
        "{{\"type\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    problem(&send(&deep, json).await, 400, "invalid-request");
}
