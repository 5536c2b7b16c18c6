//! The shapes of Instagram's items.
//!
//! Source: Meta's "Instagram Platform: Webhooks", "Webhook Notification Examples" and "Messenger
//! Platform: Webhooks for Instagram Messaging". What is `None` is not written at all.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// The value of `comments` and `live_comments`.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Comment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<From<'a>>,
    pub media: Media<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
}

/// Who wrote a comment.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct From<'a> {
    pub id: Id<'a>,
    pub username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_ig_scoped_id: Option<&'a str>,
}

/// What was commented on.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Media<'a> {
    pub id: Id<'a>,
    pub media_product_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ad_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ad_title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original_media_id: Option<&'a str>,
}

/// The value of `mentions`; without `comment_id` the mention is in the caption.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Mention<'a> {
    pub media_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<&'a str>,
}

/// The value of `story_insights`; Meta sends −1 for values below 5.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct StoryInsights<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impressions: Option<i64>,
    pub reach: i64,
    pub taps_forward: i64,
    pub taps_back: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exits: Option<i64>,
    pub replies: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_interactions: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follows: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_visits: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub navigation: Option<i64>,
}

/// An item of `entry[].messaging[]`: one of `message` to `read` is there.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Messaging<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<Party<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party<'a>>,
    pub timestamp: Number,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_edit: Option<MessageEdit<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<Reaction<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postback: Option<Postback<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Read<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    pub is_self: bool,
}

/// Sender or recipient.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct Party<'a> {
    pub id: Id<'a>,
}

/// An id: decimal digits as text, which Instagram now and then writes as a number.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Id<'a> {
    Text(&'a str),
    Number(u64),
}

/// A number, which Instagram now and then writes as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Number {
    Number(u64),
    Text(String),
}

/// As an `event_id` has it.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A direct message.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs, clippy::struct_excessive_bools)]
pub struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick_reply: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    pub is_echo: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_self: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_deleted: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_unsupported: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature serde asks for
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// An edit; `num_edit` 0 is what production sends beside a new message, without a text.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct MessageEdit<'a> {
    pub mid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<&'a str>,
    pub num_edit: Number,
}

/// A reaction; `unreact` has neither of the last two.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Reaction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    pub action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reaction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emoji: Option<&'static str>,
}

/// A tap on a button.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Postback<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral: Option<Value>,
}

/// A read receipt: of a message, or of all up to a moment (old API versions).
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Read<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Number>,
}
