//! A row of every table, every column filled, all of one account.
#![expect(clippy::unnecessary_wraps, reason = "most columns can be NULL")]

use chrono::{DateTime, Utc};
use entity::{
    EncryptedToken, client_account, comment, conversation, erased_account, mention, message,
    message_reaction, messaging_postback, messaging_seen, story_insight, webhook_event,
    webhook_subscription,
};
use sea_orm::{DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, ModelTrait};
use serde_json::{Value, json};
use uuid::Uuid;

pub const ACCOUNT: Uuid = Uuid::from_u128(1);
pub const CONVERSATION: Uuid = Uuid::from_u128(2);
pub const IG_ACCOUNT: &str = "17841400000000001";
const PERSON: &str = "1000000000000000123456789";

/// 2026-11-24 17:25:19.123456 UTC.
pub fn time() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_795_541_119_123_456).expect("a time in range")
}

fn id(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn raw() -> Option<Value> {
    Some(json!({"text": "für „dich“ 🎉", "n": 12_345_678_901_234_567_890_u64, "list": [1, null]}))
}

pub fn client_account() -> client_account::Model {
    client_account::Model {
        id: ACCOUNT,
        instagram_business_account_id: IG_ACCOUNT.to_owned(),
        app_scoped_id: id("9000000000001"),
        username: id("somebody"),
        access_token: Some(EncryptedToken("sealed".to_owned())),
        active: true,
        created_at: time(),
        updated_at: time(),
    }
}

/// The first telling of an event.
pub fn webhook_event(receipt: u128) -> webhook_event::Model {
    webhook_event::Model {
        id: Uuid::from_u128(receipt),
        event_type: "comment".to_owned(),
        event_id: "comment_17900_1000".to_owned(),
        instagram_account_id: Some(ACCOUNT),
        ig_account_id: IG_ACCOUNT.to_owned(),
        origin: id(webhook_event::origin::CHANGES),
        object_type: id("comment"),
        object_id: id("17900"),
        sender_ig_id: id(PERSON),
        sender_username: id("person"),
        payload: raw(),
        status: webhook_event::status::STORED.to_owned(),
        processed: true,
        processed_at: Some(time()),
        processing_attempts: 1,
        deaths: 0,
        last_processing_error: id("none"),
        is_duplicate: false,
        duplicate_of: None,
        stream_sequence: Some(i64::MAX),
        delivery_id: Uuid::from_u128(77),
        occurred_at: time(),
        received_at: time(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn erased_account() -> erased_account::Model {
    erased_account::Model {
        ig_account_id: IG_ACCOUNT.to_owned(),
        erased_at: time(),
        finished_at: Some(time()),
        confirmation_code: id("c0de"),
    }
}

pub fn webhook_subscription() -> webhook_subscription::Model {
    webhook_subscription::Model {
        id: Uuid::from_u128(4),
        account_id: ACCOUNT,
        fields: json!(["comments", "messages"]),
        status: "active".to_owned(),
        events_received_count: 5_000_000_000,
        last_event_at: Some(time()),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn comment() -> comment::Model {
    comment::Model {
        account_id: ACCOUNT,
        id: "17900".to_owned(),
        text: id("schön"),
        timestamp: time(),
        from_id: id(PERSON),
        from_username: id("person"),
        media_id: id("180"),
        media_product_type: id("FEED"),
        ad_id: id("23"),
        parent_id: id("17899"),
        like_count: 3,
        is_hidden: false,
        is_live: true,
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn mention() -> mention::Model {
    mention::Model {
        account_id: ACCOUNT,
        id: "mention_180_17900_-".to_owned(),
        media_id: id("180"),
        comment_id: id("17900"),
        timestamp: time(),
        mentioned_in: "comment".to_owned(),
        from_id: id(PERSON),
        from_username: id("person"),
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn conversation() -> conversation::Model {
    conversation::Model {
        id: CONVERSATION,
        account_id: ACCOUNT,
        participant_ig_id: PERSON.to_owned(),
        last_message_at: Some(time()),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn message() -> message::Model {
    message::Model {
        account_id: ACCOUNT,
        id: "mid.1".to_owned(),
        conversation_id: Some(CONVERSATION),
        sender_ig_id: id(PERSON),
        recipient_ig_id: id(IG_ACCOUNT),
        direction: id("inbound"),
        message_type: id("text"),
        text: id("hello"),
        attachments: Some(json!([{"type": "image"}])),
        reply_to_mid: id("mid.0"),
        reply_to_story: Some(json!({"id": "5", "url": "https://example.com/s"})),
        quick_reply_payload: id("YES"),
        is_echo: false,
        is_deleted: true,
        is_unsupported: false,
        edited_count: 2,
        timestamp: time(),
        seen_at: Some(time()),
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn message_reaction() -> message_reaction::Model {
    message_reaction::Model {
        id: Uuid::from_u128(9),
        message_id: "mid.1".to_owned(),
        conversation_id: Some(CONVERSATION),
        account_id: ACCOUNT,
        sender_ig_id: PERSON.to_owned(),
        recipient_ig_id: id(IG_ACCOUNT),
        action: "react".to_owned(),
        reaction_type: id("love"),
        emoji: id("👨‍👩‍👧‍👦"),
        timestamp: time(),
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn messaging_postback() -> messaging_postback::Model {
    messaging_postback::Model {
        id: Uuid::from_u128(10),
        message_id: "mid.1".to_owned(),
        conversation_id: Some(CONVERSATION),
        account_id: ACCOUNT,
        sender_ig_id: PERSON.to_owned(),
        recipient_ig_id: id(IG_ACCOUNT),
        is_self: true,
        postback_title: id("Start"),
        postback_payload: Some(long_payload()),
        timestamp: time(),
        raw_data: raw(),
        processed: true,
        processed_at: Some(time()),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn messaging_seen() -> messaging_seen::Model {
    messaging_seen::Model {
        id: Uuid::from_u128(11),
        last_message_id: "mid.1".to_owned(),
        conversation_id: Some(CONVERSATION),
        account_id: ACCOUNT,
        reader_ig_id: PERSON.to_owned(),
        recipient_ig_id: id(IG_ACCOUNT),
        timestamp: time(),
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

pub fn story_insight() -> story_insight::Model {
    story_insight::Model {
        id: Uuid::from_u128(12),
        media_id: "180".to_owned(),
        account_id: ACCOUNT,
        impressions: Some(5_000_000_000),
        reach: Some(0),
        taps_forward: None,
        taps_back: Some(7),
        exits: None,
        replies: None,
        timestamp: time(),
        raw_data: raw(),
        created_at: time(),
        updated_at: time(),
    }
}

/// More than a B-tree of `PostgreSQL`'s takes, and nothing that compresses well.
fn long_payload() -> String {
    let digits: Vec<String> = (0..800_u32)
        .map(|n| format!("{:05x}", n.wrapping_mul(2_654_435_761) >> 12))
        .collect();
    digits.concat()
}

/// A row into every table.
pub async fn fill(db: &DatabaseConnection) {
    insert(db, client_account()).await.unwrap();
    insert(db, webhook_event(3)).await.unwrap();
    insert(db, erased_account()).await.unwrap();
    insert(db, webhook_subscription()).await.unwrap();
    insert(db, comment()).await.unwrap();
    insert(db, mention()).await.unwrap();
    insert(db, conversation()).await.unwrap();
    insert(db, message()).await.unwrap();
    insert(db, message_reaction()).await.unwrap();
    insert(db, messaging_postback()).await.unwrap();
    insert(db, messaging_seen()).await.unwrap();
    insert(db, story_insight()).await.unwrap();
}

pub async fn insert<M>(db: &DatabaseConnection, row: M) -> Result<u64, DbErr>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    M::Entity::insert(row.into_active_model())
        .exec_without_returning(db)
        .await
}
