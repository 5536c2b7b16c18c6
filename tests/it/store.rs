//! Every type's rows: what Instagram says is in the columns that the schema names.

use chrono::{DateTime, Utc};
use entity::{
    comment, conversation, mention, message, message_reaction, messaging_postback, messaging_seen,
    story_insight, webhook_event,
};
use igstream::instagram::Event;
use igstream::store::{Outcome, Store};
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::deliveries::{
    IG, NOON, PERSON, change, delivery, inbound, messaging, one, outbound, put_one, store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    a_comment,
    a_live_comment,
    a_mention,
    a_message,
    an_echo_belongs_to_the_conversation_with_its_recipient,
    a_story_mention_is_a_mention_and_a_message,
    a_reaction,
    a_postback,
    a_read_receipt,
    story_insights,
    what_is_of_no_type_is_kept,
    what_is_malformed_is_dead_at_once,
    an_event_without_its_raw_keeps_what_its_message_had,
);

fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(milliseconds).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "most columns can be NULL")]
fn id(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn account(store: &Store) -> Uuid {
    store.accounts().await.unwrap()[0].id
}

fn raw(event: &Event) -> Option<Value> {
    event
        .raw
        .as_ref()
        .map(|raw| serde_json::from_str(raw.get()).unwrap())
}

async fn only<E: EntityTrait>(store: &Store) -> E::Model {
    let mut rows = E::find().all(store.database()).await.unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// Stores `event`, and checks its generic row against it and against `expected`:
/// origin, object type, object id and sender.
async fn stored(
    store: &Store,
    event: &Event,
    expected: (&str, &str, Option<&str>, Option<&str>),
) -> Vec<(&'static str, String)> {
    let outcome = put_one(store, event).await;
    let Outcome::Stored {
        account_id,
        rows,
        again: false,
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    let row: webhook_event::Model = only::<webhook_event::Entity>(store).await;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    assert_eq!(account_id, account(store).await);
    assert_eq!(
        row,
        webhook_event::Model {
            id: event.receipt_id,
            event_type: event.event_type.clone(),
            event_id: event.event_id.clone(),
            instagram_account_id: Some(account_id),
            ig_account_id: IG.to_owned(),
            origin: id(expected.0),
            object_type: id(expected.1),
            object_id: owned(expected.2),
            sender_ig_id: owned(expected.3),
            sender_username: event.sender_username.clone(),
            payload: raw(event),
            status: "stored".to_owned(),
            processed: true,
            processed_at: row.processed_at,
            processing_attempts: 1,
            deaths: 0,
            last_processing_error: None,
            is_duplicate: false,
            duplicate_of: None,
            stream_sequence: Some(1),
            delivery_id: event.delivery_id,
            occurred_at: event.occurred_at,
            received_at: micros(event.received_at),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
    assert!(row.processed_at.is_some() && row.created_at <= Utc::now());
    rows.into_iter().map(|row| (row.table, row.id)).collect()
}

/// As a database holds a time.
fn micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap()
}

async fn a_comment(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change(
        "comments",
        &json!({
        "id": "17900", "text": "schön 🎉", "from": {"id": PERSON, "username": "person"}, "parent_id": "17899",
        "media": {"id": "181", "media_product_type": "AD", "ad_id": "23", "original_media_id": "180"}}),
    );
    let rows = stored(
        &store,
        &event,
        ("changes", "comment", Some("17900"), Some(PERSON)),
    )
    .await;
    assert_eq!(rows, [("instagram_comments", "17900".to_owned())]);
    let row = only::<comment::Entity>(&store).await;
    assert_eq!(
        row,
        comment::Model {
            account_id: account(&store).await,
            id: "17900".to_owned(),
            text: id("schön 🎉"),
            timestamp: at(NOON),
            from_id: id(PERSON),
            from_username: id("person"),
            media_id: id("180"),
            media_product_type: id("AD"),
            ad_id: id("23"),
            parent_id: id("17899"),
            like_count: 0,
            is_hidden: false,
            is_live: false,
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn a_live_comment(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change(
        "live_comments",
        &json!({"id": "17901", "text": "hi", "from": {"id": PERSON}, "media": {"id": "182"}}),
    );
    let rows = stored(
        &store,
        &event,
        ("changes", "live_video", Some("17901"), Some(PERSON)),
    )
    .await;
    assert_eq!(rows, [("instagram_comments", "17901".to_owned())]);
    let row = only::<comment::Entity>(&store).await;
    assert!(row.is_live && row.media_id == id("182") && row.timestamp == at(NOON));
}

async fn a_mention(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change(
        "mentions",
        &json!({"media_id": "180", "comment_id": "17900"}),
    );
    let rows = stored(&store, &event, ("changes", "mention", Some("17900"), None)).await;
    assert_eq!(rows, [("instagram_mentions", event.event_id.clone())]);
    let row = only::<mention::Entity>(&store).await;
    assert_eq!(
        row,
        mention::Model {
            account_id: account(&store).await,
            id: "mention_180_17900_-".to_owned(),
            media_id: id("180"),
            comment_id: id("17900"),
            timestamp: at(NOON),
            mentioned_in: "comment".to_owned(),
            from_id: None,
            from_username: None,
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn conversation_of(store: &Store) -> conversation::Model {
    let conversation = only::<conversation::Entity>(store).await;
    assert_eq!(
        (
            conversation.account_id,
            conversation.participant_ig_id.as_str()
        ),
        (account(store).await, PERSON)
    );
    conversation
}

async fn a_message(database: TestDatabase) {
    let store = store_on(&database).await;
    let attachments = json!([{"type": "image", "payload": {"url": "https://example.com/1"}}]);
    let event = messaging(inbound(
        NOON + 5,
        &json!({"message": {
        "mid": "m_1", "text": "hello", "attachments": attachments, "quick_reply": {"payload": "YES"},
        "reply_to": {"mid": "m_0", "story": {"id": "5", "url": "https://example.com/s"}}}}),
    ));
    let rows = stored(
        &store,
        &event,
        ("messaging", "message", Some("m_1"), Some(PERSON)),
    )
    .await;
    assert_eq!(rows, [("messages", "m_1".to_owned())]);
    let conversation = conversation_of(&store).await;
    assert_eq!(conversation.last_message_at, Some(at(NOON + 5)));
    let row = only::<message::Entity>(&store).await;
    assert_eq!(
        row,
        message::Model {
            account_id: account(&store).await,
            id: "m_1".to_owned(),
            conversation_id: Some(conversation.id),
            sender_ig_id: id(PERSON),
            recipient_ig_id: id(IG),
            direction: id("inbound"),
            message_type: id("image"),
            text: id("hello"),
            attachments: Some(attachments),
            reply_to_mid: id("m_0"),
            reply_to_story: Some(json!({"id": "5", "url": "https://example.com/s"})),
            quick_reply_payload: id("YES"),
            is_echo: false,
            is_deleted: false,
            is_unsupported: false,
            edited_count: 0,
            timestamp: at(NOON + 5),
            seen_at: None,
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn an_echo_belongs_to_the_conversation_with_its_recipient(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = messaging(outbound(
        NOON,
        &json!({"message": {"mid": "m_2", "is_echo": true, "is_unsupported": true}}),
    ));
    stored(
        &store,
        &event,
        ("messaging", "message", Some("m_2"), Some(IG)),
    )
    .await;
    let row = only::<message::Entity>(&store).await;
    assert_eq!(row.conversation_id, Some(conversation_of(&store).await.id));
    assert_eq!(
        (row.direction, row.message_type),
        (id("outbound"), id("unsupported"))
    );
    assert!(row.is_echo && row.is_unsupported);
}

async fn a_story_mention_is_a_mention_and_a_message(database: TestDatabase) {
    let store = store_on(&database).await;
    let attachments =
        json!([{"type": "story_mention", "payload": {"url": "https://example.com/story"}}]);
    let event = messaging(inbound(
        NOON,
        &json!({"message": {"mid": "m_3", "attachments": attachments}}),
    ));
    let rows = stored(
        &store,
        &event,
        ("messaging", "story", Some("m_3"), Some(PERSON)),
    )
    .await;
    assert_eq!(
        rows,
        [
            ("instagram_mentions", event.event_id.clone()),
            ("messages", "m_3".to_owned())
        ]
    );
    let mention = only::<mention::Entity>(&store).await;
    assert_eq!(
        (
            mention.id,
            mention.mentioned_in.as_str(),
            mention.from_id,
            mention.timestamp,
            mention.media_id
        ),
        (
            format!("story_mention_m_3_{PERSON}"),
            "story",
            id(PERSON),
            at(NOON),
            None
        )
    );
    let message = only::<message::Entity>(&store).await;
    assert_eq!(
        message.conversation_id,
        Some(conversation_of(&store).await.id)
    );
    assert_eq!(
        (message.message_type, message.attachments),
        (id("story_mention"), Some(attachments))
    );
    assert_eq!(
        (mention.raw_data, message.raw_data),
        (raw(&event), raw(&event))
    );
}

async fn a_reaction(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = messaging(inbound(
        NOON,
        &json!({"reaction": {"mid": "m_1", "action": "react", "reaction": "love", "emoji": "👨‍👩‍👧‍👦"}}),
    ));
    let rows = stored(
        &store,
        &event,
        ("messaging", "message_reaction", Some("m_1"), Some(PERSON)),
    )
    .await;
    assert_eq!(
        rows,
        [("instagram_message_reactions", event.receipt_id.to_string())]
    );
    let conversation = conversation_of(&store).await;
    assert_eq!(conversation.last_message_at, None);
    let row = only::<message_reaction::Entity>(&store).await;
    assert_eq!(
        row,
        message_reaction::Model {
            id: event.receipt_id,
            message_id: "m_1".to_owned(),
            conversation_id: Some(conversation.id),
            account_id: account(&store).await,
            sender_ig_id: PERSON.to_owned(),
            recipient_ig_id: id(IG),
            action: "react".to_owned(),
            reaction_type: id("love"),
            emoji: id("👨‍👩‍👧‍👦"),
            timestamp: at(NOON),
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn a_postback(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = messaging(inbound(
        NOON,
        &json!({"postback": {"mid": "m_4", "title": "Start", "payload": "GO"}, "is_self": false}),
    ));
    let rows = stored(
        &store,
        &event,
        ("messaging", "messaging_postback", Some("m_4"), Some(PERSON)),
    )
    .await;
    assert_eq!(
        rows,
        [(
            "instagram_messaging_postbacks",
            event.receipt_id.to_string()
        )]
    );
    let row = only::<messaging_postback::Entity>(&store).await;
    assert_eq!(
        row,
        messaging_postback::Model {
            id: event.receipt_id,
            message_id: "m_4".to_owned(),
            conversation_id: Some(conversation_of(&store).await.id),
            account_id: account(&store).await,
            sender_ig_id: PERSON.to_owned(),
            recipient_ig_id: id(IG),
            is_self: false,
            postback_title: id("Start"),
            postback_payload: id("GO"),
            timestamp: at(NOON),
            raw_data: raw(&event),
            processed: false,
            processed_at: None,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn a_read_receipt(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = messaging(inbound(NOON, &json!({"read": {"mid": "m_1"}})));
    let rows = stored(
        &store,
        &event,
        ("messaging", "messaging_seen", Some("m_1"), Some(PERSON)),
    )
    .await;
    assert_eq!(
        rows,
        [("instagram_messaging_seen", event.receipt_id.to_string())]
    );
    let row = only::<messaging_seen::Entity>(&store).await;
    assert_eq!(
        row,
        messaging_seen::Model {
            id: event.receipt_id,
            last_message_id: "m_1".to_owned(),
            conversation_id: Some(conversation_of(&store).await.id),
            account_id: account(&store).await,
            reader_ig_id: PERSON.to_owned(),
            recipient_ig_id: id(IG),
            timestamp: at(NOON),
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn story_insights(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change(
        "story_insights",
        &json!({
        "media_id": "180", "impressions": 5_000_000_000_i64, "reach": 0, "taps_forward": -1, "taps_back": "7", "replies": null}),
    );
    let rows = stored(
        &store,
        &event,
        ("changes", "story_insight", Some("180"), None),
    )
    .await;
    assert_eq!(
        rows,
        [(
            "instagram_story_insights_aggregated",
            event.receipt_id.to_string()
        )]
    );
    let row = only::<story_insight::Entity>(&store).await;
    assert_eq!(
        row,
        story_insight::Model {
            id: event.receipt_id,
            media_id: "180".to_owned(),
            account_id: account(&store).await,
            impressions: Some(5_000_000_000),
            reach: Some(0),
            taps_forward: None,
            taps_back: Some(7),
            exits: None,
            replies: None,
            timestamp: at(NOON),
            raw_data: raw(&event),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    );
}

async fn what_is_of_no_type_is_kept(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change("follow", &json!({"id": "1"}));
    assert_eq!(event.event_type, "unknown");
    let rows = stored(&store, &event, ("changes", "follow", None, None)).await;
    assert_eq!(rows, []);
    let bare = one(delivery("standby", &[json!("a text for a value")]));
    assert!(
        matches!(put_one(&store, &bare).await, Outcome::Stored { rows, .. } if rows.is_empty())
    );
    let kept = webhook_event::Entity::find()
        .order_by_desc(webhook_event::Column::Id)
        .all(store.database())
        .await
        .unwrap();
    let origins: Vec<_> = kept
        .iter()
        .filter_map(|row| row.origin.as_deref())
        .collect();
    assert!(
        origins.contains(&"standby")
            && kept
                .iter()
                .any(|row| row.payload == Some(json!("a text for a value")))
    );
}

async fn what_is_malformed_is_dead_at_once(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = messaging(inbound(NOON, &json!({"message": {"text": "no mid"}})));
    let dead = Outcome::Dead {
        error: "a message without message.mid".to_owned(),
        attempts: 1,
        deaths: 1,
    };
    assert_eq!(put_one(&store, &event).await, dead);
    // It is no worse the second time, nor does it come back to life.
    assert_eq!(put_one(&store, &event).await, dead);
    let row = only::<webhook_event::Entity>(&store).await;
    assert_eq!(
        (row.event_type.as_str(), row.status.as_str(), row.processed),
        ("unknown", "dead", false)
    );
    assert_eq!((row.processing_attempts, row.deaths), (1, 1));
    assert_eq!(
        row.last_processing_error.as_deref(),
        Some("a message without message.mid")
    );
    assert_eq!(row.payload, raw(&event));
}

async fn an_event_without_its_raw_keeps_what_its_message_had(database: TestDatabase) {
    let store = store_on(&database).await;
    let mut event = messaging(inbound(
        NOON,
        &json!({"message": {"mid": "m_1", "text": "long"}}),
    ));
    event.omit_raw();
    put_one(&store, &event).await;
    let row = only::<message::Entity>(&store).await;
    assert_eq!((row.text, row.raw_data), (id("long"), None));
    let payload = only::<webhook_event::Entity>(&store).await.payload.unwrap();
    assert_eq!(payload["igstream_raw_omitted"]["data"]["text"], "long");
}
