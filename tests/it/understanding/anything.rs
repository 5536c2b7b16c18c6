//! Anything at all is taken, as many events as items, in linear time.

use std::collections::HashSet;

use igstream::instagram::{Event, Verified, json, types, understand};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::support::{delivery, events_of, participant};

/// What the receiver takes at most, in bytes.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// Texts of JSON scalars that a careless reader stumbles over.
const SCALARS: &[&str] = &[
    "null",
    "true",
    "0",
    "-0.0",
    "17",
    "1764000000",
    "1764000000123",
    "9007199254740993",
    "123456789012345678901234567890",
    "-170141183460469231731687303715884105728",
    "9223372036854775807",
    "1e999",
    "-1E+99999999999999999999",
    "1e-999",
    r#""""#,
    r#""17""#,
    r#""a_b""#,
    r#""\ud83d""#,
    r#""\ude00\ud83d""#,
    r#""\u0000""#,
    r#""\r\n\t ce-id: x""#,
    r#""m.>*""#,
    r#""é😀""#,
    r#""react""#,
    r#""story_mention""#,
    r#""2021-09-08T06:34:04+0000""#,
    r#""comments""#,
    r#""messages""#,
    r#""mentions""#,
    r#""live_comments""#,
    r#""story_insights""#,
    r#""message_reactions""#,
    r#""messaging_postbacks""#,
    r#""messaging_seen""#,
    r#""message_edit""#,
    r#""message_echoes""#,
];

/// Keys that mean something somewhere (those of the lists apart), and some that
/// mean something to a parser.
const KEYS: &[&str] = &[
    "id",
    "time",
    "field",
    "value",
    "sender",
    "recipient",
    "timestamp",
    "message",
    "message_edit",
    "reaction",
    "postback",
    "read",
    "mid",
    "watermark",
    "text",
    "attachments",
    "type",
    "payload",
    "title",
    "action",
    "emoji",
    "num_edit",
    "is_echo",
    "is_self",
    "is_deleted",
    "is_unsupported",
    "quick_reply",
    "reply_to",
    "story",
    "from",
    "username",
    "media",
    "media_id",
    "comment_id",
    "original_media_id",
    "parent_id",
    "reach",
    "exits",
    "optin",
    "malformed",
    r"\ud83d",
    r"\u0000",
    "",
    "igstream_replaced",
    "$serde_json::private::Number",
    "$serde_json::private::RawValue",
];

/// JSON as text, so that it can hold what no value of a library's can; keys can
/// be told twice.
fn any_json() -> impl Strategy<Value = String> {
    let digits = (1usize..500).prop_map(|count| "9".repeat(count));
    let text = ".{0,8}".prop_map(|text| json!(text).to_string());
    let scalar = prop_oneof![8 => select(SCALARS).prop_map(str::to_owned), 1 => digits, 1 => text];
    scalar.prop_recursive(5, 48, 6, |inner| {
        let field =
            (select(KEYS), inner.clone()).prop_map(|(key, value)| format!("\"{key}\":{value}"));
        prop_oneof![
            1 => vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
            4 => vec(field, 0..7).prop_map(|fields| format!("{{ {} }}", fields.join(","))),
        ]
    })
}

