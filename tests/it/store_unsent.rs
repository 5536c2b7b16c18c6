//! What a person unsent is blanked, wherever it is quoted and whichever comes
//! first; unless it is to be kept.

use entity::{mention, message};
use igstream::instagram::Event;
use igstream::store::{Outcome, Store};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::store_identity::row_of;
use crate::support::deliveries::{
    IG, NOON, PERSON, connect, empty_store_on, inbound, messaging, once_more, put, put_one,
    store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    an_unsend_blanks_what_came_before,
    an_unsend_blanks_what_comes_after,
    an_unsend_in_the_same_batch_blanks,
    an_unsend_blanks_a_story_mention_and_leaves_others,
    what_waited_for_its_account_is_blanked_when_stored,
    an_unsend_is_kept_where_that_is_wanted,
    a_dead_message_that_was_unsent_is_blanked,
);

fn told(mid: &str, what: &Value) -> Event {
    let mut message = json!({"mid": mid, "text": "secret", "reply_to": {"story": {"id": "secret"}}, "quick_reply": {"payload": "secret"}});
    message
        .as_object_mut()
        .unwrap()
        .extend(what.as_object().unwrap().clone());
    messaging(inbound(NOON, &json!({"message": message})))
}

fn message_event(mid: &str) -> Event {
    told(
        mid,
        &json!({"attachments": [{"type": "image", "payload": {"url": "secret"}}]}),
    )
}

fn story(mid: &str) -> Event {
    told(
        mid,
        &json!({"attachments": [{"type": "story_mention", "payload": {"url": "secret"}}]}),
    )
}

fn edit(mid: &str, n: i32) -> Event {
    messaging(inbound(
        NOON + 1000,
        &json!({"message_edit": {"mid": mid, "text": "secret", "num_edit": n}}),
    ))
}

fn unsend(mid: &str) -> Event {
    messaging(inbound(
        NOON + 2000,
        &json!({"message": {"mid": mid, "is_deleted": true}}),
    ))
}

async fn row(store: &Store, mid: &str) -> message::Model {
    let account = store.accounts().await.unwrap()[0].id;
    let found = message::Entity::find_by_id((account, mid.to_owned()))
        .one(store.database())
        .await;
    found.unwrap().expect("the message has a row")
}

async fn payload(store: &Store, event: &Event) -> Option<Value> {
    row_of(store, event).await.payload
}

/// The message is there, but nothing of what it said.
async fn is_blank(store: &Store, mid: &str) -> bool {
    let row = row(store, mid).await;
    assert!(row.is_deleted);
    assert_eq!(
        (
            row.sender_ig_id.as_deref(),
            row.timestamp.timestamp_millis()
        ),
        (Some(PERSON), NOON)
    );
    assert!(row.message_type.is_some() && row.conversation_id.is_some());
    !serde_json::to_string(&row).unwrap().contains("secret")
}

async fn an_unsend_blanks_what_came_before(database: TestDatabase) {
    let store = store_on(&database).await;
    let (other, similar) = (message_event("m_2"), message_event("m_1_2"));
    let quoting = [
        message_event("m_1"),
        edit("m_1", 1),
        message_event("m_1"),
        edit("m_1", 2),
        edit("m_1", 2),
    ];
    put(&store, &[&other, &similar]).await;
    put(&store, &quoting[..2].iter().collect::<Vec<_>>()).await;
    for event in &quoting[2..] {
        put_one(&store, event).await;
    }
    let unsend = unsend("m_1");
    put_one(&store, &unsend).await;
    assert!(is_blank(&store, "m_1").await);
    assert_eq!(row(&store, "m_1").await.edited_count, 2);
    for event in &quoting {
        assert_eq!(payload(&store, event).await, None, "{}", event.event_id);
    }
    assert!(payload(&store, &unsend).await.is_some());
    for event in [&other, &similar] {
        assert!(payload(&store, event).await.is_some(), "{}", event.event_id);
    }
    assert_eq!(row(&store, "m_1_2").await.text.as_deref(), Some("secret"));
}

