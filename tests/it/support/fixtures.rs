//! The files in `tests/fixtures`: deliveries, and the events they become.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Stands for a SHA-256 in hexadecimal in an expected text.
const DIGEST: &str = "{digest}";

/// A file, as `tests/fixtures/README.md` describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    pub about: String,
    pub received_at: DateTime<Utc>,
    pub delivery: Option<Box<RawValue>>,
    pub body: Option<String>,
    pub events: Vec<Expected>,
}

/// One event of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    #[serde(rename = "type")]
    pub event_type: String,
    pub event_id: String,
    pub ig_account_id: String,
    pub place: String,
    pub object_type: String,
    pub occurred_at: String,
    pub object_id: Option<String>,
    pub sender_ig_id: Option<String>,
    pub sender_username: Option<String>,
    pub recipient_ig_id: Option<String>,
    pub participant: Option<String>,
    pub malformed: Option<String>,
    #[serde(default)]
    pub data: Map<String, Value>,
}

impl Expected {
    /// What is not as the fixture says in `body`, the event as it travels.
    pub fn differences(&self, body: &Value) -> Vec<String> {
        let malformed =
            Some(&body["data"]["malformed"]).filter(|_| body["event_type"] == "unknown");
        let envelope = [
            ("event_type", json!(self.event_type)),
            ("event_id", json!(self.event_id)),
            ("ig_account_id", json!(self.ig_account_id)),
            ("object_type", json!(self.object_type)),
            ("object_id", json!(self.object_id)),
            ("sender_ig_id", json!(self.sender_ig_id)),
            ("sender_username", json!(self.sender_username)),
            ("recipient_ig_id", json!(self.recipient_ig_id)),
            ("occurred_at", json!(self.occurred_at)),
        ];
        let mut differences = Vec::new();
        for (name, expected) in &envelope {
            compare(&mut differences, name, expected, &body[*name]);
        }
        let (expected, found) = (json!(self.malformed), malformed.unwrap_or(&Value::Null));
        compare(&mut differences, "malformed", &expected, found);
        let none = Map::new();
        let data = body["data"].as_object().unwrap_or(&none);
        compare_fields(&mut differences, "data", &self.data, data);
        differences
    }
}

impl Fixture {
    pub fn body(&self) -> &str {
        match (&self.delivery, &self.body) {
            (Some(delivery), None) => delivery.get(),
            (None, Some(body)) => body,
            _ => panic!("a fixture has either `delivery` or `body`"),
        }
    }
}

pub fn compare_fields(
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

pub fn compare(differences: &mut Vec<String>, name: &str, expected: &Value, found: &Value) {
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
pub fn matches(pattern: &str, text: &str) -> bool {
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
pub fn fixtures() -> Vec<(String, String, Fixture)> {
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
