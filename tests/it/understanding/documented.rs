//! The examples of `docs/event-types.md` are what they are said to be.

use std::collections::BTreeSet;

use igstream::instagram::types;
use serde_json::{Value, json};

use super::support::events_of;

const ACCOUNT: &str = "17841405822304914";

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/event-types.md");
    std::fs::read_to_string(path).unwrap()
}

/// The text between two marks, and what comes after.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<(&'a str, &'a str)> {
    let (_, text) = text.split_once(from)?;
    text.split_once(to)
}

#[test]
fn every_example_is_understood_as_the_document_says() {
    let document = document();
    let mut shown = BTreeSet::new();
    for example in document.split("Instagram sends, in `entry[].").skip(1) {
        let (list, _) = example.split_once("[]`").unwrap();
        let (item, rest) = between(example, "```json\n", "\n```").unwrap();
        let item: Value = serde_json::from_str(item).unwrap();
        let time = item.get("timestamp").cloned();
        let time = time.unwrap_or_else(|| json!(1_764_000_000));
        let entry = json!({"id": ACCOUNT, "time": time, list: [item]});
        let body = json!({"object": "instagram", "entry": [entry]}).to_string();
        let events = events_of(body);
        assert_eq!(events.len(), 1, "{item}");
        let event = &events[0];

        let (subject, rest) = between(rest, "on NATS: `", "`").unwrap();
        assert_eq!(
            subject,
            format!("instagram.events.{}.{ACCOUNT}", event.event_type)
        );
        let (id, rest) = between(rest, "`ce-id` = `", "`").unwrap();
        assert_eq!(event.event_id, id, "{item}");
        if let Some(rest) = rest.strip_prefix(", `data`:") {
            let (data, _) = between(rest, "```json\n", "\n```").unwrap();
            let data: Value = serde_json::from_str(data).unwrap();
            assert_eq!(Value::Object(event.data.clone()), data, "{item}");
        }
        shown.insert(event.event_type.clone());
    }
    let all: BTreeSet<String> = types::with_unknown()
        .map(|event_type| event_type.name.to_owned())
        .collect();
    assert_eq!(shown, all, "each type has an example");
}

#[test]
fn the_table_names_every_type_its_ids_and_its_tables() {
    let document = document();
    for event_type in types::with_unknown() {
        let start = format!("| `{}` |", event_type.name);
        let line = document.lines().find(|line| line.starts_with(&start));
        let line = line.unwrap_or_else(|| panic!("{} is not in the table", event_type.name));
        assert!(line.contains(&format!("`{}_", event_type.name)), "{line}");
    }
    for (example, event_type) in document
        .split("\n## ")
        .filter_map(|section| Some((section, types::by_name(section.lines().next()?)?)))
    {
        let (item, _) = between(example, "```json\n", "\n```").unwrap();
        let list = if item.contains("\"field\"") {
            "changes"
        } else {
            "messaging"
        };
        let body = format!(
            r#"{{"object":"instagram","entry":[{{"id":"{ACCOUNT}","time":1,"{list}":[{item}]}}]}}"#
        );
        for write in (event_type.plan)(&events_of(body)[0]).writes {
            assert!(
                example.contains(&format!("`{}`", write.table.name)),
                "the section on {} does not show its row in {}",
                event_type.name,
                write.table.name
            );
        }
    }
}
