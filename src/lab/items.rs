//! One item of each type, with the `event_id` that it must get; here those of `changes`.

use std::sync::Arc;

use super::{
    cast::Account,
    content::Pen,
    kind::{Kind, Place},
    messaging,
    shapes::{Change, Comment, Draft, From, Media, Mention, StoryInsights},
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

/// A new item of `kind` to `account`, that happens at `now_ms` (milliseconds since 1970).
#[must_use]
pub fn item(pen: &mut Pen, account: &mut Account, kind: Kind, now_ms: u64) -> Item {
    let entry_time = kind.place().entry_time(now_ms);
    let (event_id, json) = match kind {
        Kind::Comment => comment(pen, account, "comments", "comment"),
        Kind::LiveComment => comment(pen, account, "live_comments", "live_comment"),
        Kind::Mention => mention(pen),
        Kind::StoryInsights => story_insights(pen, account, entry_time),
        Kind::Message => messaging::message(pen, account, now_ms),
        Kind::StoryMention => messaging::story_mention(pen, account, now_ms),
        Kind::MessageReactions => messaging::reaction(pen, account, now_ms),
        Kind::MessagingPostbacks => messaging::postback(pen, account, now_ms),
        Kind::MessagingSeen => messaging::seen(pen, account, now_ms),
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
