//! Every file in `tests/fixtures`, understood.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use igstream::instagram::understand::reread;
use igstream::instagram::{Delivery, Event, types};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::support::{delivery, events_of, participant};

/// Stands for a SHA-256 in hexadecimal in an expected text.
const DIGEST: &str = "{digest}";

/// A file, as `tests/fixtures/README.md` describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    about: String,
    received_at: DateTime<Utc>,
    delivery: Option<Box<RawValue>>,
    body: Option<String>,
    events: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(rename = "type")]
    event_type: String,
    event_id: String,
    ig_account_id: String,
    place: String,
    object_type: String,
    occurred_at: String,
    object_id: Option<String>,
    sender_ig_id: Option<String>,
    sender_username: Option<String>,
    recipient_ig_id: Option<String>,
    participant: Option<String>,
    malformed: Option<String>,
    #[serde(default)]
    data: Map<String, Value>,
}

impl Fixture {
    fn body(&self) -> &str {
        match (&self.delivery, &self.body) {
            (Some(delivery), None) => delivery.get(),
            (None, Some(body)) => body,
            _ => panic!("a fixture has either `delivery` or `body`"),
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery {
            received_at: self.received_at,
            ..delivery(self.body())
        }
    }

    /// What is not as the fixture says.
    fn differences(&self) -> Vec<String> {
        let events = understood(&self.delivery());
        if events.len() != self.events.len() {
            let places: Vec<_> = events.iter().map(|event| &event.place).collect();
            return vec![format!(
                "{} events are expected, there are {}: {places:?}",
                self.events.len(),
                events.len()
            )];
        }
        let pairs = self.events.iter().zip(&events).enumerate();
        pairs
            .flat_map(|(index, (expected, event))| {
                let differences = expected.differences(event);
                differences
                    .into_iter()
                    .map(move |difference| format!("event {index}: {difference}"))
            })
            .collect()
    }
}

fn understood(delivery: &Delivery) -> Vec<Event> {
    igstream::instagram::delivery::check_grammar(&delivery.body).expect("the receiver takes it");
    igstream::instagram::understand(delivery)
}

impl Expected {
    fn differences(&self, event: &Event) -> Vec<String> {
        let envelope = [
            ("type", json!(self.event_type), json!(event.event_type)),
            ("event_id", json!(self.event_id), json!(event.event_id)),
            (
                "ig_account_id",
                json!(self.ig_account_id),
                json!(event.ig_account_id),
            ),
            ("place", json!(self.place), json!(event.place)),
            (
                "object_type",
                json!(self.object_type),
                json!(event.object_type),
            ),
            ("object_id", json!(self.object_id), json!(event.object_id)),
            (
                "sender_ig_id",
                json!(self.sender_ig_id),
                json!(event.sender_ig_id),
            ),
            (
                "sender_username",
                json!(self.sender_username),
                json!(event.sender_username),
            ),
            (
                "recipient_ig_id",
                json!(self.recipient_ig_id),
                json!(event.recipient_ig_id),
            ),
            ("occurred_at", json!(self.occurred_at), occurred_at(event)),
            (
                "participant",
                json!(self.participant),
                json!(participant(event)),
            ),
            ("malformed", json!(self.malformed), json!(event.malformed())),
        ];
        let mut differences = Vec::new();
        for (name, expected, found) in &envelope {
            compare(&mut differences, name, expected, found);
        }
        compare_fields(&mut differences, "data", &self.data, &event.data);
        differences
    }
}

/// As it is written in a message.
fn occurred_at(event: &Event) -> Value {
    json!(igstream::instagram::time::canonical(event.occurred_at))
}

fn compare_fields(
    differences: &mut Vec<String>,
    name: &str,
    expected: &Map<String, Value>,
    found: &Map<String, Value>,
) {
    for (key, expected) in expected {
        let found = found.get(key).unwrap_or(&Value::Null);
        compare(differences, &format!("{name}.{key}"), expected, found);
    }
}

fn compare(differences: &mut Vec<String>, name: &str, expected: &Value, found: &Value) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            compare_fields(differences, name, expected, found);
        }
        (Value::String(pattern), Value::String(text)) if matches(pattern, text) => {}
        _ if expected == found => {}
        _ => differences.push(format!("{name} should be {expected}, is {found}")),
    }
}