async fn an_unsend_blanks_what_comes_after(database: TestDatabase) {
    let store = store_on(&database).await;
    let unsends = [unsend("m_1"), unsend("m_1")];
    for unsend in &unsends {
        put_one(&store, unsend).await;
    }
    for event in [
        edit("m_1", 1),
        message_event("m_1"),
        message_event("m_1"),
        edit("m_1", 2),
        edit("m_1", 1),
    ] {
        put_one(&store, &event).await;
        assert_eq!(payload(&store, &event).await, None, "{}", event.event_id);
    }
    assert!(is_blank(&store, "m_1").await);
    for unsend in &unsends {
        assert!(payload(&store, unsend).await.is_some());
    }
}

async fn an_unsend_in_the_same_batch_blanks(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = [
        edit("m_1", 1),
        unsend("m_1"),
        message_event("m_1"),
        message_event("m_1"),
        message_event("m_2"),
    ];
    put(&store, &events.iter().collect::<Vec<_>>()).await;
    assert!(is_blank(&store, "m_1").await);
    let payloads = [
        payload(&store, &events[0]).await,
        payload(&store, &events[2]).await,
        payload(&store, &events[3]).await,
    ];
    assert_eq!(payloads, [None, None, None]);
    assert!(payload(&store, &events[4]).await.is_some());
}

async fn an_unsend_blanks_a_story_mention_and_leaves_others(database: TestDatabase) {
    let store = store_on(&database).await;
    let (before, after, other) = (story("m_1"), story("m_2"), story("m_1_"));
    put(&store, &[&before, &other]).await;
    put(&store, &[&unsend("m_1"), &unsend("m_2")]).await;
    put_one(&store, &after).await;
    assert!(is_blank(&store, "m_1").await && is_blank(&store, "m_2").await);
    for event in [&before, &after] {
        assert_eq!(payload(&store, event).await, None);
    }
    assert!(payload(&store, &other).await.is_some());
    let mut mentions: Vec<_> = mention::Entity::find()
        .all(store.database())
        .await
        .unwrap()
        .into_iter()
        .map(|mention| (mention.id, mention.raw_data.is_some()))
        .collect();
    mentions.sort();
    let mut expected = [
        (before.event_id, false),
        (after.event_id, false),
        (other.event_id, true),
    ];
    expected.sort();
    assert_eq!(mentions, expected);
}

async fn what_waited_for_its_account_is_blanked_when_stored(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let (unsend, message) = (unsend("m_1"), message_event("m_1"));
    put(&store, &[&unsend, &message]).await;
    store.add_account(IG, None).await.unwrap();
    for event in store.adoptable(None, 10).await.unwrap() {
        let outcome = store.store(&[once_more(&event)]).await.unwrap();
        assert!(matches!(outcome[0], Outcome::Stored { .. }));
        assert!(payload(&store, &event).await.is_some() || event.receipt_id == message.receipt_id);
    }
    assert!(is_blank(&store, "m_1").await);
    assert_eq!(payload(&store, &message).await, None);
}

async fn an_unsend_is_kept_where_that_is_wanted(database: TestDatabase) {
    store_on(&database).await;
    let store = connect(&database, |options| options.keep_unsent = true).await;
    let events = [
        message_event("m_1"),
        unsend("m_1"),
        edit("m_1", 1),
        unsend("m_2"),
        message_event("m_2"),
    ];
    for event in &events {
        put_one(&store, event).await;
        assert!(payload(&store, event).await.is_some());
    }
    put_one(&store, &story("m_3")).await;
    put_one(&store, &unsend("m_3")).await;
    for mid in ["m_1", "m_2", "m_3"] {
        let row = row(&store, mid).await;
        assert!(row.is_deleted && row.attachments.is_some() && row.raw_data.is_some());
        assert_eq!(
            (row.text.as_deref(), row.quick_reply_payload.as_deref()),
            (Some("secret"), Some("secret"))
        );
    }
    assert!(
        mention::Entity::find()
            .one(store.database())
            .await
            .unwrap()
            .unwrap()
            .raw_data
            .is_some()
    );
}

async fn a_dead_message_that_was_unsent_is_blanked(database: TestDatabase) {
    let store = store_on(&database).await;
    let message = message_event("m_1");
    let error = igstream::store::StoreError::from(sea_orm::DbErr::Custom("no".to_owned()));
    store
        .record_failure(&once_more(&message), &error, 1)
        .await
        .unwrap();
    assert!(payload(&store, &message).await.is_some());
    put_one(&store, &unsend("m_1")).await;
    assert_eq!(payload(&store, &message).await, None);
}
