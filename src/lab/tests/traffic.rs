use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::read;
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
    read(&delivery.body).expect("valid JSON")
}

/// An item of a body.
struct Found {
    account: String,
    /// `entry.time`, as received.
    time: String,
    /// The list it was in, if it was in one.
    list: Option<&'static str>,
    item: Value,
}

/// All items of a body, in their order.
fn items(body: &Value) -> Vec<Found> {
    let objects = body.as_array().cloned().unwrap_or(vec![body.clone()]);
    let entries = objects
        .iter()
        .flat_map(|object| object["entry"].as_array().unwrap());
    entries.flat_map(items_of).collect()
}

fn items_of(entry: &Value) -> Vec<Found> {
    let found = |list, item: &Value| Found {
        account: text(&entry["id"]),
        time: text(&entry["time"]),
        list,
        item: item.clone(),
    };
    for list in ["changes", "messaging", "standby"] {
        if let Some(items) = entry.get(list) {
            let items = items.as_array().unwrap();
            return items.iter().map(|item| found(Some(list), item)).collect();
        }
    }
    vec![found(None, entry)]
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The type and identity that the documentation gives to an item; no identity for `unknown`.
fn identity(found: &Found) -> (&'static str, Option<String>) {
    let (time, value) = (&found.time, &found.item["value"]);
    let from = || {
        let id = value.get("id").unwrap_or(&value["comment_id"]);
        format!("{}_{}", text(id), text(&value["from"]["id"]))
    };
    let media = text(&value["media_id"]);
    match found.item["field"].as_str() {
        Some("comments") => ("comment", Some(format!("comment_{}", from()))),
        Some("live_comments") => ("live_comment", Some(format!("live_comment_{}", from()))),
        Some("mentions") => {
            let comment = text(&value["comment_id"]);
            ("mention", Some(format!("mention_{media}_{comment}_-")))
        }
        Some("story_insights") => {
            let id = format!("story_insights_{media}_{time}");
            ("story_insights", Some(id))
        }
        Some(field) if field.starts_with("messag") => messaging_identity(value),
        Some(_) => ("unknown", None),
        None => messaging_identity(&found.item),
    }
}

fn messaging_identity(item: &Value) -> (&'static str, Option<String>) {
    let (sender, at) = (text(&item["sender"]["id"]), text(&item["timestamp"]));
    let mid = |key: &str| text(&item[key]["mid"]);
    let id = if item.get("reaction").is_some() {
        let (mid, action) = (mid("reaction"), text(&item["reaction"]["action"]));
        format!("message_reactions_{mid}_{sender}_{action}_{at}")
    } else if let Some(postback) = item.get("postback") {
        // Serde writes the keys sorted.
        let digest = || hex::encode(Sha256::digest(postback.to_string()));
        let stand_in = || format!("-_{at}_{}", digest());
        let lead = postback.get("mid").map_or_else(stand_in, text);
        format!("messaging_postbacks_{lead}_{sender}")
    } else if let Some(read) = item.get("read") {
        let lead = text(read.get("mid").unwrap_or(&read["watermark"]));
        format!("messaging_seen_{lead}_{sender}_{at}")
    } else if item.get("message_edit").is_some() {
        let (mid, edit) = (mid("message_edit"), text(&item["message_edit"]["num_edit"]));
        format!("message_{mid}_{sender}_edit{edit}")
    } else if let Some(message) = item.get("message") {
        let mid = mid("message");
        if message["attachments"][0]["type"] == "story_mention" {
            format!("story_mention_{mid}_{sender}")
        } else if message["is_deleted"] == true {
            format!("message_{mid}_{sender}_deleted")
        } else {
            format!("message_{mid}_{sender}")
        }
    } else {
        return ("unknown", None);
    };
    let types = Kind::ALL.map(Kind::name);
    // The longest name that fits: `message` begins `message_reactions` too.
    let fitting = types.into_iter().filter(|name| id.starts_with(name));
    let name = fitting.max_by_key(|name| name.len()).unwrap();
    (name, Some(id))
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
        let items = items(&json(&delivery));
        assert_eq!(items.len(), delivery.events.len());
        for (found, told) in items.iter().zip(&delivery.events) {
            assert_eq!(told.ig_account_id.as_deref(), Some(found.account.as_str()));
            if told.expectation == Expectation::Dead {
                assert_eq!((told.event_type, &told.event_id), (Some("unknown"), &None));
                continue;
            }
            let (event_type, id) = identity(found);
            assert_eq!(told.event_type, Some(event_type), "{}", found.item);
            assert_eq!(told.event_id.as_deref(), id.as_deref(), "{}", found.item);
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:+".contains(&byte);
            assert!(id.is_none_or(|id| id.len() <= 400 && id.bytes().all(is_plain)));
        }
    }
}

