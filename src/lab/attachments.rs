//! What hangs on a message, and what it answers or came by.

use serde_json::{Value, json};

use super::content::Pen;

/// An attachment, or several of one kind.
pub(super) fn attachments(pen: &mut Pen) -> Vec<Value> {
    match pen.below(100) {
        0..50 => media_files(pen),
        50..80 => shared(pen),
        80..90 => vec![json!({ "type": "like_heart" })],
        90..94 => vec![json!({ "type": "ephemeral" })],
        94..96 => vec![json!({ "type": "unsupported_type" })],
        96..98 => vec![
            json!({ "type": "fallback", "payload": { "url": pen.media_url(), "title": pen.text() } }),
        ],
        _ => vec![template(pen)],
    }
}

fn media_files(pen: &mut Pen) -> Vec<Value> {
    let kind = pen.pick(&["image", "image", "video", "audio", "file"]);
    let count = if kind == "image" { 1 + pen.below(3) } else { 1 };
    (0..count).map(|_| linked(kind, &pen.media_url())).collect()
}

pub(super) fn linked(kind: &str, url: &str) -> Value {
    json!({ "type": kind, "payload": { "url": url } })
}

fn shared(pen: &mut Pen) -> Vec<Value> {
    let (url, id) = (pen.media_url(), pen.id());
    let post = || json!({ "type": "ig_post", "payload": { "url": url, "ig_post_media_id": id } });
    let reel = json!({ "url": url, "title": "Новая коллекция ✨", "reel_video_id": id });
    let story = json!({ "story_media_id": id, "story_media_url": url });
    vec![match pen.below(12) {
        0..3 => json!({ "type": "ig_reel", "payload": reel }),
        3 => json!({ "type": "reel", "payload": reel }),
        4 => post(),
        // While `share` is being withdrawn, both come together.
        5 => return vec![linked("share", &url), post()],
        6 => linked("share", &url),
        // A comment that was shared.
        7 => json!({ "type": "share", "payload": { "generic": [
            { "title": pen.text(), "subtitle": "Comment", "image_url": url, "id": id },
        ] } }),
        8 => json!({ "type": "ig_story", "payload": story }),
        9 => json!({ "type": "story", "payload": story }),
        10 => json!({ "type": "media", "payload": { "url": url, "id": id } }),
        _ => {
            json!({ "type": "sticker", "payload": { "url": url, "sticker_id": 369_239_263_222_822_u64 } })
        }
    }]
}

fn template(pen: &mut Pen) -> Value {
    json!({ "type": "template", "payload": { "generic": { "elements": [
        { "title": pen.text(), "buttons": [{ "type": "postback", "title": "👍", "payload": "YES" }] },
    ] } } })
}

pub(super) fn reply_to_message(pen: &mut Pen, mid: &str) -> Value {
    if pen.chance(10) {
        json!({ "mid": mid, "is_self_reply": true })
    } else {
        json!({ "mid": mid })
    }
}

pub(super) fn reply_to_story(pen: &mut Pen) -> Value {
    let mut story = json!({ "id": pen.id(), "url": pen.media_url() });
    if pen.chance(20) {
        story["link_sticker_url"] = json!("https://example.com/sale?utm_source=story");
    }
    json!({ "story": story })
}

/// What brought the person into the conversation: an ad, mostly.
pub(super) fn referral(pen: &mut Pen) -> Value {
    match pen.below(10) {
        0..6 => json!({
            "ref": "winter-sale", "source": "ADS", "type": "OPEN_THREAD", "ad_id": pen.id(),
            "ads_context_data": {
                "ad_title": "Winter sale / −20 %", "photo_url": pen.media_url(),
                "video_url": pen.media_url(), "post_id": pen.id(),
            },
        }),
        6 => {
            json!({ "source": "ADS", "type": "OPEN_THREAD", "ad_id": pen.id(), "flow_id": pen.id() })
        }
        7..9 => json!({ "product": { "id": pen.id() } }),
        _ => json!({ "ref": "ig.me/m/…?ref=a b", "source": "IGME", "type": "OPEN_THREAD" }),
    }
}
