//! The items of `messaging`: what people and accounts write to each other, and what they do to it.

use std::sync::Arc;

use super::{
    cast::{Account, Person},
    content::Pen,
    shapes::{
        AdsContext, Attachment, AttachmentPayload, Draft, Message, MessageEdit, Messaging, Number,
        Party, Postback, QuickReply, Reaction, Read, Referral, ReplyTo, Story,
    },
};

/// A messaging item without what it is about.
fn envelope<'a>(from: &'a str, to: &'a str, timestamp: Number) -> Messaging<'a> {
    Messaging {
        sender: Some(Party { id: from }),
        recipient: Some(Party { id: to }),
        timestamp,
        message: None,
        message_edit: None,
        reaction: None,
        postback: None,
        read: None,
    }
}

pub(super) fn message(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let person = account.person(pen);
    let told_before = match pen.below(100) {
        0..3 => unsent(pen, &account_id, person, now_ms),
        3..6 => edited(pen, &account_id, person, now_ms),
        6..8 => announced(pen, person, now_ms),
        _ => None,
    };
    told_before.unwrap_or_else(|| new_message(pen, &account_id, person, now_ms))
}

fn unsent(pen: &mut Pen, account_id: &str, person: &mut Person, now_ms: u64) -> Option<Draft> {
    let sent = person.earlier(pen, |sent| !sent.unsent)?;
    sent.unsent = true;
    let (mid, is_echo) = (Arc::clone(&sent.mid), sent.by_account);
    let (from, to) = direction(account_id, person, is_echo);
    let mut item = envelope(from, to, pen.number(now_ms));
    item.message = Some(Message {
        mid: Some(&mid),
        is_deleted: true,
        is_echo,
        ..Message::default()
    });
    Some((format!("message_{mid}_{from}_deleted"), pen.json(&item)))
}

fn edited(pen: &mut Pen, account_id: &str, person: &mut Person, now_ms: u64) -> Option<Draft> {
    let sent = person.earlier(pen, |sent| !sent.unsent && sent.edits < 5)?;
    sent.edits += 1;
    let (mid, edits, is_echo) = (Arc::clone(&sent.mid), sent.edits, sent.by_account);
    let text = pen.text();
    let (from, to) = direction(account_id, person, is_echo);
    let mut item = envelope(from, to, pen.number(now_ms));
    item.message_edit = Some(MessageEdit {
        mid: &mid,
        text: Some(&text),
        num_edit: pen.number(edits),
    });
    Some((format!("message_{mid}_{from}_edit{edits}"), pen.json(&item)))
}

/// The edit number 0 that production sends beside a new message: no text and no parties.
fn announced(pen: &mut Pen, person: &mut Person, now_ms: u64) -> Option<Draft> {
    let sent = person.earlier(pen, |sent| !sent.announced)?;
    sent.announced = true;
    let mid = Arc::clone(&sent.mid);
    let mut item = envelope("", "", Number::Number(now_ms));
    (item.sender, item.recipient) = (None, None);
    item.message_edit = Some(MessageEdit {
        mid: &mid,
        text: None,
        num_edit: Number::Number(0),
    });
    Some((format!("message_{mid}_-_edit0"), pen.json(&item)))
}

fn direction<'a>(account_id: &'a str, person: &'a Person, is_echo: bool) -> (&'a str, &'a str) {
    if is_echo {
        (account_id, &person.id)
    } else {
        (&person.id, account_id)
    }
}

fn new_message(pen: &mut Pen, account_id: &str, person: &mut Person, now_ms: u64) -> Draft {
    let is_echo = pen.chance(25);
    let answered = person
        .earlier(pen, |sent| !sent.unsent)
        .map(|sent| Arc::clone(&sent.mid));
    let mid = person.send(pen, is_echo, now_ms);
    let (text, url, story_id) = (pen.text(), pen.media_url(), pen.id());
    let mut message = Message {
        mid: Some(&mid),
        is_echo,
        ..Message::default()
    };
    match pen.below(100) {
        0..14 => message.attachments = media_files(pen, &url),
        14..22 => message.attachments = vec![shared(pen, &url, &story_id)],
        22..25 => message.attachments = vec![bare("like_heart")],
        25..26 => message.is_unsupported = true,
        _ => message.text = Some(&text),
    }
    if message.text.is_some() {
        match pen.below(100) {
            0..10 => message.reply_to = answered.as_deref().map(reply_to_message),
            10..16 if !is_echo => message.reply_to = Some(reply_to_story(&story_id, &url)),
            16..20 if !is_echo => message.quick_reply = Some(QuickReply { payload: "SIZE_M" }),
            20..22 if !is_echo => message.referral = Some(from_ad(&story_id, &url)),
            _ => {}
        }
    }
    let (from, to) = direction(account_id, person, is_echo);
    let mut item = envelope(from, to, pen.number(now_ms));
    item.message = Some(message);
    (format!("message_{mid}_{from}"), pen.json(&item))
}

