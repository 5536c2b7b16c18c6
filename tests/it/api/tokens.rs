//! `igstream token`, and the token of the demo.

use serde_json::json;
use uuid::Uuid;

use super::client::{Client, problem, setup, without_keys};
use crate::support::{
    eventually::eventually,
    postgres::TestDatabase,
    service::{Service, said},
};

async fn issued(service: &Service, arguments: &[&str]) -> String {
    let output = service.run(&[&["token"], arguments].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_token_may_do_what_it_was_issued_for() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let path = format!("/webhooks/events/{}", Uuid::from_u128(1));
    let get = async |arguments: &[&str]| {
        let token = issued(&service, arguments).await;
        Client::with(&service, token).get(&path).await
    };
    problem(&get(&["--accounts", "*"]).await, 404, "not-found");
    let id = Uuid::from_u128(1).to_string();
    problem(
        &get(&["--accounts", &id, "--expires-in", "1m"]).await,
        404,
        "not-found",
    );
    let answer = get(&["--accounts", "*", "--scope", "webhooks:write"]).await;
    let refused = problem(&answer, 403, "forbidden");
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("webhooks:read"),
        "{refused}"
    );
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"igstream\", error=\"insufficient_scope\", scope=\"webhooks:read\"")
    );
}

#[tokio::test]
async fn what_cannot_be_issued_is_wrong_usage() {
    let database = TestDatabase::sqlite().await;
    let without = without_keys(&database).await.not_started();
    let output = without.run(&["token", "--accounts", "*"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).contains("auth.jwt_secret is not set"),
        "{}",
        said(&output)
    );
    let service = setup(&database).await.not_started();
    for arguments in [
        &["token"] as &[&str],
        &["token", "--accounts", "17841405822304914"],
        &["token", "--accounts", "*", "--scope", "everything"],
        &["token", "--accounts", "*", "--expires-in", "never"],
        &["token", "--accounts", "*", "--expires-in", "0s"],
    ] {
        let output = service.run(arguments).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn the_demo_prints_a_token_that_is_good() {
    let database = TestDatabase::sqlite().await;
    let service = without_keys(&database).await.not_started();
    let mut process = service.command(&["serve", "--demo"]);
    let log = std::fs::File::create(service.file("demo.log")).unwrap();
    let mut process = process.stdout(log).spawn().unwrap();
    let printed = eventually("it prints a token", async || {
        let text = std::fs::read_to_string(service.file("demo.log")).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("export IGSTREAM_TOKEN="));
        line.map(str::to_owned).ok_or(text.clone())
    })
    .await;
    let client = Client::with(&service, printed);
    let answer = client
        .get(&format!("/webhooks/events/{}", Uuid::from_u128(1)))
        .await;
    problem(&answer, 404, "not-found");
    let refused = client.post("/webhooks/audit", &json!({})).await;
    assert!([404, 405].contains(&refused.status), "{refused:?}");
    process.kill().await.unwrap();
}
