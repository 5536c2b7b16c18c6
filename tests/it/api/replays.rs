//! Stored events are processed again, and how far that is.

use entity::comment;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, OTHER, account, deliver_comment, problem, setup, token};
use crate::support::{
    eventually::{eventually, eventually_true},
    on_both,
    payloads::ACCOUNT,
    postgres::TestDatabase,
    service::Service,
};

on_both! {
    what_was_falsified_is_right_again,
}

async fn until_done(client: &Client<'_>, location: &str) -> Value {
    let path = location.strip_prefix("/api/instagram").unwrap();
    eventually("the replay is done", async || {
        let replay = client.json(path).await;
        if replay["state"] == "running" {
            Err(replay.to_string())
        } else {
            Ok(replay)
        }
    })
    .await
}

async fn texts(service: &Service) -> Vec<Option<String>> {
    let all = comment::Entity::find()
        .all(&service.database().await)
        .await
        .unwrap();
    all.into_iter().map(|row| row.text).collect()
}

async fn what_was_falsified_is_right_again(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    for id in ["1", "2", "3"] {
        deliver_comment(&service, ACCOUNT, id).await;
    }
    deliver_comment(&service, OTHER, "4").await;
    service.streams().await.drained().await;
    let db = service.database().await;
    db.execute_unprepared("UPDATE instagram_comments SET text = 'false'")
        .await
        .unwrap();
    let id = account(&service, ACCOUNT).await;
    let (client, path) = (Client::of(&service), format!("/webhooks/replay/{id}"));

    let begun = client
        .post(&path, &json!({"type": "comment", "dry_run": true}))
        .await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let location = begun.header("location").unwrap();
    assert_eq!(
        location,
        format!(
            "/api/instagram/webhooks/replays/{}",
            begun.json()["id"].as_str().unwrap()
        )
    );
    let looked = until_done(&client, location).await;
    assert_eq!(
        (&looked["state"], &looked["report"]["sent"]),
        (&json!("done"), &json!({"comment": 3}))
    );
    assert_eq!(
        looked["report"]["changes"]["by_column"]["instagram_comments"]["text"], 3,
        "{looked:#}"
    );
    assert!(
        looked["report"]["may_lack_before"].is_string(),
        "of times before retention: {looked:#}"
    );
    assert!(
        texts(&service)
            .await
            .iter()
            .all(|text| text.as_deref() == Some("false")),
        "nothing is changed"
    );

    let nothing = client.post(&path, &json!({"type": "message"})).await;
    let nothing = until_done(&client, nothing.header("location").unwrap()).await;
    assert_eq!(nothing["report"]["sent"], json!({}));
    let begun = client.post(&path, &json!({})).await;
    let location = begun.header("location").unwrap().to_owned();
    let done = until_done(&client, &location).await;
    assert!(
        done["finished_at"].is_string() && done["error"].is_null(),
        "{done}"
    );
    eventually_true("the account's own are right again", async || {
        let texts = texts(&service).await;
        texts
            .iter()
            .filter(|text| text.as_deref() == Some("false"))
            .count()
            == 1
    })
    .await;

    let below = location.strip_prefix("/api/instagram").unwrap();
    let other = Client::with(
        &service,
        token(json!({ "accounts": [account(&service, OTHER).await] })),
    );
    let hidden = other.get(below).await;
    problem(&hidden, 404, "not-found");
    let missing = other
        .get(&format!("/webhooks/replays/{}", Uuid::from_u128(1)))
        .await;
    assert_eq!(hidden.body, missing.body);
    problem(&other.post(&path, &json!({})).await, 404, "not-found");
    let reversed = json!({"from": "2026-11-25T00:00:00Z", "to": "2026-11-24T00:00:00Z"});
    problem(&client.post(&path, &reversed).await, 400, "invalid-request");
}
