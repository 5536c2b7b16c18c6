//! The items of `changes`: comments, mentions, and the figures of stories.

use std::sync::Arc;

use super::{
    cast::Account,
    content::Pen,
    draft::{Draft, Drafts, Moment},
    expectation::Expectation,
    kind::{Kind, Place},
    shapes::{Comment, From, Media, Mention, StoryInsights},
};

fn draft(field: &'static str, event_id: String, json: Vec<u8>) -> Draft {
    Draft {
        event_id: Some(event_id),
        field,
        place: Place::Changes,
        json,
    }
}

pub(super) fn comment(pen: &mut Pen, account: &mut Account) -> Drafts {
    let words = Words::new(pen, account);
    let post = account.post(pen).to_owned();
    let event_id = words.event_id("comment");
    if !pen.chance(5) {
        let kind = pen.pick(&["FEED", "FEED", "REELS", "STORY"]);
        let media = media(pen, &post, kind);
        let json = words.json(pen, media);
        return (draft("comments", event_id, json), None);
    }
    let (copy, ad_id) = (pen.id(), pen.id());
    let ad = Media {
        ad_id: Some(&ad_id),
        ad_title: pen.chance(70).then_some("Winter sale / −20 %"),
        original_media_id: Some(&post),
        ..media(pen, &copy, "AD")
    };
    let now = draft("comments", event_id.clone(), words.json(pen, ad));
    // A comment under a boosted post comes twice, once with each media: it is one comment.
    let boosted = pen.chance(30).then(|| {
        let media = media(pen, &post, "FEED");
        let json = words.json(pen, media);
        let again = draft("comments", event_id, json);
        (Kind::Comment, Expectation::Duplicate, again)
    });
    (now, boosted)
}

pub(super) fn live_comment(pen: &mut Pen, account: &mut Account) -> Draft {
    let words = Words::new(pen, account);
    let post = account.post(pen).to_owned();
    let media = media(pen, &post, "LIVE");
    let json = words.json(pen, media);
    draft("live_comments", words.event_id("live_comment"), json)
}

/// A comment but for what it is under.
struct Words {
    id: String,
    /// It stands in `comment_id`, not in `id`.
    is_comment_id: bool,
    /// None in a GIF.
    text: Option<String>,
    /// Id, user name, and whether it is the account's own; the samples lack it.
    from: Option<(String, String)>,
    self_ig_scoped_id: Option<String>,
    parent_id: Option<String>,
}

impl Words {
    fn new(pen: &mut Pen, account: &mut Account) -> Self {
        let id = pen.id();
        let parent_id = account.last_comment.clone().filter(|_| pen.chance(15));
        let is_own = parent_id.is_some() && pen.chance(30);
        let (account_id, is_sample) = (Arc::clone(&account.id), account.is_sample);
        let person = account.person(pen);
        let from = if is_own {
            (account_id.to_string(), "the.account".to_owned())
        } else {
            (person.id.clone(), person.username.clone())
        };
        let self_ig_scoped_id = is_own.then(|| person.id.clone());
        account.last_comment = Some(id.clone());
        Self {
            id,
            is_comment_id: pen.chance(2),
            text: (!pen.chance(2)).then(|| pen.text().into_owned()),
            from: (!is_sample && !pen.chance(1)).then_some(from),
            self_ig_scoped_id,
            parent_id,
        }
    }

    fn event_id(&self, event_type: &str) -> String {
        let from = self.from.as_ref().map_or("-", |(id, _)| id);
        format!("{event_type}_{}_{from}", self.id)
    }

    fn json(&self, pen: &mut Pen, media: Media<'_>) -> Vec<u8> {
        let id = Some(pen.written(&self.id));
        let from = self.from.as_ref().map(|(id, username)| From {
            id: pen.written(id),
            username,
            self_ig_scoped_id: self.self_ig_scoped_id.as_deref(),
        });
        let value = Comment {
            id: id.filter(|_| !self.is_comment_id),
            comment_id: id.filter(|_| self.is_comment_id),
            from,
            media,
            parent_id: self.parent_id.as_deref(),
            text: self.text.as_deref(),
        };
        pen.json(&value)
    }
}

fn media<'a>(pen: &mut Pen, id: &'a str, media_product_type: &'a str) -> Media<'a> {
    Media {
        id: pen.written(id),
        media_product_type,
        ad_id: None,
        ad_title: None,
        original_media_id: None,
    }
}

pub(super) fn mention(pen: &mut Pen) -> Draft {
    let media_id = pen.id();
    let comment_id = pen.chance(70).then(|| pen.id());
    let value = Mention {
        media_id: pen.written(&media_id),
        comment_id: comment_id.as_deref(),
    };
    let json = pen.json(&value);
    let place = comment_id.as_deref().unwrap_or("-");
    draft("mentions", format!("mention_{media_id}_{place}_-"), json)
}

pub(super) fn story_insights(pen: &mut Pen, account: &mut Account, at: &Moment) -> Draft {
    let now = at.ms / 1_000;
    let media_id = match account.last_story.take() {
        // A later insight of the same story is news; the time is all that tells them apart.
        Some((media_id, told)) if told < now && pen.chance(20) => media_id,
        _ => pen.id(),
    };
    let is_newer = pen.chance(50);
    let newer = if is_newer { 80 } else { 0 };
    let value = StoryInsights {
        media_id: Some(pen.written(&media_id)),
        impressions: (!is_newer).then(|| pen.figure(5_000)),
        reach: pen.figure(4_000),
        taps_forward: pen.figure(800),
        taps_back: pen.figure(100),
        exits: pen.perhaps(90, 200),
        replies: pen.figure(20),
        views: pen.perhaps(newer, 5_000),
        shares: pen.perhaps(newer, 50),
        total_interactions: pen.perhaps(newer, 300),
        follows: pen.perhaps(newer, 10),
        profile_visits: pen.perhaps(newer, 60),
        navigation: pen.perhaps(newer, 900),
    };
    let json = pen.json(&value);
    let event_id = format!("story_insights_{media_id}_{}", at.entry_time);
    account.last_story = Some((media_id, now));
    draft("story_insights", event_id, json)
}
