//! What a delivery is answered, row by row of the contract, and that what is refused leaves no trace.

use entity::webhook_event::{self, status};
use igstream::stream::names::{DEAD_LETTERS, DELIVERIES, EVENTS, STORED};
use reqwest::header::CONTENT_TYPE;
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::support::{
    eventually::eventually_true,
    http::{self, Answer, RawRequest, SECRETS, VERIFY_TOKEN, client, signature},
    payloads::{ACCOUNT, changes, comment, mention, one_comment, strange_comment},
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

/// A body and the signature headers it comes with; what it must be answered, and how it must be counted.
struct Case {
    name: &'static str,
    body: String,
    headers: Vec<(&'static str, String)>,
    status: u16,
    outcome: &'static str,
}

const SIGNATURE: &str = "X-Hub-Signature-256";

impl Case {
    fn signed(name: &'static str, body: &str, status: u16, outcome: &'static str) -> Self {
        let headers = vec![(SIGNATURE, signature(SECRETS[0], body))];
        Self {
            name,
            body: body.to_owned(),
            headers,
            status,
            outcome,
        }
    }

    /// A good body with this signature.
    fn with(name: &'static str, sign: impl Fn(&str) -> String, status: u16) -> Self {
        let body = one_comment(&format!("comment of {name}"));
        let headers = vec![(SIGNATURE, sign(&body))];
        let outcome = if status == 200 {
            "accepted"
        } else {
            "invalid_signature"
        };
        Self {
            name,
            body,
            headers,
            status,
            outcome,
        }
    }

    async fn post(&self, service: &Service) -> Answer {
        let mut request = client()
            .post(service.webhook())
            .header(CONTENT_TYPE, "application/json")
            .body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        http::send(request).await.expect("an answer")
    }
}

fn signatures() -> Vec<Case> {
    let right = |body: &str| signature(SECRETS[0], body);
    let hex = move |body: &str| right(body).trim_start_matches("sha256=").to_owned();
    let mut cases = vec![
        Case::with("an empty signature", |_| String::new(), 401),
        Case::with(
            "a signature that is no hex",
            |_| format!("sha256={}", "x".repeat(64)),
            401,
        ),
        Case::with(
            "a signature that is cut",
            move |body| right(body)[..60].to_owned(),
            401,
        ),
        Case::with("a signature without its prefix", hex, 401),
        Case::with(
            "another app's secret",
            |body| signature("another", body),
            401,
        ),
        Case::with(
            "another body's signature",
            |_| signature(SECRETS[0], "{}"),
            401,
        ),
        Case::with("the first secret", right, 200),
        Case::with("the second secret", |body| signature(SECRETS[1], body), 200),
        Case::with(
            "upper-case hex",
            move |body| format!("sha256={}", hex(body).to_uppercase()),
            200,
        ),
    ];
    cases.push(Case {
        headers: Vec::new(),
        ..Case::with("no signature", right, 401)
    });
    let sha1 = "sha1=0123456789abcdef0123456789abcdef01234567".to_owned();
    cases.push(Case {
        headers: vec![("X-Hub-Signature", sha1)],
        ..Case::with("SHA-1 alone", right, 401)
    });
    cases
}

fn bodies() -> Vec<Case> {
    let array = json!([
        changes(ACCOUNT, &[comment("in-an-array-1")]),
        changes(ACCOUNT, &[comment("in-an-array-2")]),
    ]);
    let page = one_comment("on-a-page").replace("\"instagram\"", "\"page\"");
    let large = one_comment(&"x".repeat(5000));
    vec![
        Case::signed("nothing", "", 400, "malformed"),
        Case::signed("half a body", &one_comment("half")[..40], 400, "malformed"),
        Case::signed("a page of HTML", "<html></html>", 400, "malformed"),
        Case::signed("a text", "\"instagram\"", 400, "malformed"),
        Case::signed("no entry", r#"{"object":"instagram"}"#, 400, "malformed"),
        Case::signed("an empty array", "[]", 400, "malformed"),
        Case::signed(
            "an array of deliveries",
            &array.to_string(),
            200,
            "accepted",
        ),
        Case::signed("another object", &page, 200, "ignored"),
        Case::signed("too large", &large, 413, "too_large"),
        Case::signed(
            "a number beyond all bounds",
            &strange_comment("strange"),
            200,
            "accepted",
        ),
    ]
}

#[tokio::test]
async fn each_delivery_is_answered_as_the_contract_says() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("server.body_limit_bytes", 4096);
    let service = setup.start().await;
    let streams = service.streams().await;

    let mut accepted = 0;
    for case in signatures().into_iter().chain(bodies()) {
        let name = case.name;
        let before = service.metrics().await.deliveries(case.outcome);
        let journal = streams.count(DELIVERIES).await;
        let answer = case.post(&service).await;

        assert_eq!(answer.status, case.status, "{name}: {answer:?}");
        let is_plain = |value: &str| value.starts_with("text/plain");
        assert!(
            answer.header("content-type").is_some_and(is_plain),
            "{name}: {answer:?}"
        );
        let counted = service.metrics().await.deliveries(case.outcome);
        assert_eq!(counted, before + 1, "{name} counts as {}", case.outcome);
        let kept = streams.count(DELIVERIES).await - journal;
        if case.outcome == "accepted" {
            accepted += 1;
            assert_eq!(answer.body, "EVENT_RECEIVED", "{name}");
            assert_eq!(kept, 1, "{name} is in the journal");
        } else {
            assert_eq!(kept, 0, "{name} leaves no trace");
            assert_says_no_secret(&answer);
        }
    }

    streams.drained().await;
    // The array holds two.
    let rows = rows(&service).await;
    assert_eq!(rows.len(), accepted + 1);
    let not_stored = rows.iter().find(|row| row.status != status::STORED);
    assert!(not_stored.is_none(), "{not_stored:?}");
    assert_eq!(streams.count(EVENTS).await, rows.len() as u64);
    assert_eq!(streams.count(STORED).await, rows.len() as u64);
    assert_eq!(streams.count(DEAD_LETTERS).await, 0);
    let log = service.log();
    for secret in SECRETS.into_iter().chain([VERIFY_TOKEN]) {
        assert!(!log.contains(secret), "the log holds a secret");
    }
}

fn assert_says_no_secret(answer: &Answer) {
    for secret in SECRETS.into_iter().chain([VERIFY_TOKEN]) {
        assert!(!answer.body.contains(secret), "{answer:?}");
    }
}

async fn rows(service: &Service) -> Vec<webhook_event::Model> {
    let database = service.database().await;
    let rows = webhook_event::Entity::find().all(&database).await;
    rows.expect("the generic log can be read")
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_read_to_its_end() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("server.body_limit_bytes", 4096);
    let service = setup.start().await;
    let post = "POST /api/instagram/webhooks HTTP/1.1";

    // Announced: refused before a byte of it came.
    let announced = format!("{post}\r\nContent-Length: 1000000000");
    let request = RawRequest::start(service.address(), &announced).await;
    let (status, answer) = request.answer().await;
    assert_eq!(status, 413, "{answer}");

    // In pieces of unknown number: refused once there are too many, though it never ends.
    let chunked = format!("{post}\r\nTransfer-Encoding: chunked");
    let mut request = RawRequest::start(service.address(), &chunked).await;
    for _ in 0..5 {
        request
            .write(&format!("400\r\n{}\r\n", "x".repeat(0x400)))
            .await;
    }
    let (status, answer) = request.answer().await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer.contains("4096"), "it says the limit: {answer}");

    assert_eq!(service.metrics().await.deliveries("too_large"), 2);
    assert_eq!(service.streams().await.count(DELIVERIES).await, 0);
}

#[tokio::test]
async fn a_malformed_item_takes_none_of_the_others_with_it() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    let bad = json!({ "field": "comments", "value": { "text": "who am I?" } });
    let items = [
        comment("before"),
        bad.clone(),
        mention("1789"),
        comment("after"),
    ];
    let answer = service.post(&changes(ACCOUNT, &items).to_string()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "EVENT_RECEIVED")
    );

    streams.drained().await;
    let rows = rows(&service).await;
    let types = |status: &str| {
        let of_status = rows.iter().filter(|row| row.status == status);
        let mut types: Vec<_> = of_status.map(|row| row.event_type.as_str()).collect();
        types.sort_unstable();
        types
    };
    assert_eq!(types(status::STORED), ["comment", "comment", "mention"]);
    assert_eq!(types(status::DEAD), ["unknown"]);
    let dead = rows.iter().find(|row| row.status == status::DEAD).unwrap();
    assert!(!dead.processed && dead.processing_attempts == 1, "{dead:?}");
    assert_eq!(dead.payload.as_ref(), Some(&bad), "its raw JSON is kept");
    let reason = dead.last_processing_error.clone().expect("a reason");
    assert!(reason.contains("id"), "{reason}");

    let subject = format!("instagram.dead_letters.unknown.{ACCOUNT}");
    let letter = streams.last(DEAD_LETTERS, &subject).await;
    let letter = letter.expect("a dead letter");
    for (header, value) in [
        ("ce-specversion", "1.0"),
        ("ce-id", &dead.event_id),
        ("ce-type", "com.instagram.unknown.dead_letter"),
        ("ce-source", &format!("/instagram/{ACCOUNT}")),
        ("content-type", "application/json"),
        ("Nats-Msg-Id", &format!("dead:{}:1", dead.id)),
    ] {
        assert_eq!(letter.header(header), value, "{header}");
    }
    assert!(letter.header("ce-time").ends_with('Z'), "{letter:?}");
    assert!(
        letter.header("traceparent").starts_with("00-"),
        "{letter:?}"
    );
    assert_eq!(letter.body["raw"], bad);
    assert_eq!(letter.body["error"], Value::from(reason));
    assert_eq!(letter.body["attempts"], 1);
    assert_eq!(letter.text("receipt_id"), dead.id.to_string());

    let dead_letters = "instagram_webhook_dead_letters_total";
    eventually_true("the dead letter is counted", async || {
        let metrics = service.metrics().await;
        metrics.count(dead_letters, &[("event_type", "unknown")]) == 1
    })
    .await;
}

#[tokio::test]
async fn a_type_outside_the_nine_is_kept() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let streams = service.streams().await;
    let news = json!({ "field": "story_poll_response", "value": { "poll": "1", "answer": "yes" } });
    let answer = service
        .post(&changes(ACCOUNT, std::slice::from_ref(&news)).to_string())
        .await;
    assert_eq!(answer.status, 200);

    streams.drained().await;
    let rows = rows(&service).await;
    let [row] = &rows[..] else {
        panic!("one row: {rows:?}")
    };
    assert_eq!(
        (row.event_type.as_str(), row.status.as_str()),
        ("unknown", status::STORED)
    );
    assert!(row.processed, "there is nothing more to do");
    assert_eq!(row.payload.as_ref(), Some(&news));
    let subject = format!("instagram.events.unknown.{ACCOUNT}");
    let event = streams.last(EVENTS, &subject).await.expect("an event");
    assert_eq!(event.header("ce-type"), "com.instagram.unknown");
    assert_eq!(event.body["raw"], news);
    assert_eq!(streams.count(DEAD_LETTERS).await, 0);
}
