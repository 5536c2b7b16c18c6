//! One item of each type, with the `event_id` that it must get.

use std::sync::Arc;

use super::{
    cast::{Account, Person},
    content::Pen,
    kind::{Kind, Place},
    shapes::{
        AdsContext, Attachment, AttachmentPayload, Change, Comment, From, Media, Mention, Message,
        MessageEdit, Messaging, Number, Party, Postback, QuickReply, Reaction, Read, Referral,
        ReplyTo, Story, StoryInsights,
    },
};

/// An item as it travels in an entry.
#[derive(Debug)]
pub struct Item {
    /// One of the nine, or `unknown` for what is malformed.
    pub event_type: &'static str,
    /// `entry.id`.
    pub ig_account_id: Arc<str>,
    /// The `event_id` it must get; none for what is malformed.
    pub event_id: Option<Arc<str>>,
    /// Its list in the entry.
    pub place: Place,
    /// The `entry.time` it is told with.
    pub entry_time: u64,
    /// The change or messaging item itself.
    pub json: Vec<u8>,
}

/// Identity and JSON of an item.
type Draft = (String, Vec<u8>);

/// A new item of `kind` to `account`, that happens at `now_ms` (milliseconds since 1970).
#[must_use]
pub fn item(pen: &mut Pen, account: &mut Account, kind: Kind, now_ms: u64) -> Item {
    let entry_time = kind.place().entry_time(now_ms);
    let (event_id, json) = match kind {
        Kind::Comment => comment(pen, account, "comments", "comment"),
        Kind::LiveComment => comment(pen, account, "live_comments", "live_comment"),
        Kind::Mention => mention(pen),
        Kind::StoryInsights => story_insights(pen, account, entry_time),
        Kind::Message => message(pen, account, now_ms),
        Kind::StoryMention => story_mention(pen, account, now_ms),
        Kind::MessageReactions => reaction(pen, account, now_ms),
        Kind::MessagingPostbacks => postback(pen, account, now_ms),
        Kind::MessagingSeen => seen(pen, account, now_ms),
    };
    Item {
        event_type: kind.name(),
        ig_account_id: Arc::clone(&account.id),
        event_id: Some(event_id.into()),
        place: kind.place(),
        entry_time,
        json,
    }
}

fn comment(
    pen: &mut Pen,
    account: &mut Account,
    field: &'static str,
    event_type: &'static str,
) -> Draft {
    let id = pen.id();
    let text = (!pen.chance(2)).then(|| pen.text()); // a GIF has none
    let post = account.post(pen).to_owned();
    let account_id = Arc::clone(&account.id);
    let parent_id = account.last_comment.clone().filter(|_| pen.chance(15));
    let is_own = parent_id.is_some() && pen.chance(30);
    let ad_media = (field == "comments" && pen.chance(5)).then(|| (pen.id(), pen.id()));
    let person = account.person(pen);
    let from = From {
        id: if is_own { &account_id } else { &person.id },
        username: if is_own {
            "the.account"
        } else {
            &person.username
        },
        self_ig_scoped_id: is_own.then_some(person.id.as_str()),
    };
    let value = Comment {
        id: Some(&id),
        media: commented_media(pen, field, &post, ad_media.as_ref()),
        parent_id: parent_id.as_deref(),
        text: text.as_deref(),
        from,
    };
    let event_id = format!("{event_type}_{id}_{}", value.from.id);
    let json = pen.json(&Change { field, value });
    account.last_comment = Some(id);
    (event_id, json)
}

fn commented_media<'a>(
    pen: &mut Pen,
    field: &str,
    post: &'a str,
    ad: Option<&'a (String, String)>,
) -> Media<'a> {
    match ad {
        Some((copy, ad_id)) => Media {
            id: copy,
            media_product_type: "AD",
            ad_id: Some(ad_id),
            ad_title: pen.chance(70).then_some("Winter sale / −20 %"),
            original_media_id: Some(post),
        },
        None => Media {
            id: post,
            media_product_type: if field == "comments" {
                pen.pick(&["FEED", "FEED", "REELS"])
            } else {
                "LIVE"
            },
            ..Media::default()
        },
    }
}

fn mention(pen: &mut Pen) -> Draft {
    let media_id = pen.id();
    let comment_id = pen.chance(70).then(|| pen.id());
    let value = Mention {
        media_id: &media_id,
        comment_id: comment_id.as_deref(),
    };
    let json = pen.json(&Change {
        field: "mentions",
        value,
    });
    let place = comment_id.as_deref().unwrap_or("-");
    (format!("mention_{media_id}_{place}_-"), json)
}

fn story_insights(pen: &mut Pen, account: &mut Account, entry_time: u64) -> Draft {
    let media_id = match account.last_story.take() {
        // A later insight of the same story is news; the time is all that tells them apart.
        Some((media_id, told)) if told < entry_time && pen.chance(20) => media_id,
        _ => pen.id(),
    };
    let is_newer = pen.chance(50);
    let value = StoryInsights {
        media_id: Some(&media_id),
        impressions: (!is_newer).then(|| pen.figure(5_000)),
        reach: pen.figure(4_000),
        taps_forward: pen.figure(800),
        taps_back: pen.figure(100),
        exits: pen.figure(200),
        replies: pen.figure(20),
        views: is_newer.then(|| pen.figure(5_000)),
        shares: is_newer.then(|| pen.figure(50)),
        total_interactions: is_newer.then(|| pen.figure(300)),
    };
    let json = pen.json(&Change {
        field: "story_insights",
        value,
    });
    let event_id = format!("story_insights_{media_id}_{entry_time}");
    account.last_story = Some((media_id, entry_time));
    (event_id, json)
}

/// A messaging item without what it is about.
pub(super) fn envelope<'a>(from: &'a str, to: &'a str, timestamp: Number) -> Messaging<'a> {
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

fn message(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
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

fn story_mention(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
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

fn reaction(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
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

fn postback(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
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

fn seen(pen: &mut Pen, account: &mut Account, now_ms: u64) -> Draft {
    let account_id = Arc::clone(&account.id);
    let person = account.person(pen);
    let sent = person.earlier_or_unheard(pen, now_ms, |sent| sent.by_account && !sent.unsent);
    let (mid, at) = (Arc::clone(&sent.mid), sent.next_event_ms(now_ms));
    let mut item = envelope(&person.id, &account_id, pen.number(at));
    item.read = Some(Read { mid: Some(&mid) });
    let event_id = format!("messaging_seen_{mid}_{}_{at}", person.id);
    (event_id, pen.json(&item))
}
