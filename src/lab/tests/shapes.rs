//! What the items look like, and that the ledger says the same.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::bodies::{Found, deliveries, items, json, plan, text};
use crate::lab::{Expectation, Kind, TrafficPlan};

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
