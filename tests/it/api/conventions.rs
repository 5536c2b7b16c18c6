//! What every answer keeps to: ids of requests, rates, CORS, problems for what is not there.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::client::{Client, problem, setup, token};
use crate::support::{http, postgres::TestDatabase};

fn nowhere() -> String {
    format!("/webhooks/events/{}", Uuid::from_u128(1))
}

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let client = Client::of(&service);
    for (sent, kept) in [
        ("job-17.a:B_c", true),
        ("two words", false),
        ("<script>", false),
        ("", false),
        (&"x".repeat(129), false),
    ] {
        let request = client
            .request(Method::GET, &nowhere())
            .header("X-Request-Id", sent);
        let answer = http::send(request).await.unwrap();
        let id = answer.header("x-request-id").unwrap();
        assert_eq!(id == sent, kept, "{sent:?} became {id:?}");
        assert!(kept || Uuid::parse_str(id).is_ok(), "{id:?}");
    }
    for url in ["/api/instagram/nothing", "/openapi.json", "/docs/"] {
        let answer = http::get(&service.url(url)).await.unwrap();
        assert!(answer.header("x-request-id").is_some(), "{url}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{url}");
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{url}"
        );
    }
    let answer = client
        .request(Method::POST, &nowhere())
        .header("X-Request-Id", "seen-in-the-log");
    http::send(answer).await.unwrap();
    assert!(service.log().contains("seen-in-the-log"), "the log has it");
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let client = Client::of(&service);
    for path in [
        "",
        "/",
        "/nothing",
        "/webhooks/events",
        "/webhooks/events/",
        "/webhooks/nothing/x",
    ] {
        problem(&client.get(path).await, 404, "not-found");
    }
    let answer = client.post(&nowhere(), &json!({})).await;
    problem(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    // Instagram's side is as it was, and outside of it all is.
    let handshake = http::get(&service.webhook()).await.unwrap();
    assert_eq!(
        (handshake.status, handshake.header("x-request-id")),
        (400, None)
    );
    assert_eq!(
        http::get(&service.url("/nothing")).await.unwrap().status,
        404
    );
}

#[tokio::test]
async fn a_token_that_asks_too_often_has_to_wait() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .set("api.rate_limit_per_second", 2)
        .set("api.rate_limit_burst", 5)
        .start()
        .await;
    let (eager, other) = (
        Client::of(&service),
        Client::with(&service, token(json!({"sub": "another"}))),
    );
    let began = Instant::now();
    let mut refused = None;
    for _ in 0..200 {
        let answer = eager.get(&nowhere()).await;
        if answer.status != 404 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a limit");
    problem(&refused, 429, "rate-limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    problem(&other.get(&nowhere()).await, 404, "not-found");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    problem(&eager.get(&nowhere()).await, 404, "not-found");
    assert!(began.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn pages_of_other_origins_may_call_where_they_are_named() {
    let database = TestDatabase::sqlite().await;
    let origin = "https://console.example.com";
    let without = setup(&database).await.start().await;
    let preflight = |service: &crate::support::service::Service, origin: &str| {
        let request = Client::of(service).request(Method::OPTIONS, &nowhere());
        request
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "GET")
            .header("Access-Control-Request-Headers", "authorization")
    };
    let answer = http::send(preflight(&without, origin)).await.unwrap();
    assert_eq!(answer.status, 405, "{answer:?}");
    assert_eq!(
        answer.header("access-control-allow-origin"),
        None,
        "off by default"
    );

    let other = TestDatabase::sqlite().await;
    let with = setup(&other)
        .await
        .set("api.cors_origins", origin)
        .start()
        .await;
    let answer = http::send(preflight(&with, origin)).await.unwrap();
    assert_eq!(answer.status, 200, "without a token: {answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let refused = http::send(preflight(&with, "https://evil.example.com"))
        .await
        .unwrap();
    assert_eq!(
        refused.header("access-control-allow-origin"),
        None,
        "{refused:?}"
    );
    // A refusal has to be readable, too.
    let url = with.url(&format!("/api/instagram{}", nowhere()));
    let answer = http::send(http::client().get(url).header("Origin", origin))
        .await
        .unwrap();
    problem(&answer, 401, "unauthorized");
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin));
}

#[tokio::test]
async fn it_is_there_where_its_role_runs() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .roles("receiver,publisher,handlers")
        .start()
        .await;
    let answer = Client::of(&service).get(&nowhere()).await;
    assert_eq!((answer.status, answer.header("x-request-id")), (404, None));
    let openapi = http::get(&service.url("/openapi.json")).await.unwrap();
    assert_eq!(openapi.status, 404);
}
