//! The shapes of Instagram's items.
//!
//! Source: Meta's "Instagram Platform: Webhooks", "Webhook Notification Examples" and "Messenger
//! Platform: Webhooks for Instagram Messaging". What is `None` is not written at all.

use serde::Serialize;

/// Identity and JSON of an item.
pub(super) type Draft = (String, Vec<u8>);

/// An item of `entry[].changes[]`.
#[derive(Debug, Serialize)]
pub struct Change<V> {
    /// The subscription field: `comments`, `live_comments`, `mentions`, `story_insights`.
    pub field: &'static str,
    /// What changed.
    pub value: V,
}

/// The value of `comments` and `live_comments`.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Comment<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a str>,
    pub from: From<'a>,
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
    pub id: &'a str,
    pub username: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_ig_scoped_id: Option<&'a str>,
}

/// What was commented on.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct Media<'a> {
    pub id: &'a str,
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
    pub media_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<&'a str>,
}

/// The value of `story_insights`; Meta sends −1 for values below 5.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct StoryInsights<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impressions: Option<i64>,
    pub reach: i64,
    pub taps_forward: i64,
    pub taps_back: i64,
    pub exits: i64,
    pub replies: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_interactions: Option<i64>,
}

/// An item of `entry[].messaging[]`: one of the last five fields is there.
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
}

/// Sender or recipient.
#[derive(Debug, Clone, Copy, Serialize)]
#[allow(missing_docs)]
pub struct Party<'a> {
    pub id: &'a str,
}

/// A number, which Instagram now and then writes as text.
#[derive(Debug, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Number {
    Number(u64),
    Text(String),
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
    pub attachments: Vec<Attachment<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick_reply: Option<QuickReply<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ReplyTo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referral: Option<Referral<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    pub is_echo: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_deleted: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_unsupported: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // the signature serde asks for
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Something that hangs on a message.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Attachment<'a> {
    #[serde(rename = "type")]
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<AttachmentPayload<'a>>,
}

/// Where the attachment is.
#[derive(Debug, Default, Serialize)]
#[allow(missing_docs)]
pub struct AttachmentPayload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sticker_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reel_video_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ig_post_media_id: Option<&'a str>,
}

/// Which of the offered answers was tapped.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct QuickReply<'a> {
    pub payload: &'a str,
}

/// What a message answers: another message, or a story.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct ReplyTo<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub story: Option<Story<'a>>,
}

/// The story that was answered.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Story<'a> {
    pub id: &'a str,
    pub url: &'a str,
}

/// What brought the person into the conversation.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Referral<'a> {
    #[serde(rename = "ref")]
    pub reference: &'a str,
    pub source: &'static str,
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub ad_id: &'a str,
    pub ads_context_data: AdsContext<'a>,
}

/// The ad that was tapped.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct AdsContext<'a> {
    pub ad_title: &'a str,
    pub photo_url: &'a str,
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
}

/// A read receipt.
#[derive(Debug, Serialize)]
#[allow(missing_docs)]
pub struct Read<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mid: Option<&'a str>,
}