#[test]
fn messaging_items_have_the_documented_shape() {
    let plan = TrafficPlan {
        invalid: 0.0,
        ..plan()
    };
    let mut referred_to = 0;
    let mut mids = HashSet::new();
    for delivery in deliveries(3_000, plan) {
        for Found {
            account,
            time,
            list,
            item,
        } in items(&json(&delivery))
        {
            if list != Some("messaging") {
                continue;
            }
            assert_eq!(time.len(), 13, "messaging is timed in milliseconds");
            assert_eq!(text(&item["timestamp"]).len(), 13);
            if item["message_edit"]["num_edit"] == 0 || item["message_edit"]["num_edit"] == "0" {
                assert!(item.get("sender").is_none());
                continue;
            }
            let (sender, recipient) = (text(&item["sender"]["id"]), text(&item["recipient"]["id"]));
            let is_echo = item["message"]["is_echo"] == true;
            assert_eq!(
                if sender == account {
                    &sender
                } else {
                    &recipient
                },
                &account
            );
            assert!(!is_echo || sender == account);
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
    assert!(
        referred_to > 100,
        "reactions refer to messages sent before: {referred_to}"
    );
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
fn every_shape_appears() {
    let plan = TrafficPlan {
        accounts: 5,
        ..plan()
    };
    let sent = deliveries(20_000, plan);
    let text: Vec<_> = sent
        .iter()
        .map(|sent| String::from_utf8_lossy(&sent.body))
        .collect();
    let text = text.join("\n");
    let attachments = [
        "image",
        "video",
        "audio",
        "file",
        "share",
        "ig_reel",
        "reel",
        "ig_post",
        "ig_story",
        "story",
        "media",
        "story_mention",
        "template",
        "ephemeral",
        "fallback",
        "sticker",
        "like_heart",
        "unsupported_type",
    ];
    for kind in attachments {
        assert!(text.contains(&format!(r#""type":"{kind}""#)), "{kind}");
    }
    let shapes = [
        "\n[{\"object\"",
        r#"{"entry":["#,
        r#""id":"0","changes""#,
        r#""id":17841405822304914,"#,
        r#""standby":["#,
        r#","field":"comments","value""#,
        r#""changed_fields""#,
        r#""field":"messages","value":{"sender""#,
        r#""field":"message_echoes","value""#,
        r#""field":"standby","value":""#,
        r#""comment_id":""#,
        r#""original_media_id""#,
        r#""self_ig_scoped_id""#,
        r#""replies":-1"#,
        r#""navigation""#,
        r#""quick_reply":{"#,
        r#""is_self_reply":true"#,
        r#""link_sticker_url""#,
        r#""ads_context_data""#,
        r#""flow_id""#,
        r#""product":{"#,
        r#""generic":["#,
        r#""app_id":"#,
        r#""is_self":true"#,
        r#""is_unsupported":true"#,
        r#""num_edit":0"#,
        r#""num_edit":""#,
        r#""watermark":"#,
        r#""action":"unreact""#,
        r#""referral":{"#,
        r#""optin":{"#,
        r#""pass_thread_control":{"#,
        r#""policy_enforcement":{"#,
        r#""field":"story_reactions""#,
        r#"here \ud83d""#,
        r#""\udc4d goes on"#,
        r"\u0000",
        "+0000\"",
    ];
    for shape in shapes {
        assert!(text.contains(shape), "{shape}");
    }
    let longest = sent.iter().map(|delivery| delivery.body.len()).max();
    assert!(longest > Some(16_000), "a text of many KB");
    let in_bursts = sent.iter().filter(|sent| sent.moment < sent.number).count();
    assert!((200..4_000).contains(&in_bursts), "{in_bursts}");
}

#[test]
fn things_come_before_the_message_they_are_about() {
    let plan = TrafficPlan {
        duplicates: 0.0,
        invalid: 0.0,
        ..plan()
    };
    let mut early: HashMap<String, &str> = HashMap::new();
    let mut late = BTreeMap::<_, u32>::new();
    for delivery in deliveries(20_000, plan) {
        for found in items(&json(&delivery)) {
            let item = &found.item;
            let about = ["reaction", "read", "message_edit", "message"]
                .into_iter()
                .find_map(|key| Some((key, item.get(key)?)));
            let Some((key, about)) = about else { continue };
            let mid = text(&about["mid"]);
            let is_told = key == "message" && about["is_deleted"] != true;
            if is_told {
                if let Some(key) = early.remove(&mid) {
                    *late.entry(key).or_default() += 1;
                }
            } else {
                early.insert(mid, key);
            }
        }
    }
    for key in ["reaction", "read", "message_edit", "message"] {
        assert!(late.get(key) > Some(&5), "{key}: {late:?}");
    }
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
