//! What is sent when, and what must become of it.

use std::collections::{BTreeMap, HashSet};

use super::{
    bodies::{deliveries, items, json, plan},
    read,
};
use crate::lab::{Delivery, Expectation, Kind, TrafficPlan, cast::account_ids, signer::Signing};

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| -> Vec<_> {
        let plan = TrafficPlan { seed, ..plan() };
        let sent = deliveries(500, plan);
        sent.into_iter().map(|delivery| delivery.body).collect()
    };
    assert_eq!(bytes(1), bytes(1));
    assert_ne!(bytes(1), bytes(2));
}

#[test]
fn all_types_appear_mostly_messages_receipts_and_comments() {
    let mut counts = BTreeMap::<_, u32>::new();
    for delivery in deliveries(3_000, plan()) {
        for told in delivery.events {
            *counts.entry(told.event_type.unwrap_or("none")).or_default() += 1;
        }
    }
    for kind in Kind::ALL {
        assert!(
            counts.contains_key(kind.name()),
            "{} is missing",
            kind.name()
        );
    }
    let total: u32 = counts.values().sum();
    let most = counts["message"] + counts["messaging_seen"] + counts["comment"];
    assert!(most * 100 > total * 75, "{counts:?}");
}

#[test]
fn only_the_types_asked_for_are_sent() {
    for kind in Kind::ALL {
        let plan = TrafficPlan {
            kinds: vec![kind],
            ..plan()
        };
        for told in deliveries(200, plan).iter().flat_map(|sent| &sent.events) {
            let event_type = told.event_type.unwrap_or("none");
            assert!([kind.name(), "unknown", "none"].contains(&event_type));
        }
    }
}

#[test]
fn an_event_is_new_once_and_a_duplicate_afterwards() {
    let plan = TrafficPlan {
        duplicates: 30.0,
        invalid: 10.0,
        batch: 1..=5,
        ..plan()
    };
    let mut sent = HashSet::new();
    for told in deliveries(5_000, plan)
        .into_iter()
        .flat_map(|delivery| delivery.events)
    {
        let Some(event_id) = told.event_id else {
            continue;
        };
        let key = (told.ig_account_id, told.event_type, event_id);
        match told.expectation {
            Expectation::Stored => assert!(sent.insert(key.clone()), "told twice: {key:?}"),
            Expectation::Duplicate => assert!(sent.contains(&key), "never told: {key:?}"),
            _ => assert!(!sent.contains(&key), "must leave no trace: {key:?}"),
        }
    }
}

#[test]
fn malformed_items_are_all_different() {
    let plan = TrafficPlan {
        invalid: 100.0,
        ..plan()
    };
    let mut seen = HashSet::new();
    for delivery in deliveries(3_000, plan) {
        let dead = |told: &crate::lab::Told| told.expectation == Expectation::Dead;
        if let Some(place) = delivery.events.iter().position(dead) {
            let item = &items(&json(&delivery))[place].item;
            assert!(delivery.events.len() > 1, "among good ones");
            assert!(seen.insert(item.to_string()), "twice: {item}");
        }
    }
    assert_eq!(seen.len(), 600);
}

#[test]
fn percentages_and_batches_come_out() {
    let plan = TrafficPlan {
        duplicates: 20.0,
        invalid: 10.0,
        batch: 4..=4,
        ..plan()
    };
    let sent = deliveries(10_000, plan);
    let has = |wanted: Expectation| {
        let has_one = |delivery: &&Delivery| {
            delivery
                .events
                .iter()
                .any(|told| told.expectation == wanted)
        };
        sent.iter().filter(has_one).count()
    };
    let invalid = has(Expectation::Refused) + has(Expectation::Ignored) + has(Expectation::Dead);
    // Boosted comments come twice beside those.
    assert!((1_900..2_250).contains(&has(Expectation::Duplicate)));
    assert!((900..1_100).contains(&invalid));
    let is_new = |delivery: &&Delivery| {
        delivery.status == 200
            && delivery
                .events
                .iter()
                .all(|told| told.expectation == Expectation::Stored)
    };
    assert!(
        sent.iter()
            .filter(is_new)
            .all(|delivery| delivery.events.len() == 4)
    );
}

#[test]
fn some_repeats_are_byte_for_byte_and_some_are_not() {
    let plan = TrafficPlan {
        duplicates: 20.0,
        invalid: 0.0,
        ..plan()
    };
    let (mut same, mut other) = (0, 0);
    let mut bodies = HashSet::new();
    for delivery in deliveries(2_000, plan) {
        let is_repeat = delivery.events[0].expectation == Expectation::Duplicate;
        let is_known = !bodies.insert(delivery.body.clone());
        assert!(is_repeat || !is_known);
        same += u32::from(is_repeat && is_known);
        other += u32::from(is_repeat && !is_known);
    }
    assert!(same > 100 && other > 100, "{same} and {other}");
}

#[test]
fn the_kinds_of_invalid_deliveries_rotate() {
    let plan = TrafficPlan {
        invalid: 100.0,
        ..plan()
    };
    let sent = deliveries(15, plan);
    let statuses: Vec<_> = sent.iter().map(|delivery| delivery.status).collect();
    assert_eq!(statuses, [401, 400, 400, 200, 200].repeat(3));
    for round in sent.chunks(5) {
        assert_ne!(round[0].signing, Signing::Right);
        assert!(read(&round[1].body).is_err());
        assert!(json(&round[2]).get("entry").is_none());
        assert_ne!(json(&round[3])["object"], "instagram");
        assert_eq!(json(&round[4])["object"], "instagram");
    }
}

#[test]
fn bodies_are_escaped_as_meta_does_most_of_the_time() {
    let sent = deliveries(
        1_000,
        TrafficPlan {
            invalid: 0.0,
            ..plan()
        },
    );
    let escaped = sent
        .iter()
        .filter(|delivery| delivery.body.is_ascii())
        .count();
    assert!((600..1_000).contains(&escaped), "{escaped}");
    let has = |part: &[u8]| {
        sent.iter().any(|delivery| {
            delivery
                .body
                .windows(part.len())
                .any(|window| window == part)
        })
    };
    assert!(has(br"https:\/\/") && has(b"https://"));
    assert!(has(br"\u200d") && has("\u{200d}".as_bytes()), "ZWJ emoji");
}

#[test]
fn accounts_are_the_same_in_every_run() {
    let ids = account_ids(1_000);
    assert_eq!(ids[0], "17841405822304914");
    assert!(
        ids.iter()
            .all(|id| id.len() == 17 && id.starts_with("178414"))
    );
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 1_000);
}

#[test]
fn without_repeats_no_event_is_told_twice() {
    let plan = TrafficPlan {
        duplicates: 0.0,
        ..plan()
    };
    for told in deliveries(5_000, plan).iter().flat_map(|sent| &sent.events) {
        assert_ne!(told.expectation, Expectation::Duplicate);
    }
}
