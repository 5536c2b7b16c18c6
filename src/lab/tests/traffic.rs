use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::lab::{
    Delivery, Expectation, Kind, Traffic, TrafficPlan, cast::account_ids, signer::Signing,
};

fn deliveries(count: usize, plan: TrafficPlan) -> Vec<Delivery> {
    Traffic::new(plan).take(count).collect()
}

fn plan() -> TrafficPlan {
    TrafficPlan {
        seed: 7,
        start_ms: 1_795_000_000_000,
        ..TrafficPlan::default()
    }
}

fn json(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).expect("valid JSON")
}

/// `(account, entry time, item)` of all items of a body, in their order.
fn items(body: &Value) -> Vec<(String, String, Value)> {
    let mut items = Vec::new();
    for entry in body["entry"].as_array().unwrap() {
        let list = entry.get("changes").or_else(|| entry.get("messaging"));
        for item in list.unwrap().as_array().unwrap() {
            let account = entry["id"].as_str().unwrap().to_owned();
            items.push((account, entry["time"].to_string(), item.clone()));
        }
    }
    items
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The type and identity that the documentation gives to an item.
fn identity(time: &str, item: &Value) -> (&'static str, String) {
    let value = &item["value"];
    let sender = text(&item["sender"]["id"]);
    let (at, mid) = (text(&item["timestamp"]), |name: &str| {
        text(&item[name]["mid"])
    });
    let from = || format!("{}_{}", text(&value["id"]), text(&value["from"]["id"]));
    match item["field"].as_str() {
        Some("comments") => return ("comment", format!("comment_{}", from())),
        Some("live_comments") => return ("live_comment", format!("live_comment_{}", from())),
        Some("mentions") => {
            let (media, comment) = (text(&value["media_id"]), text(&value["comment_id"]));
            return ("mention", format!("mention_{media}_{comment}_-"));
        }
        Some("story_insights") => {
            let media = text(&value["media_id"]);
            return ("story_insights", format!("story_insights_{media}_{time}"));
        }
        other => assert_eq!(other, None),
    }
    if item.get("reaction").is_some() {
        let action = text(&item["reaction"]["action"]);
        let id = format!(
            "message_reactions_{}_{sender}_{action}_{at}",
            mid("reaction")
        );
        return ("message_reactions", id);
    }
    if item.get("postback").is_some() {
        let id = format!("messaging_postbacks_{}_{sender}", mid("postback"));
        return ("messaging_postbacks", id);
    }
    if item.get("read").is_some() {
        let id = format!("messaging_seen_{}_{sender}_{at}", mid("read"));
        return ("messaging_seen", id);
    }
    if item.get("message_edit").is_some() {
        let (mid, edit) = (mid("message_edit"), text(&item["message_edit"]["num_edit"]));
        return ("message", format!("message_{mid}_{sender}_edit{edit}"));
    }
    let message = &item["message"];
    if message["attachments"][0]["type"] == "story_mention" {
        return (
            "story_mention",
            format!("story_mention_{}_{sender}", mid("message")),
        );
    }
    let deleted = if message["is_deleted"] == true {
        "_deleted"
    } else {
        ""
    };
    (
        "message",
        format!("message_{}_{sender}{deleted}", mid("message")),
    )
}

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
fn all_nine_types_appear_mostly_messages_receipts_and_comments() {
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
fn bodies_say_what_the_ledger_says() {
    let plan = TrafficPlan {
        duplicates: 20.0,
        invalid: 10.0,
        ..plan()
    };
    for delivery in deliveries(3_000, plan) {
        if delivery.status == 400 {
            continue;
        }
        let body = json(&delivery);
        let items = items(&body);
        assert_eq!(items.len(), delivery.events.len());
        for ((account, time, item), told) in items.iter().zip(&delivery.events) {
            assert_eq!(told.ig_account_id.as_deref(), Some(account.as_str()));
            let Some(event_id) = &told.event_id else {
                assert_eq!(told.expectation, Expectation::Dead);
                continue;
            };
            let (event_type, id) = identity(time, item);
            assert_eq!(told.event_type, Some(event_type), "{item}");
            assert_eq!(**event_id, *id, "{item}");
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            );
            assert!(id.len() <= 400);
        }
    }
}

#[test]
fn messaging_items_have_the_documented_shape() {
    let mut referred_to = 0;
    let mut mids = HashSet::new();
    for delivery in deliveries(
        3_000,
        TrafficPlan {
            invalid: 0.0,
            ..plan()
        },
    ) {
        let body = json(&delivery);
        assert_eq!(body["object"], "instagram");
        for (account, time, item) in items(&body) {
            if item.get("field").is_some() {
                assert_eq!(time.len(), 10, "changes are timed in seconds");
                continue;
            }
            assert_eq!(time.len(), 13, "messaging is timed in milliseconds");
            assert_eq!(text(&item["timestamp"]).len(), 13);
            if item["message_edit"]["num_edit"] == 0 {
                assert!(item.get("sender").is_none());
                continue;
            }
            let (sender, recipient) = (&item["sender"]["id"], &item["recipient"]["id"]);
            let is_echo = item["message"]["is_echo"] == true;
            let own = if *sender == account {
                sender
            } else {
                recipient
            };
            assert_eq!(*own, account);
            assert!(!is_echo || *sender == account);
            if item["message"]["mid"].is_string() {
                mids.insert(text(&item["message"]["mid"]));
            } else if item.get("reaction").is_some() {
                assert_eq!(
                    item["reaction"].get("emoji").is_some(),
                    item["reaction"]["action"] == "react"
                );
                referred_to += u32::from(mids.contains(&text(&item["reaction"]["mid"])));
            }
        }
    }
    assert!(referred_to > 100, "reactions refer to messages sent before");
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
            let (_, _, item) = &items(&json(&delivery))[place];
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
    assert!((1_900..2_100).contains(&has(Expectation::Duplicate)));
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
        assert!(serde_json::from_slice::<Value>(&round[1].body).is_err());
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
