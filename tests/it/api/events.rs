//! One event, with all that is known of it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, account, problem, setup};
use crate::support::{
    on_both,
    payloads::{ACCOUNT, changes, comment},
    postgres::TestDatabase,
    service::Service,
};

on_both! {
    it_has_its_payload_and_its_rows,
    what_was_unsent_is_blank,
}

fn messaging(item: &Value) -> String {
    let mut message = json!({
        "sender": {"id": "4711"}, "recipient": {"id": ACCOUNT}, "timestamp": 1_764_000_000_000_u64,
    });
    let (message_object, item) = (message.as_object_mut().unwrap(), item.as_object().unwrap());
    message_object.extend(item.clone());
    json!({ "object": "instagram", "entry": [{ "id": ACCOUNT, "time": 1_764_000_000, "messaging": [message] }] }).to_string()
}

async fn only(service: &Service, query: &str) -> Value {
    let client = Client::of(service);
    let events = format!("/webhooks/events/{}", account(service, ACCOUNT).await);
    let listed = client.all(&format!("{events}?{query}")).await;
    assert_eq!(listed.len(), 1, "{query}: {listed:?}");
    let receipt = listed[0]["receipt_id"].as_str().unwrap();
    let event = client.json(&format!("{events}/{receipt}")).await;
    for (name, value) in listed[0].as_object().unwrap() {
        assert_eq!(event[name], *value, "{name} is the same in both");
    }
    event
}

async fn it_has_its_payload_and_its_rows(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    let mut item = comment("17_5");
    item["value"]["big"] = json!(123_456_789_012_345_678_u64);
    let body = changes(ACCOUNT, &[item])
        .to_string()
        .replace("123456789012345678", "12345678901234567890123456789");
    service.deliver(&body).await;
    service
        .deliver(&messaging(
            &json!({"message": {"mid": "m1", "text": "hello"}}),
        ))
        .await;
    service
        .deliver(&messaging(&json!({"read": {"mid": "m1"}})))
        .await;
    service.streams().await.drained().await;

    let event = only(&service, "type=comment").await;
    assert_eq!(
        (&event["status"], &event["event_id"]),
        (&json!("stored"), &json!("comment_17_5_4711"))
    );
    assert_eq!(event["payload"]["value"]["text"], "text of 17_5");
    let big = event["payload"]["value"]["big"].to_string();
    assert_eq!(big, "12345678901234567890123456789", "every digit");
    let rows = event["rows"].as_array().unwrap();
    assert_eq!(
        (rows.len(), &rows[0]["table"]),
        (1, &json!("instagram_comments"))
    );
    let row = &rows[0]["row"];
    assert_eq!(
        (&row["id"], &row["is_live"]),
        (&json!("17_5"), &json!(false))
    );
    assert_eq!(row["timestamp"], "2025-11-24T16:00:00.000000Z");
    assert_eq!(row["account_id"], json!(account(&service, ACCOUNT).await));

    let message = only(&service, "type=message").await;
    let row = &message["rows"][0]["row"];
    assert_eq!(row["text"], "hello");
    assert!(
        row["seen_at"].is_string(),
        "its rows are as they are now: {row}"
    );
    let seen = only(&service, "type=messaging_seen").await;
    assert_eq!(seen["rows"][0]["row"]["id"], seen["receipt_id"]);

    let client = Client::of(&service);
    let nobody = format!(
        "/webhooks/events/{}/{}",
        account(&service, ACCOUNT).await,
        Uuid::from_u128(7)
    );
    problem(&client.get(&nobody).await, 404, "not-found");
}

async fn what_was_unsent_is_blank(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    service
        .deliver(&messaging(
            &json!({"message": {"mid": "m1", "text": "secret"}}),
        ))
        .await;
    service.streams().await.drained().await;
    service
        .deliver(&messaging(
            &json!({"message": {"mid": "m1", "is_deleted": true}}),
        ))
        .await;
    service.streams().await.drained().await;
    let event = only(&service, "q=message_m1_4711").await;
    assert_eq!(event["payload"], Value::Null);
    let row = &event["rows"][0]["row"];
    assert_eq!(
        (&row["is_deleted"], &row["text"]),
        (&json!(true), &Value::Null)
    );
    assert!(!event.to_string().contains("secret"), "{event}");
}
