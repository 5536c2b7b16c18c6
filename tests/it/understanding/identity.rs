//! What is the same again has the same id; what is not has another.

use std::collections::HashMap;

use igstream::instagram::{Event, types};
use proptest::collection::btree_set;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::support::events_of;

/// Messaging items of every kind, with the field under which a change brings them.
const MESSAGING: [(&str, &str, &str); 14] = [
    ("messages", "message", r#"{"mid":"m_1","text":"a"}"#),
    ("messages", "message", r#"{"mid":"m_1","is_deleted":true}"#),
    (
        "messages",
        "message",
        r#"{"mid":"m_1","attachments":[{"type":"story_mention"}]}"#,
    ),
    ("messages", "message", r#"{"text":"no mid"}"#),
    (
        "message_echoes",
        "message",
        r#"{"mid":"m_1","is_echo":true}"#,
    ),
    (
        "message_edit",
        "message_edit",
        r#"{"mid":"m_1","num_edit":2,"text":"b"}"#,
    ),
    (
        "message_reactions",
        "reaction",
        r#"{"mid":"m_1","action":"react","emoji":"❤"}"#,
    ),
    (
        "messaging_postbacks",
        "postback",
        r#"{"mid":"m_1","title":"t","payload":"p"}"#,
    ),
    (
        "messaging_postbacks",
        "postback",
        r#"{"title":"t","payload":"p","referral":{"ref":"r","type":"t"}}"#,
    ),
    ("messaging_seen", "read", r#"{"mid":"m_1"}"#),
    ("messaging_seen", "read", r#"{"watermark":1764000000000}"#),
    (
        "messaging_referral",
        "referral",
        r#"{"ref":"r","source":"ADS","x":{"a":1,"b":[{"c":1,"d":2}]}}"#,
    ),
    (
        "messaging_optins",
        "optin",
        r#"{"type":"notification_messages"}"#,
    ),
    (
        "response_feedback",
        "response_feedback",
        r#"{"feedback":"Good","mid":"m_1"}"#,
    ),
];

/// Changes that no messaging item tells.
const CHANGES: [(&str, &str); 7] = [
    (
        "comments",
        r#"{"id":"1","from":{"id":"2","username":"u"},"media":{"id":"3"},"text":"a"}"#,
    ),
    (
        "live_comments",
        r#"{"id":"1","from":{"id":"2","username":"u"},"text":"a"}"#,
    ),
    ("mentions", r#"{"media_id":"1","comment_id":"2"}"#),
    ("story_insights", r#"{"media_id":"1","reach":5,"exits":-1}"#),
    ("comments", r#"{"text":"no id","from":{"id":"2"}}"#),
    ("follow", r#"{"from":{"id":"2"},"n":[1,{"a":1,"b":2}]}"#),
    ("standby", r#""a text""#),
];

/// `value` as text, the keys of each object in another order.
fn shuffled(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut fields: Vec<_> = map.iter().collect();
            let by = turn % fields.len();
            fields.rotate_left(by);
            if turn % 2 == 1 {
                fields.reverse();
            }
            let fields = fields
                .into_iter()
                .map(|(key, value)| format!("{} : {}", json!(key), shuffled(value, turn)));
            format!("{{ {} }}", fields.collect::<Vec<_>>().join(" ,\n"))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| shuffled(value, turn)).collect();
            format!("[{}]", values.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// The one event of a delivery with `entry`, after `before` other items.
fn told(mut entry: Map<String, Value>, before: usize, turn: usize) -> Event {
    entry.insert("id".into(), json!("17"));
    entry.insert("time".into(), json!(1_764_000_000));
    let other = json!({"id": "17", "time": 1, "field": "comments", "value": {"id": "other"}});
    let mut entries = vec![other; before];
    entries.push(Value::Object(entry));
    let body = shuffled(&json!({"object": "instagram", "entry": entries}), turn);
    let mut events = events_of(body);
    assert_eq!(events.len(), before + 1);
    events.pop().unwrap()
}

fn entry(of: Value) -> Map<String, Value> {
    serde_json::from_value(of).unwrap()
}

/// The entries that tell a change, one a style.
fn as_change(field: &str, value: &Value) -> Vec<Map<String, Value>> {
    vec![
        entry(json!({"changes": [{"field": field, "value": value}]})),
        entry(json!({"field": field, "value": value})),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_messaging_item_is_the_same_in_every_style(
        kind in 0..MESSAGING.len(), turn in 0usize..12, before in 0usize..3, has_time: bool, has_parties: bool,
    ) {
        let (field, key, subject) = MESSAGING[kind];
        let subject: Value = serde_json::from_str(subject).unwrap();
        let mut item = entry(json!({key: subject}));
        if has_time {
            item.insert("timestamp".into(), json!(1_764_000_000_123_i64));
        }
        if has_parties {
            item.insert("sender".into(), json!({"id": "5"}));
            item.insert("recipient".into(), json!({"id": "17"}));
        }
        let first = told(entry(json!({"messaging": [item]})), 0, 0);
        let mut styles = as_change(field, &json!(item));
        styles.push(entry(json!({"messaging": [item]})));
        styles.push(entry(json!({"standby": [item]})));
        for style in styles {
            let again = told(style, before, turn);
            prop_assert_eq!(&again.event_id, &first.event_id);
            prop_assert_eq!(&again.event_type, &first.event_type);
            prop_assert_eq!(again.malformed(), first.malformed());
            prop_assert_ne!(again.receipt_id, first.receipt_id);
        }
    }

    #[test]
    fn a_change_is_the_same_in_both_styles(
        kind in 0..CHANGES.len(), turn in 0usize..12, before in 0usize..3,
    ) {
        let (field, value) = CHANGES[kind];
        let value: Value = serde_json::from_str(value).unwrap();
        let [first, second] = as_change(field, &value).try_into().unwrap();
        let (first, second) = (told(first, 0, 0), told(second, before, turn));
        prop_assert_eq!(&second.event_id, &first.event_id);
        prop_assert_eq!(&second.event_type, &first.event_type);
    }
}

proptest! {
    // Each case tries some ten thousand items.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn different_parts_never_give_one_id(random in btree_set("[-_%~a-c1é\r\0]{1,4}", 0..3)) {
        let mut words: Vec<String> = random.into_iter().collect();
        words.extend(["a", "_", "-", "1", "a_1", "deleted", "edit", "edit1", "edit-"].map(str::to_owned));
        words.extend(["x".repeat(500) + "a", "x".repeat(500) + "b"]);
        words.sort();
        words.dedup();
        for items in items_of(&words) {
            all_differ(items)?;
        }
    }
}

/// The entries of one type and what makes them different, for every way to fill
/// their parts with `words`.
fn items_of(words: &[String]) -> Vec<Vec<Value>> {
    let or_none = || words.iter().map(Some).chain([None]);
    let pairs = || words.iter().flat_map(|a| or_none().map(move |b| (a, b)));
    let party = |id: Option<&String>| id.map(|id| json!({"id": id}));
    let messaging = |item: Value| json!({"id": "17", "time": "entry", "messaging": [item]});
    let change = |field: &str, value: Value| json!({"id": "17", "time": "entry", "field": field, "value": value});

    let messages = pairs().flat_map(|(mid, sender)| {
        let told =
            |key: &str, subject: Value| messaging(json!({"sender": party(sender), key: subject}));
        let mut tellings = vec![
            told("message", json!({"mid": mid})),
            told("message", json!({"mid": mid, "is_deleted": true})),
        ];
        tellings.extend(
            or_none().map(|edit| told("message_edit", json!({"mid": mid, "num_edit": edit}))),
        );
        tellings
    });
    let seen = pairs().flat_map(|(read, sender)| {
        ["mid", "watermark"]
            .map(|key| messaging(json!({"sender": party(sender), "read": {key: read}})))
    });
    let seen_at =
        pairs().map(|(read, time)| messaging(json!({"timestamp": time, "read": {"mid": read}})));
    let postbacks = pairs().flat_map(|(word, sender)| {
        let told =
            |postback: Value| messaging(json!({"sender": party(sender), "postback": postback}));
        vec![
            told(json!({"mid": word, "payload": "p"})),
            told(json!({"payload": word})),
            told(json!({"title": word})),
            messaging(
                json!({"sender": party(sender), "timestamp": word, "postback": {"payload": "p"}}),
            ),
        ]
    });
    let reactions = pairs().flat_map(|(mid, sender)| {
        ["react", "unreact"].map(|action| {
            messaging(json!({"sender": party(sender), "reaction": {"mid": mid, "action": action}}))
        })
    });
    let comments =
        pairs().map(|(id, from)| change("comments", json!({"id": id, "from": party(from)})));
    let mentions = pairs().flat_map(|(media, sender)| {
        or_none()
            .map(|comment| {
                change(
                    "mentions",
                    json!({"media_id": media, "comment_id": comment, "from": party(sender)}),
                )
            })
            .collect::<Vec<_>>()
    });
    let insights = pairs().map(|(media, time)| {
        json!({"id": "17", "time": time, "field": "story_insights", "value": {"media_id": media}})
    });
    let unknown = pairs().flat_map(|(word, time)| {
        let entry = |entry: Value| {
            let mut entry = entry.as_object().cloned().unwrap_or_default();
            entry.insert("time".into(), json!(time));
            Value::Object(entry)
        };
        let named = format!("x{word}");
        vec![
            entry(json!({"field": named, "value": 1})),
            entry(json!({"field": "follow", "value": {"timestamp": 1, "n": word}})),
            entry(json!({"field": "unfollow", "value": {"timestamp": 1, "n": word}})),
            entry(json!({"field": "follow", "value": 1, "beside": word})),
            entry(json!({"field": "follow", "beside": word})),
            entry(json!({"messaging": [{"optin": word}]})),
            entry(json!({"messaging": [word]})),
            entry(json!({"changed_fields": [word]})),
        ]
    });
    vec![
        messages.collect(),
        seen.collect(),
        seen_at.collect(),
        postbacks.collect(),
        reactions.collect(),
        comments.collect(),
        mentions.collect(),
        insights.collect(),
        unknown.collect(),
    ]
}

fn all_differ(entries: Vec<Value>) -> Result<(), TestCaseError> {
    let body = json!({"object": "instagram", "entry": entries});
    let events = events_of(body.to_string());
    prop_assert_eq!(events.len(), entries.len());
    let mut known: HashMap<(String, String), Value> = HashMap::new();
    for (event, entry) in events.into_iter().zip(entries) {
        prop_assert_eq!(event.malformed(), None, "{}", entry);
        prop_assert!(event.event_id.len() <= 400, "{}", event.event_id);
        prop_assert!(
            event.event_id.bytes().all(|byte| byte.is_ascii_graphic()),
            "{}",
            event.event_id
        );
        let id = (event.event_type, event.event_id);
        if let Some(other) = known.insert(id.clone(), entry.clone()) {
            return Err(TestCaseError::fail(format!(
                "{other} and {entry} are both {id:?}"
            )));
        }
    }
    Ok(())
}

#[test]
fn items_that_nest_too_deep_to_be_read_are_still_two() {
    let deep = |inner: &str| format!(r#"{{"x":{}{inner}{}}}"#, "[".repeat(600), "]".repeat(600));
    let (a, b) = (deep("1"), deep("2"));
    let body = format!(
        r#"{{"object":"instagram","entry":[{{"id":"17","time":1,"messaging":[{a},{b},{a}]}}]}}"#
    );
    let events = events_of(body);
    assert_eq!(events[0].event_id, events[2].event_id);
    assert_ne!(events[0].event_id, events[1].event_id);
    assert_eq!(events[1].raw.as_ref().unwrap().get(), b);
}

#[test]
fn every_type_is_tried_here() {
    let tried: Vec<String> = items_of(&["a".to_owned()])
        .into_iter()
        .flat_map(|entries| events_of(json!({"object": "instagram", "entry": entries}).to_string()))
        .chain(MESSAGING.iter().map(|(field, key, subject)| {
            let subject: Value = serde_json::from_str(subject).unwrap();
            told(as_change(field, &json!({*key: subject})).remove(0), 0, 0)
        }))
        .chain(CHANGES.iter().map(|(field, value)| {
            let value: Value = serde_json::from_str(value).unwrap();
            told(as_change(field, &value).remove(0), 0, 0)
        }))
        .map(|event| event.event_type)
        .collect();
    for event_type in types::with_unknown() {
        assert!(
            tried.iter().any(|name| name == event_type.name),
            "{} is not tried",
            event_type.name
        );
    }
}
