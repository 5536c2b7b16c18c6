//! `igstream send`: one payload, tried by a person.

use std::{fs, process::Stdio};

use entity::comment;
use igstream::stream::names::DELIVERIES;
use sea_orm::EntityTrait;
use tokio::io::AsyncWriteExt;

use crate::support::{
    payloads::{ACCOUNT, changes, comment, one_comment},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

/// A payload of a file of its own; the name as it is given to the command.
fn payload(service: &Service, name: &str, body: &[u8]) -> String {
    fs::write(service.file(name), body).expect("the payload is written");
    name.to_owned()
}

#[tokio::test]
async fn files_are_posted_byte_for_byte_and_told_before() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let body = format!("\n {} \r\n", one_comment("by-hand"));
    let good = payload(&service, "good.json", body.as_bytes());
    let malformed = serde_json::json!({ "field": "comments", "value": { "text": "no id" } });
    let mixed = changes(ACCOUNT, &[comment("second"), malformed]).to_string();
    let mixed = payload(&service, "mixed.json", mixed.as_bytes());

    // The address is that of the configuration.
    let sent = service.run(&["send", &good, &mixed]).await;
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    let told = String::from_utf8_lossy(&sent.stdout).into_owned();
    for part in [
        "good.json",
        "comment comment_by-hand_4711",
        "comment comment_second_4711",
        "/entry/0/changes/1: malformed, would be a dead letter: a comment without",
        "answered 200: EVENT_RECEIVED",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let before = told.find("comment_by-hand").unwrap();
    assert!(before < told.find("answered 200").unwrap(), "{told}");

    let streams = service.streams().await;
    streams.drained().await;
    let db = service.database().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_refused_is_posted_all_the_same() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    for (name, body, warning) in [
        ("empty.json", &b""[..], "it is empty"),
        ("words.json", b"not JSON", "not JSON"),
        ("number.json", b"17", "neither an object"),
        ("latin1.json", b"{\"a\":\"\xe4\"}", "not JSON"),
    ] {
        let file = payload(&service, name, body);
        let refused = service.run(&["send", &file]).await;
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        let told = said(&refused);
        assert!(told.contains(warning), "{warning}: {told}");
        assert!(told.contains("answered 400"), "{told}");
    }
    let streams = service.streams().await;
    assert_eq!(streams.count(DELIVERIES).await, 0);
}

#[tokio::test]
async fn one_that_cannot_be_read_does_not_stop_the_next() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let file = payload(&service, "good.json", one_comment("read").as_bytes());
    let sent = service.run(&["send", "missing.json", ".", &file]).await;
    assert_eq!(sent.status.code(), Some(1), "{}", said(&sent));
    for part in ["missing.json: ", "answered 200"] {
        assert!(said(&sent).contains(part), "{part}: {}", said(&sent));
    }
    assert_eq!(said(&sent).matches("cannot be read").count(), 2);
}

#[tokio::test]
async fn standard_input_is_a_file_too() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let url = service.webhook();
    let mut process = service
        .command(&["send", "--url", &url, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("igstream runs");
    let mut stdin = process.stdin.take().expect("its input");
    stdin
        .write_all(one_comment("piped").as_bytes())
        .await
        .expect("the payload is written");
    drop(stdin);
    let sent = process.wait_with_output().await.expect("an end");
    assert_eq!(sent.status.code(), Some(0), "{}", said(&sent));
    assert!(
        said(&sent).contains("comment_piped_4711"),
        "{}",
        said(&sent)
    );
}

#[tokio::test]
async fn without_a_secret_a_service_or_a_file_it_says_so() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).not_started();
    let file = payload(&service, "good.json", one_comment("nobody").as_bytes());
    let nobody = service.run(&["send", &file]).await;
    assert_eq!(nobody.status.code(), Some(1), "{}", said(&nobody));
    assert!(
        said(&nobody).contains(&service.webhook()),
        "{}",
        said(&nobody)
    );
    assert!(
        said(&nobody).contains("igstream serve"),
        "{}",
        said(&nobody)
    );

    let wrong = service.run(&["send", "--url", "ftp://x", &file]).await;
    assert_eq!(wrong.status.code(), Some(2), "{}", said(&wrong));
    assert!(said(&wrong).contains("ftp://x"), "{}", said(&wrong));

    let none = service.run(&["send"]).await;
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));

    let service = Setup::managed(&database)
        .set("instagram.app_secrets", "")
        .not_started();
    let unsigned = service.run(&["send", &file]).await;
    assert_eq!(unsigned.status.code(), Some(2), "{}", said(&unsigned));
    assert!(said(&unsigned).contains("instagram.app_secrets"));
}