/// Whether `text` is `pattern`, with a digest wherever it says so.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once(DIGEST) {
        None => pattern == text,
        Some((before, after)) => {
            let rest = text
                .strip_prefix(before)
                .and_then(|rest| rest.split_at_checked(64));
            rest.is_some_and(|(digest, rest)| {
                digest
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                    && matches(after, rest)
            })
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every fixture with its folder and file name.
fn fixtures() -> Vec<(String, String, Fixture)> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(folder()).unwrap() {
        let folder = folder.unwrap();
        if !folder.file_type().unwrap().is_dir() {
            continue;
        }
        let of_type = folder.file_name().into_string().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let fixture = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{of_type}/{name} is no fixture: {error}"));
            found.push((of_type.clone(), name, fixture));
        }
    }
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    found
}

#[test]
fn every_delivery_is_understood_as_its_fixture_says() {
    let mut differences = Vec::new();
    for (folder, name, fixture) in fixtures() {
        for difference in fixture.differences() {
            differences.push(format!("{folder}/{name}: {difference} ({})", fixture.about));
        }
    }
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

/// Where its account becomes known later, only the generic row is left of an event.
#[test]
fn an_event_read_again_from_its_item_has_the_same_rows() {
    for (folder, name, fixture) in fixtures() {
        for event in understood(&fixture.delivery()) {
            let mut again = event.clone();
            (again.data, again.recipient_ig_id) = (Map::new(), None);
            reread(&mut again, event.origin());
            let place = format!("{folder}/{name}: {}", event.place);
            assert_eq!(again.event_id, event.event_id, "{place}");
            assert_eq!(again.recipient_ig_id, event.recipient_ig_id, "{place}");
            assert_eq!(participant(&again), participant(&event), "{place}");
            // A dead letter is not read again, and has no rows.
            if event.malformed().is_none() {
                assert_eq!(rows(&again), rows(&event), "{place}");
            }
        }
    }
}

fn rows(event: &Event) -> Map<String, Value> {
    let mut rows = event.data.clone();
    if event.event_type == "story_insights" {
        // Its entry.time is not kept by itself; when it happened stands in for it.
        rows.remove("timestamp");
    }
    rows
}

#[test]
fn every_type_has_fixtures() {
    let shown: BTreeSet<(String, String)> = fixtures()
        .into_iter()
        .flat_map(|(folder, _, fixture)| {
            let types = fixture.events.into_iter().map(|event| event.event_type);
            types
                .map(|event_type| (folder.clone(), event_type))
                .collect::<Vec<_>>()
        })
        .collect();
    for event_type in types::with_unknown() {
        let name = event_type.name.to_owned();
        assert!(
            shown.contains(&(name.clone(), name.clone())),
            "no fixture shows a {name}"
        );
        let is_malformed_somewhere = shown.contains(&(name.clone(), "unknown".to_owned()));
        assert!(
            is_malformed_somewhere,
            "no fixture shows a malformed {name}"
        );
    }
}

#[test]
fn a_fixture_that_is_wrong_is_said_to_be() {
    let body = r#"{"object":"instagram","entry":[{"id":"1","field":"mentions","value":{"media_id":"2"}}]}"#;
    let mut expected = json!({
        "about": "", "received_at": "2025-11-24T16:00:02Z", "body": body,
        "events": [{"type": "mention", "event_id": "mention_2_-_-", "ig_account_id": "1", "place": "/entry/0",
            "object_type": "mention", "object_id": "2", "occurred_at": "2025-11-24T16:00:02.000000Z"}],
    });
    let differences = |fixture: &Value| {
        serde_json::from_value::<Fixture>(fixture.clone())
            .unwrap()
            .differences()
    };
    assert_eq!(differences(&expected), Vec::<String>::new());
    expected["events"][0]["data"] = json!({"media_id": "3"});
    assert_eq!(
        differences(&expected),
        [r#"event 0: data.media_id should be "3", is "2""#]
    );
    assert_eq!(events_of(body).len(), 1);
}
