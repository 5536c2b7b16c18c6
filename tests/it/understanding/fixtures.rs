//! Every file in `tests/fixtures`, understood.

use std::collections::BTreeSet;

use igstream::instagram::understand::reread;
use igstream::instagram::{Delivery, Event, types};
use serde_json::{Map, Value, json};

use super::support::{delivery, events_of, participant};
use crate::support::fixtures::{Expected, Fixture, compare, fixtures};

fn delivery_of(fixture: &Fixture) -> Delivery {
    Delivery {
        received_at: fixture.received_at,
        ..delivery(fixture.body())
    }
}

/// What is not as the fixture says.
fn differences(fixture: &Fixture) -> Vec<String> {
    let events = understood(&delivery_of(fixture));
    if events.len() != fixture.events.len() {
        let places: Vec<_> = events.iter().map(|event| &event.place).collect();
        return vec![format!(
            "{} events are expected, there are {}: {places:?}",
            fixture.events.len(),
            events.len()
        )];
    }
    let pairs = fixture.events.iter().zip(&events).enumerate();
    pairs
        .flat_map(|(index, (expected, event))| {
            let differences = event_differences(expected, event);
            differences
                .into_iter()
                .map(move |difference| format!("event {index}: {difference}"))
        })
        .collect()
}

fn understood(delivery: &Delivery) -> Vec<Event> {
    igstream::instagram::delivery::check_grammar(&delivery.body).expect("the receiver takes it");
    igstream::instagram::understand(delivery)
}

fn event_differences(expected: &Expected, event: &Event) -> Vec<String> {
    let mut body = event.clone();
    body.raw = None;
    let mut differences = expected.differences(&json!(body));
    for (name, expected, found) in [
        ("place", json!(expected.place), json!(event.place)),
        (
            "participant",
            json!(expected.participant),
            json!(participant(event)),
        ),
    ] {
        compare(&mut differences, name, &expected, &found);
    }
    differences
}

#[test]
fn every_delivery_is_understood_as_its_fixture_says() {
    let mut found = Vec::new();
    for (folder, name, fixture) in fixtures() {
        for difference in differences(&fixture) {
            found.push(format!("{folder}/{name}: {difference} ({})", fixture.about));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// What is erased of an account is erased from these tables.
#[test]
fn an_event_leaves_rows_in_the_tables_that_its_type_names() {
    for (folder, name, fixture) in fixtures() {
        for event in understood(&delivery_of(&fixture)) {
            let event_type = types::by_name(&event.event_type).expect("a type");
            for write in (event_type.plan)(&event).writes {
                let is_named = |table: &&types::Table| table.name == write.table.name;
                assert!(
                    event_type.tables.iter().any(is_named),
                    "{folder}/{name}: {}",
                    write.table.name
                );
            }
        }
    }
}

/// Where its account becomes known later, only the generic row is left of an event.
#[test]
fn an_event_read_again_from_its_item_has_the_same_rows() {
    for (folder, name, fixture) in fixtures() {
        for event in understood(&delivery_of(&fixture)) {
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
        let fixture: Fixture = serde_json::from_value(fixture.clone()).unwrap();
        differences(&fixture)
    };
    assert_eq!(differences(&expected), Vec::<String>::new());
    expected["events"][0]["data"] = json!({"media_id": "3"});
    assert_eq!(
        differences(&expected),
        [r#"event 0: data.media_id should be "3", is "2""#]
    );
    assert_eq!(events_of(body).len(), 1);
}

/// A row that events of several types tell of is written again from all of them.
#[test]
fn a_table_that_several_types_share_knows_them() {
    for (folder, name, fixture) in fixtures() {
        for event in understood(&delivery_of(&fixture)) {
            let event_type = types::by_name(&event.event_type).unwrap();
            for write in (event_type.plan)(&event).writes {
                let told_by = write.table.told_by;
                assert!(
                    told_by.is_empty() || told_by.contains(&event_type.name),
                    "{folder}/{name}: name {} in `told_by` of {}",
                    event_type.name,
                    write.table.name
                );
            }
        }
    }
}
