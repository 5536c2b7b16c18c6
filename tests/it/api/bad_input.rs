//! What a client can get wrong, or try: 400, naming the field and what is allowed.

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::client::{Client, account, deliver_comment, problem, setup};
use crate::support::{
    http::{self, Answer},
    on_both,
    payloads::ACCOUNT,
    postgres::TestDatabase,
};

on_both! {
    a_wrong_field_is_named,
    what_looks_like_an_injection_finds_nothing,
}

fn assert_names(answer: &Answer, place: &str, field: &str, told: &str) {
    let problem = problem(answer, 400, "invalid-request");
    let error = &problem["errors"][0];
    assert_eq!(
        (&error["in"], &error["field"]),
        (&Value::from(place), &Value::from(field)),
        "{problem}"
    );
    let detail = error["detail"].as_str().unwrap();
    assert!(detail.contains(told), "{field}: {detail}");
}

async fn a_wrong_field_is_named(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    deliver_comment(&service, ACCOUNT, "1").await;
    let events = format!("/webhooks/events/{}", account(&service, ACCOUNT).await);
    let client = Client::of(&service);
    for (query, field, told) in [
        ("limit=0", "limit", "from 1 to 500"),
        ("limit=501", "limit", "from 1 to 500"),
        ("limit=99999999999999999999999", "limit", "from 1 to 500"),
        ("limit=-1", "limit", "from 1 to 500"),
        ("limit=ten", "limit", "from 1 to 500"),
        ("limit=", "limit", "from 1 to 500"),
        ("limit=1&limit=2", "limit", "duplicate"),
        ("type=comments", "type", "live_comment"),
        ("type=", "type", "live_comment"),
        ("processed=yes", "processed", "true"),
        ("failed=1", "failed", "true"),
        ("from=yesterday", "from", "2026-11-24T16:00:00Z"),
        ("to=2026-11-24", "to", "2026-11-24T16:00:00Z"),
        ("from=2026-11-24T16:00:00+01:00", "from", "%2B"),
        (
            "from=2026-11-25T00:00:00Z&to=2026-11-24T00:00:00Z",
            "from",
            "later than to",
        ),
        ("sender=", "sender", "1 to 255"),
        ("sender=%00", "sender", "control character"),
        ("q=%0D%0AX-Evil:%201", "q", "control character"),
        ("cursor=x", "cursor", "next_cursor"),
        ("cursor=e30", "cursor", "next_cursor"),
        ("offset=10", "offset", "limit"),
        ("Limit=10", "Limit", "limit"),
    ] {
        let answer = client.get(&format!("{events}?{query}")).await;
        assert_names(&answer, "query", field, told);
    }
    let long = format!("{events}?q={}", "x".repeat(513));
    assert_names(&client.get(&long).await, "query", "q", "1 to 512");
    let not_utf8 = client.get(&format!("{events}?q=%ff%fe")).await;
    problem(&not_utf8, 400, "invalid-request");
    for id in [
        "17841405822304914",
        "*",
        "x",
        "00000000-0000-0000-0000-00000000000g",
    ] {
        let answer = client.get(&format!("/webhooks/events/{id}")).await;
        assert_names(&answer, "path", "accountId", "UUID");
        let answer = client.get(&format!("{events}/{id}")).await;
        assert_names(&answer, "path", "receiptId", "UUID");
    }
    let answer = client.get(&format!("{events}/%ff")).await;
    assert_names(&answer, "path", "receiptId", "UTF-8");
}

async fn what_looks_like_an_injection_finds_nothing(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    deliver_comment(&service, ACCOUNT, "1").await;
    service.streams().await.drained().await;
    let events = format!("/webhooks/events/{}", account(&service, ACCOUNT).await);
    let client = Client::of(&service);
    for text in [
        "' OR '1'='1",
        "'; DROP TABLE instagram_webhook_events; --",
        "\" OR 1=1 --",
        "$1",
        "%",
        "comment_%",
        "comment\\_1",
        "🦀",
        "~",
    ] {
        for field in ["q", "sender"] {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair(field, text)
                .finish();
            let request = client.request(Method::GET, &format!("{events}?{query}"));
            let answer = http::send(request).await.unwrap();
            assert_eq!(answer.status, 200, "{field}={text}: {answer:?}");
            assert_eq!(
                answer.json()["items"],
                Value::Array(Vec::new()),
                "{field}={text}"
            );
        }
    }
    assert_eq!(client.all(&events).await.len(), 1, "nothing happened");
    let request = client
        .request(Method::GET, &events)
        .header("X-Request-Id", "a\tb");
    let answer = http::send(request).await.unwrap();
    assert!(Uuid::parse_str(answer.header("x-request-id").unwrap()).is_ok());
}