fn media_files<'a>(pen: &mut Pen, url: &'a str) -> Vec<Attachment<'a>> {
    let kind = pen.pick(&["image", "image", "video", "audio", "file"]);
    let count = if kind == "image" { 1 + pen.below(3) } else { 1 };
    (0..count).map(|_| linked(kind, url)).collect()
}

fn linked<'a>(kind: &'static str, url: &'a str) -> Attachment<'a> {
    Attachment {
        kind,
        payload: Some(AttachmentPayload {
            url: Some(url),
            ..AttachmentPayload::default()
        }),
    }
}

const fn bare(kind: &'static str) -> Attachment<'static> {
    Attachment {
        kind,
        payload: None,
    }
}

fn shared<'a>(pen: &mut Pen, url: &'a str, media_id: &'a str) -> Attachment<'a> {
    let mut attachment = linked(pen.pick(&["ig_reel", "ig_post", "share", "sticker"]), url);
    if let Some(payload) = &mut attachment.payload {
        match attachment.kind {
            "ig_reel" => {
                payload.reel_video_id = Some(media_id);
                payload.title = Some("Новая коллекция ✨");
            }
            "ig_post" => payload.ig_post_media_id = Some(media_id),
            "sticker" => payload.sticker_id = Some(369_239_263_222_822),
            _ => {}
        }
    }
    attachment
}

const fn reply_to_message(mid: &str) -> ReplyTo<'_> {
    ReplyTo {
        mid: Some(mid),
        story: None,
    }
}

const fn reply_to_story<'a>(id: &'a str, url: &'a str) -> ReplyTo<'a> {
    ReplyTo {
        mid: None,
        story: Some(Story { id, url }),
    }
}

const fn from_ad<'a>(ad_id: &'a str, photo_url: &'a str) -> Referral<'a> {
    Referral {
        reference: "winter-sale",
        source: "ADS",
        kind: "OPEN_THREAD",
        ad_id,
        ads_context_data: AdsContext {
            ad_title: "Winter sale / −20 %",
            photo_url,
        },
    }
}

pub(super) fn story_mention(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let url = pen.media_url();
    let person = account.person(pen);
    let mid = person.send(pen, false, now_ms);
    let mut item = envelope(&person.id, &account_id, pen.number(now_ms));
    item.message = Some(Message {
        mid: Some(&mid),
        attachments: vec![linked("story_mention", &url)],
        ..Message::default()
    });
    let event_id = format!("story_mention_{mid}_{}", person.id);
    (event_id, pen.json(&item))
}

/// The names Instagram gives to reactions; `other` comes with any emoji.
const REACTIONS: &[(&str, &str)] = &[
    ("love", "❤"),
    ("love", "❤️"),
    ("haha", "😆"),
    ("wow", "😮"),
    ("sad", "😢"),
    ("angry", "😠"),
    ("like", "👍🏽"),
    ("other", ""),
];

pub(super) fn reaction(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let person = account.person(pen);
    let sent = person.earlier_or_unheard(pen, now_ms, |sent| !sent.unsent);
    let (mid, at) = (Arc::clone(&sent.mid), sent.next_event_ms(now_ms));
    let taken_back = sent.reacted && pen.chance(50);
    sent.reacted = !taken_back;
    let action = if taken_back { "unreact" } else { "react" };
    let (name, emoji) = match pen.pick(REACTIONS) {
        (name, "") => (name, pen.emoji()),
        both => both,
    };
    let mut item = envelope(&person.id, &account_id, pen.number(at));
    item.reaction = Some(Reaction {
        mid: Some(&mid),
        action,
        reaction: (!taken_back).then_some(name),
        emoji: (!taken_back).then_some(emoji),
    });
    let event_id = format!("message_reactions_{mid}_{}_{action}_{at}", person.id);
    (event_id, pen.json(&item))
}

pub(super) fn postback(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let person = account.person(pen);
    let mid = pen.mid();
    let (title, payload) = pen.pick(&[
        ("What are your opening hours?", Some("ICEBREAKER_HOURS")),
        ("¿Dónde está mi pedido? 📦", Some("ORDER/STATUS")),
        ("عرض المنتجات", Some("CATALOG")),
        ("Talk to a person", None),
    ]);
    let mut item = envelope(&person.id, &account_id, pen.number(now_ms));
    item.postback = Some(Postback {
        mid: Some(&mid),
        title: Some(title),
        payload,
    });
    let event_id = format!("messaging_postbacks_{mid}_{}", person.id);
    (event_id, pen.json(&item))
}

pub(super) fn seen(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let person = account.person(pen);
    let sent = person.earlier_or_unheard(pen, now_ms, |sent| sent.by_account && !sent.unsent);
    let (mid, at) = (Arc::clone(&sent.mid), sent.next_event_ms(now_ms));
    let mut item = envelope(&person.id, &account_id, pen.number(at));
    item.read = Some(Read { mid: Some(&mid) });
    let event_id = format!("messaging_seen_{mid}_{}_{at}", person.id);
    (event_id, pen.json(&item))
}
