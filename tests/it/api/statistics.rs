//! Figures of an account, from what Instagram told.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, OTHER, account, deliver_comment, problem, setup, token};
use crate::support::{
    on_both,
    payloads::{ACCOUNT, changes},
    postgres::TestDatabase,
    service::{Service, said},
};

on_both! {
    what_came_is_counted,
    what_people_did_is_counted,
    a_wrong_request_is_told_what_is_wrong,
}

async fn path(service: &Service) -> String {
    format!("/webhooks/stats/{}", account(service, ACCOUNT).await)
}

/// A figure of all steps together.
fn sum(series: &Value, event_type: &str, figure: &str) -> i64 {
    let steps = series.as_array().unwrap().iter();
    steps
        .filter(|step| step["event_type"] == event_type)
        .map(|step| step[figure].as_i64().unwrap())
        .sum()
}

async fn what_came_is_counted(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    for id in ["1", "1", "2"] {
        deliver_comment(&service, ACCOUNT, id).await;
    }
    deliver_comment(&service, OTHER, "3").await;
    let malformed = json!({ "field": "comments", "value": { "text": "without an id" } });
    service
        .deliver(&changes(ACCOUNT, &[malformed]).to_string())
        .await;
    service.streams().await.drained().await;

    let path = path(&service).await;
    let client = Client::of(&service);
    let figures = client.json(&path).await;
    assert_eq!(figures["period"]["bucket"], "day");
    let types = figures["types"].as_array().unwrap();
    let counted: Vec<Value> = types
        .iter()
        .map(|of| {
            json!([
                of["event_type"],
                of["received"],
                of["processed"],
                of["failed"],
                of["duplicates"]
            ])
        })
        .collect();
    assert_eq!(
        counted,
        [
            json!(["comment", 3, 3, 0, 1]),
            json!(["unknown", 1, 0, 1, 0])
        ]
    );
    let seconds = |figure: &str| types[0][figure].as_f64().unwrap();
    let (median, p99) = (seconds("median_seconds"), seconds("p99_seconds"));
    assert!(0.0 < median && median <= p99 && p99 < 60.0, "{figures}");
    assert_eq!(types[1]["median_seconds"], Value::Null, "never stored");
    let at = |time: &Value| time.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let last = at(&figures["last_event_at"]);
    assert_eq!(last, at(&types[1]["last_event_at"]));

    let by_hour = client.json(&format!("{path}?bucket=hour")).await;
    for series in [&figures["series"], &by_hour["series"]] {
        assert_eq!(sum(series, "comment", "received"), 3);
        assert_eq!(sum(series, "comment", "duplicates"), 1);
        assert_eq!(sum(series, "unknown", "failed"), 1);
    }
    let steps_begin_at = |series: &Value, clock: &str| {
        let steps = series.as_array().unwrap().iter();
        steps
            .map(|step| step["at"].as_str().unwrap())
            .all(|at| at.ends_with(clock))
    };
    assert!(steps_begin_at(&by_hour["series"], ":00:00Z"), "{by_hour}");
    assert!(
        steps_begin_at(&figures["series"], "T00:00:00Z"),
        "{figures}"
    );

    let before = "from=2025-11-01T00:00:00Z&to=2025-12-01T00:00:00Z";
    let before = client.json(&format!("{path}?{before}")).await;
    assert_eq!(
        (&before["types"], &before["series"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(at(&before["last_event_at"]), last, "whenever that was");
}

/// A messaging item, so many seconds after 2025-11-24T16:00:00Z.
fn item(after: u64, sender: &str, what: &Value) -> String {
    let recipient = if sender == ACCOUNT { "4711" } else { ACCOUNT };
    let mut item = json!({
        "sender": { "id": sender }, "recipient": { "id": recipient },
        "timestamp": (1_764_000_000 + after) * 1000,
    });
    let what = what.as_object().unwrap().clone();
    item.as_object_mut().unwrap().extend(what);
    let entry = json!({ "id": ACCOUNT, "time": 1_764_000_000, "messaging": [item] });
    json!({ "object": "instagram", "entry": [entry] }).to_string()
}

async fn what_people_did_is_counted(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    let insight = json!({ "field": "story_insights", "value": {
        "media_id": "1789", "impressions": 40, "reach": 30, "exits": 3, "replies": 2,
    } });
    let reaction =
        |action| json!({ "reaction": { "mid": "m1", "action": action, "reaction": "love" } });
    for body in [
        item(
            0,
            ACCOUNT,
            &json!({ "message": { "mid": "m1", "text": "hello", "is_echo": true } }),
        ),
        item(
            1,
            ACCOUNT,
            &json!({ "message": { "mid": "m2", "text": "there", "is_echo": true } }),
        ),
        item(60, "4711", &json!({ "read": { "mid": "m1" } })),
        item(
            90,
            "4711",
            &json!({ "message": { "mid": "m3", "text": "hi" } }),
        ),
        item(91, "4711", &reaction("react")),
        item(92, "4712", &reaction("react")),
        item(93, "4712", &reaction("unreact")),
        item(
            94,
            "4711",
            &json!({ "postback": { "mid": "p1", "title": "Buy", "payload": "BUY" } }),
        ),
        changes(ACCOUNT, &[insight]).to_string(),
    ] {
        service.deliver(&body).await;
    }
    service.streams().await.drained().await;

    let day = "from=2025-11-24T00:00:00Z&to=2025-11-25T00:00:00Z";
    let figures = Client::of(&service)
        .json(&format!("{}?{day}", path(&service).await))
        .await;
    assert_eq!(
        figures["reactions"],
        json!({
            "by_type": [{ "reaction_type": "love", "reacted": 2, "people": 2 }],
            "most_reacted": [{ "message_id": "m1", "reacted": 2, "taken_back": 1 }],
        })
    );
    let pressed_at = "2025-11-24T16:01:34Z";
    assert_eq!(
        figures["postbacks"],
        json!([{
            "payload": "BUY", "title": "Buy", "pressed": 1, "people": 1, "dealt_with": 0,
            "first_at": pressed_at, "last_at": pressed_at,
        }])
    );
    assert_eq!(
        figures["reading"],
        json!({
            "sent": 2, "read": 1, "read_rate": 0.5,
            "median_seconds_to_read": 60.0, "p99_seconds_to_read": 60.0,
            "replies": 1, "median_seconds_to_reply": 30.0, "p99_seconds_to_reply": 30.0,
        })
    );
    assert_eq!(
        figures["stories"],
        json!([{
            "media_id": "1789", "at": "2025-11-24T16:00:00Z", "reach": 30, "impressions": 40,
            "reach_rate": 0.75, "exits": 3, "replies": 2,
        }])
    );
}

async fn a_wrong_request_is_told_what_is_wrong(database: TestDatabase) {
    let service = setup(&database).await.start().await;
    deliver_comment(&service, ACCOUNT, "1").await;
    deliver_comment(&service, OTHER, "2").await;
    let path = path(&service).await;
    let client = Client::of(&service);
    for (query, field, told) in [
        (
            "from=2025-11-25T00:00:00Z&to=2025-11-24T00:00:00Z",
            "from",
            "not later",
        ),
        (
            "from=2025-11-25T00:00:00Z&to=2025-11-25T00:00:00Z",
            "from",
            "not later",
        ),
        ("from=2999-01-01T00:00:00Z", "from", "not later"),
        (
            "from=2024-01-01T00:00:00Z&to=2025-11-24T00:00:00Z",
            "from",
            "400 days",
        ),
        ("from=2020-01-01T00:00:00Z", "from", "400 days"),
        ("to=yesterday", "to", "2026-11-24T16:00:00Z"),
        ("bucket=week", "bucket", "`hour` or `day`"),
        ("type=comment", "type", "bucket"),
    ] {
        let answer = client.get(&format!("{path}?{query}")).await;
        let problem = problem(&answer, 400, "invalid-request");
        let error = &problem["errors"][0];
        assert_eq!(
            (&error["in"], &error["field"]),
            (&json!("query"), &json!(field)),
            "{query}"
        );
        let detail = error["detail"].as_str().unwrap();
        assert!(detail.contains(told), "{query}: {detail}");
    }
    for extreme in [
        "from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z",
        "to=0000-01-01T00:00:00Z",
        "from=9999-12-01T00:00:00Z&to=9999-12-31T23:59:59Z",
    ] {
        let figures = client.json(&format!("{path}?{extreme}")).await;
        assert_eq!(figures["types"], json!([]), "{extreme}");
    }

    let others = account(&service, OTHER).await;
    let of_others = Client::with(&service, token(json!({ "accounts": [others] })));
    let hidden = of_others.get(&path).await;
    let nobody = format!("/webhooks/stats/{}", Uuid::from_u128(1));
    let missing = of_others.get(&nobody).await;
    problem(&hidden, 404, "not-found");
    assert_eq!(hidden.body, missing.body);
}

#[tokio::test]
async fn the_document_names_it() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.not_started();
    let output = service.run(&["openapi"]).await;
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    let operation = &document["paths"]["/api/instagram/webhooks/stats/{accountId}"]["get"];
    let parameters: Vec<&str> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(parameters, ["accountId", "from", "to", "bucket"]);
    assert_eq!(
        operation["parameters"][3]["schema"]["enum"],
        json!(["hour", "day"])
    );
    let answer = &operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    let schema = answer.as_str().unwrap().trim_start_matches('#');
    let required = &document.pointer(schema).unwrap()["required"];
    assert_eq!(
        required.as_array().unwrap().len(),
        8,
        "what is not there is null: {required}"
    );
}