/// An object that is about something a type understands, filled with anything.
fn any_item() -> impl Strategy<Value = String> {
    let subjects = &[
        "message",
        "message_edit",
        "reaction",
        "postback",
        "read",
        "optin",
    ][..];
    let messaging = (select(subjects), any_json(), any_json(), any_json(), any_json()).prop_map(
        |(key, subject, sender, recipient, time)| {
            format!(
                r#"{{"sender":{{"id":{sender}}},"recipient":{{"id":{recipient}}},"timestamp":{time},"{key}":{subject}}}"#
            )
        },
    );
    let change = (select(SCALARS), any_json())
        .prop_map(|(field, value)| format!(r#"{{"field":{field},"value":{value}}}"#));
    prop_oneof![any_json(), messaging, change]
}

/// What every event is, whatever it came from.
fn is_sound(event: &Event) -> Result<(), TestCaseError> {
    prop_assert!(types::by_name(&event.event_type).is_some());
    prop_assert!(event.event_id.starts_with(&event.event_type));
    prop_assert!(event.event_id.len() <= 400, "{}", event.event_id);
    prop_assert!(
        event.event_id.bytes().all(|byte| byte.is_ascii_graphic()),
        "{}",
        event.event_id
    );
    let ids = [
        &event.object_id,
        &event.sender_ig_id,
        &event.recipient_ig_id,
    ];
    for id in ids.into_iter().flatten().chain([&event.ig_account_id]) {
        prop_assert!(id.chars().count() <= 255 && !id.contains('\0'), "{id:?}");
    }
    let raw = event
        .raw
        .as_ref()
        .expect("no message is too large yet")
        .get();
    let stored = json::storable(raw);
    prop_assert!(json::is_grammatical(&stored), "{stored}");
    let _ = participant(event);
    let message = serde_json::to_string(event).unwrap();
    let received: Event = serde_json::from_str(&message).expect("a handler reads it");
    prop_assert_eq!(serde_json::to_string(&received).unwrap(), message);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_item_is_one_event_whatever_it_is(
        changes in vec(any_item(), 0..4),
        messaging in vec(any_item(), 0..4),
        standby in vec(any_item(), 0..3),
        (id, time, field, value) in (any_json(), any_json(), any_json(), any_json()),
        rest in any_json(),
    ) {
        let lists = format!(
            r#"{{"id":{id},"time":{time},"changes":[{}],"messaging":[{}],"standby":[{}]}}"#,
            changes.join(","), messaging.join(","), standby.join(","),
        );
        let entry = format!(r#"{{"id":{id},"time":{time},"field":{field},"value":{value}}}"#);
        let body = format!(r#"{{"x":{rest},"entry":[{lists},{entry},{value}],"object":"instagram"}}"#);
        let events = events_of(body.as_str());

        let items: Vec<&String> = changes.iter().chain(&messaging).chain(&standby).collect();
        // Those, the entry that is an item itself, and the one that may be anything.
        prop_assert_eq!(events.len(), items.len() + 2, "{}", body);
        for (item, event) in items.iter().zip(&events) {
            prop_assert_eq!(item.as_str(), event.raw.as_ref().unwrap().get());
        }
        prop_assert_eq!(entry.as_str(), events[items.len()].raw.as_ref().unwrap().get());
        let receipts: HashSet<_> = events.iter().map(|event| event.receipt_id).collect();
        prop_assert_eq!(receipts.len(), events.len());
        for event in &events {
            is_sound(event)?;
        }
    }

    #[test]
    fn an_entry_without_lists_is_one_event(entry in any_json()) {
        let events = events_of(format!(r#"{{"object":"instagram","entry":[{entry}]}}"#));
        prop_assert_eq!(events.len(), 1);
        is_sound(&events[0])?;
    }

    #[test]
    fn what_is_cut_or_broken_is_refused_or_understood(
        item in any_item(), cut in 0usize..2000, byte: u8,
    ) {
        let body = format!(r#"[{{"object":"instagram","entry":[{{"id":"1","changes":[{item}]}}]}}]"#);
        let mut bytes = body.into_bytes();
        let at = cut % bytes.len();
        bytes[at] = byte;
        for bytes in [bytes[..at].to_vec(), bytes] {
            let broken = delivery(bytes);
            // Also without the check: the journal is read whatever it holds.
            let events = understand(&broken);
            if Verified::new(broken).is_ok() {
                for event in events {
                    is_sound(&event)?;
                }
            }
        }
    }
}

#[test]
fn two_hundred_levels_travel_and_are_stored() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let message = format!(
        r#"{{"message":{{"mid":"1","text":"t","attachments":{deep},"reply_to":{{"story":{{"x":{deep}}}}}}}}}"#
    );
    let events = events_of(format!(
        r#"{{"object":"instagram","entry":[{{"id":"1","messaging":[{message}]}}]}}"#
    ));
    is_sound(&events[0]).unwrap();
    assert_eq!(events[0].event_id, "message_1_-");
    // Too deep for most readers of the event: there by its text, which the store takes for the document it is.
    assert_eq!(events[0].data["attachments"], json!(deep));
}

/// None of them ends before tomorrow if anything in it is read once for each of
/// its parts.
#[test]
fn the_largest_bodies_are_read_in_time() {
    let wide = format!(r#",{{"follow":"{}"}}"#, "x".repeat(30));
    let message = r#",{"sender":{"id":"5"},"message":{"mid":"1"}}"#;
    let many = 50_000;
    for (what, start, part, end, at_least) in [
        (
            "items",
            r#"{"id":"1","messaging":[0"#,
            wide.as_str(),
            "]}",
            many,
        ),
        ("messages", r#"{"messaging":[0"#, message, "]}", many),
        ("entries", "0", wide.as_str(), "", many),
        (
            "keys",
            r#"{"messaging":[{"message":{"mid":"1""#,
            r#","a":{"b":0}"#,
            "}}]}",
            1,
        ),
        ("keys of an entry", r#"{"a":0"#, r#","changes":[0]"#, "}", 1),
        (
            "lone surrogates",
            r#"{"messaging":[{"message":{"mid":"1","text":""#,
            r"\ud83d",
            r#""}}]}"#,
            1,
        ),
        (
            "lone surrogates in an id",
            r#"{"messaging":[{"message":{"mid":""#,
            r"\ud83d",
            r#""}}]}"#,
            1,
        ),
        (
            "nuls in a key",
            r#"{"messaging":[{""#,
            r"\u0000",
            r#"":0}]}"#,
            1,
        ),
        (
            "backslashes",
            r#"{"messaging":[{"message":{"mid":""#,
            r"\\",
            r#""}}]}"#,
            1,
        ),
        (
            "digits",
            r#"{"messaging":[{"sender":{"id":"#,
            "9",
            r#"},"message":{"mid":"1"}}]}"#,
            1,
        ),
        (
            "attachments",
            r#"{"messaging":[{"message":{"mid":"1","attachments":[0"#,
            ",{}",
            "]}}]}",
            1,
        ),
        ("blanks", r#"{"messaging":["#, " ", "]}", 0),
    ] {
        let events = events_of(largest(start, part, end));
        assert!(events.len() >= at_least, "{what}: {} events", events.len());
        assert_eq!(
            events.len() > 1,
            at_least > 1,
            "{what}: {} events",
            events.len()
        );
    }
}

#[test]
fn the_deepest_body_is_one_event() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let levels = (LARGEST_BODY - 100) / (open.len() + close.len());
        let item = open.repeat(levels) + "0" + &close.repeat(levels);
        for list in ["messaging", "changes"] {
            let events = events_of(format!(
                r#"{{"object":"instagram","entry":[{{"{list}":[{item}]}}]}}"#
            ));
            assert_eq!(events.len(), 1);
            assert_eq!(events[0].event_type, "unknown");
            is_sound(&events[0]).unwrap();
        }
    }
}

/// An entry's id and time are read once, not for each of its items.
#[test]
fn a_long_id_of_an_entry_with_many_items_is_read_in_time() {
    let long = "1".repeat(LARGEST_BODY / 2);
    for key in ["id", "time"] {
        let start = format!(r#"{{"{key}":"{long}","messaging":[0"#);
        let events = events_of(largest(&start, r#",{"follow":"xxxxxxxxxxxxxxxx"}"#, "]}"));
        assert!(events.len() > 50_000);
        assert!(
            events
                .iter()
                .all(|event| event.ig_account_id.len() <= 255 && event.event_id.len() <= 400)
        );
    }
}

/// A delivery as large as it may be: `part` over and over, between `start` and `end`.
fn largest(start: &str, part: &str, end: &str) -> String {
    let (before, after) = (
        format!(r#"{{"object":"instagram","entry":[{start}"#),
        format!("{end}]}}"),
    );
    let room = LARGEST_BODY - before.len() - after.len();
    before + &part.repeat(room / part.len()) + &after
}
