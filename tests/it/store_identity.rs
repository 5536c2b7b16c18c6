//! What is told twice, comes twice, or comes before its account is known.

use entity::{
    client_account, comment, conversation, message, message_reaction, webhook_event,
    webhook_subscription,
};
use igstream::instagram::Event;
use igstream::store::accounts::Added;
use igstream::store::{Outcome, Store};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use crate::support::deliveries::{
    IG, NOON, PERSON, change, connect, delivery_to, empty_store_on, from_stream, inbound,
    messaging, once_more, one, put, put_one, store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    a_second_telling_in_the_same_batch_is_a_duplicate,
    a_second_telling_later_is_a_duplicate_and_changes_nothing,
    a_redelivery_raises_the_sequence_and_nothing_else,
    a_redelivery_in_the_same_batch_counts_once,
    an_event_that_came_without_its_item_waits_too,
    an_event_of_an_unknown_account_waits_for_it,
    what_waits_is_found_in_parts_account_by_account,
    duplicates_of_an_event_without_an_account_go_with_it,
    unknown_accounts_are_made_where_that_is_wanted,
    every_row_counts_once_for_its_account,
    a_conversation_is_one_and_knows_its_latest_message,
    an_account_is_added_once,
    the_highest_sequence_is_that_of_all_rows,
);

pub async fn row_of(store: &Store, event: &Event) -> webhook_event::Model {
    webhook_event::Entity::find_by_id(event.receipt_id)
        .one(store.database())
        .await
        .unwrap()
        .expect("the receipt has a row")
}

fn message(mid: &str, at: i64) -> Event {
    messaging(inbound(at, &json!({"message": {"mid": mid, "text": mid}})))
}

fn comment_event(text: &str) -> Event {
    change(
        "comments",
        &json!({"id": "17900", "text": text, "from": {"id": PERSON}}),
    )
}

fn is_stored(outcome: &Outcome, expected_again: bool) -> bool {
    matches!(outcome, Outcome::Stored { again, .. } if *again == expected_again)
}

async fn counted(store: &Store) -> i64 {
    let subscriptions = webhook_subscription::Entity::find()
        .all(store.database())
        .await
        .unwrap();
    assert!(subscriptions.len() <= 1, "{subscriptions:?}");
    subscriptions
        .first()
        .map_or(0, |subscription| subscription.events_received_count)
}

async fn a_second_telling_in_the_same_batch_is_a_duplicate(database: TestDatabase) {
    let store = store_on(&database).await;
    let (first, second, third) = (
        comment_event("first"),
        comment_event("second"),
        comment_event("third"),
    );
    let outcomes = put(&store, &[&second, &first, &third]).await;
    // The receipt that came first is the first telling, wherever it stands in the batch.
    assert!(is_stored(&outcomes[1], false), "{outcomes:?}");
    assert_eq!(
        [&outcomes[0], &outcomes[2]],
        [&Outcome::Duplicate, &Outcome::Duplicate]
    );
    for duplicate in [second, third] {
        let row = row_of(&store, &duplicate).await;
        assert!(row.is_duplicate && row.processed && row.status == "duplicate");
        assert_eq!(
            (row.duplicate_of, row.processing_attempts),
            (Some(first.receipt_id), 1)
        );
        assert!(row.payload.is_some() && row.instagram_account_id.is_some());
    }
    let comments = comment::Entity::find().all(store.database()).await.unwrap();
    assert_eq!(
        comments
            .iter()
            .map(|comment| comment.text.as_deref())
            .collect::<Vec<_>>(),
        [Some("first")]
    );
}

async fn a_second_telling_later_is_a_duplicate_and_changes_nothing(database: TestDatabase) {
    let store = store_on(&database).await;
    let reaction = || {
        messaging(inbound(
            NOON,
            &json!({"reaction": {"mid": "m", "action": "react", "emoji": "❤"}}),
        ))
    };
    let (first, second, third) = (reaction(), reaction(), reaction());
    put_one(&store, &first).await;
    let before = message_reaction::Entity::find()
        .all(store.database())
        .await
        .unwrap();
    assert_eq!(put_one(&store, &second).await, Outcome::Duplicate);
    assert_eq!(put_one(&store, &third).await, Outcome::Duplicate);
    // Told again by JetStream, it stays what it is.
    assert_eq!(put_one(&store, &third).await, Outcome::Duplicate);
    assert_eq!(
        message_reaction::Entity::find()
            .all(store.database())
            .await
            .unwrap(),
        before
    );
    // All point to the first, none to another duplicate.
    assert_eq!(
        row_of(&store, &third).await.duplicate_of,
        Some(first.receipt_id)
    );
    assert_eq!(
        webhook_event::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        3
    );
    assert_eq!(counted(&store).await, 3);
}

async fn a_redelivery_raises_the_sequence_and_nothing_else(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = message("m_1", NOON);
    let batch = |sequence| [from_stream(&event, sequence)];
    assert!(is_stored(&store.store(&batch(7)).await.unwrap()[0], false));
    let before = (
        row_of(&store, &event).await,
        message::Entity::find().all(store.database()).await.unwrap(),
    );
    for (sequence, expected) in [(9, 9), (8, 9)] {
        let outcomes = store.store(&batch(sequence)).await.unwrap();
        let Outcome::Stored {
            account_id,
            rows,
            again: true,
        } = &outcomes[0]
        else {
            panic!("{outcomes:?}")
        };
        assert_eq!(
            (*account_id, rows[0].id.as_str()),
            (before.0.instagram_account_id.unwrap(), "m_1")
        );
        let mut row = row_of(&store, &event).await;
        assert_eq!(row.stream_sequence, Some(expected));
        row.stream_sequence = before.0.stream_sequence;
        assert_eq!(row, before.0);
    }
    // Nor does one that comes without a sequence lower it.
    store.store(&[once_more(&event)]).await.unwrap();
    assert_eq!(row_of(&store, &event).await.stream_sequence, Some(9));
    assert_eq!(
        message::Entity::find().all(store.database()).await.unwrap(),
        before.1
    );
    assert_eq!(counted(&store).await, 1);
}

async fn a_redelivery_in_the_same_batch_counts_once(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = message("m_1", NOON);
    let batch = [
        from_stream(&event, 4),
        from_stream(&event, 6),
        from_stream(&event, 5),
    ];
    let outcomes = store.store(&batch).await.unwrap();
    assert_eq!(outcomes.len(), 3);
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Stored { .. }))
    );
    assert_eq!(row_of(&store, &event).await.stream_sequence, Some(6));
    assert_eq!(counted(&store).await, 1);
}

async fn an_event_of_an_unknown_account_waits_for_it(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let event = message("m_1", NOON);
    let stranger = one(delivery_to(
        "99",
        "messaging",
        &[inbound(
            NOON,
            &json!({"message": {"mid": "m_9", "text": "?"}}),
        )],
    ));
    assert_eq!(
        put(&store, &[&event, &stranger]).await,
        [Outcome::Unassigned, Outcome::Unassigned]
    );
    let row = row_of(&store, &event).await;
    assert_eq!(
        (row.status.as_str(), row.processed, row.instagram_account_id),
        ("unassigned", false, None)
    );
    assert_eq!(
        (row.processing_attempts, row.ig_account_id.as_str()),
        (0, IG)
    );
    assert_eq!(put_one(&store, &event).await, Outcome::Unassigned);
    assert_eq!(store.adoptable(None, 10).await.unwrap().len(), 0);

    store.add_account(IG, None).await.unwrap();
    let adoptable = store.adoptable(None, 10).await.unwrap();
    assert_eq!(
        adoptable
            .iter()
            .map(|event| event.receipt_id)
            .collect::<Vec<_>>(),
        [event.receipt_id]
    );
    let after = store.adoptable(adoptable.last(), 10).await.unwrap();
    assert_eq!(after.len(), 0);
    let adopted = &adoptable[0];
    assert_eq!(
        (&adopted.event_id, &adopted.data),
        (&event.event_id, &event.data)
    );
    assert_eq!(adopted.recipient_ig_id, event.recipient_ig_id);

    let outcomes = store.store(&[once_more(adopted)]).await.unwrap();
    assert!(is_stored(&outcomes[0], false), "{outcomes:?}");
    let row = row_of(&store, &event).await;
    assert_eq!(
        (row.status.as_str(), row.processed, row.processing_attempts),
        ("stored", true, 1)
    );
    assert!(row.instagram_account_id.is_some() && row.processed_at.is_some());
    assert_eq!(row.stream_sequence, Some(1));
    let messages = message::Entity::find().all(store.database()).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].conversation_id.is_some() && messages[0].raw_data == row.payload);
    assert_eq!(counted(&store).await, 1);
    assert_eq!(store.adoptable(None, 10).await.unwrap().len(), 0);
}

async fn what_waits_is_found_in_parts_account_by_account(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let large = "x".repeat(3 * 1024 * 1024);
    let mut wanted = Vec::new();
    for number in 0..5 {
        for account in ["1", "2", "3", "4"] {
            let text = if number == 1 || number == 2 {
                &large
            } else {
                "?"
            };
            let item = json!({"message": {"mid": format!("m_{number}"), "text": text}});
            let event = one(delivery_to(account, "messaging", &[inbound(NOON, &item)]));
            assert_eq!(put_one(&store, &event).await, Outcome::Unassigned);
            if account == "2" || account == "3" {
                wanted.push((account.to_owned(), event.receipt_id));
            }
        }
    }
    for account in ["2", "3", "4"] {
        store.add_account(account, None).await.unwrap();
    }
    store.remove_account("4").await.unwrap();
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    let mut last: Option<Event> = None;
    loop {
        let page = store.adoptable(last.as_ref(), 3).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages.push(page.len());
        found.extend(
            page.iter()
                .map(|event| (event.ig_account_id.clone(), event.receipt_id)),
        );
        last = page.into_iter().last();
    }
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(pages, [2, 3, 2, 3], "two large ones never go together");
}

/// What was too large for a message with its item is all in its data.
async fn an_event_that_came_without_its_item_waits_too(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let mut event = message("m_1", NOON);
    event.omit_raw();
    assert_eq!(put_one(&store, &event).await, Outcome::Unassigned);
    store.add_account(IG, None).await.unwrap();
    let adopted = &store.adoptable(None, 10).await.unwrap()[0];
    assert_eq!(
        (&adopted.data, &adopted.recipient_ig_id, adopted.raw_omitted),
        (&event.data, &event.recipient_ig_id, true)
    );
    let outcomes = store.store(&[once_more(adopted)]).await.unwrap();
    assert!(is_stored(&outcomes[0], false), "{outcomes:?}");
    let messages = message::Entity::find().all(store.database()).await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].text.is_some() && messages[0].raw_data.is_none());
}

async fn duplicates_of_an_event_without_an_account_go_with_it(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let (first, second) = (comment_event("a"), comment_event("b"));
    assert_eq!(
        put(&store, &[&first, &second]).await,
        [Outcome::Unassigned, Outcome::Duplicate]
    );
    store.add_account(IG, None).await.unwrap();
    put_one(&store, &first).await;
    let (first, second) = (row_of(&store, &first).await, row_of(&store, &second).await);
    assert_eq!(
        (second.status.as_str(), second.duplicate_of),
        ("duplicate", Some(first.id))
    );
    assert_eq!(
        (second.instagram_account_id, counted(&store).await),
        (first.instagram_account_id, 2)
    );
}

async fn unknown_accounts_are_made_where_that_is_wanted(database: TestDatabase) {
    empty_store_on(&database).await;
    let store = connect(&database, |options| options.auto_register = true).await;
    let events: Vec<Event> = ["1", "2", "1"]
        .into_iter()
        .map(|account| {
            one(delivery_to(
                account,
                "changes",
                &[json!({"field": "mentions", "value": {"media_id": "5"}})],
            ))
        })
        .collect();
    let outcomes = put(&store, &events.iter().collect::<Vec<_>>()).await;
    assert!(is_stored(&outcomes[0], false) && is_stored(&outcomes[1], false));
    assert_eq!(outcomes[2], Outcome::Duplicate);
    let accounts = store.accounts().await.unwrap();
    let ids: Vec<_> = accounts
        .iter()
        .map(|account| {
            (
                account.instagram_business_account_id.as_str(),
                account.active,
            )
        })
        .collect();
    assert_eq!(ids, [("1", true), ("2", true)]);
    // Without an account there is none to make.
    let nobody = one(json!({"object": "instagram", "entry": [{"field": "mentions", "value": {"media_id": "5"}}]}).to_string());
    assert_eq!(put_one(&store, &nobody).await, Outcome::Unassigned);
    assert_eq!(
        client_account::Entity::find()
            .count(store.database())
            .await
            .unwrap(),
        2
    );
}

async fn every_row_counts_once_for_its_account(database: TestDatabase) {
    let store = store_on(&database).await;
    let (message, malformed) = (
        message("m_1", NOON),
        messaging(inbound(NOON, &json!({"message": {}}))),
    );
    let told_again = messaging(inbound(
        NOON,
        &json!({"message": {"mid": "m_1", "text": "m_1"}}),
    ));
    for event in [
        &message,
        &malformed,
        &told_again,
        &message,
        &malformed,
        &told_again,
    ] {
        put_one(&store, event).await;
    }
    let rows = webhook_event::Entity::find()
        .count(store.database())
        .await
        .unwrap();
    assert_eq!((rows, counted(&store).await), (3, 3));
    let subscription = webhook_subscription::Entity::find()
        .one(store.database())
        .await
        .unwrap()
        .unwrap();
    let last = told_again.received_at.timestamp_micros();
    assert_eq!(
        subscription
            .last_event_at
            .map(|time| time.timestamp_micros()),
        Some(last)
    );
    assert_eq!(
        (subscription.status.as_str(), &subscription.fields),
        ("active", &json!([]))
    );
}

async fn a_conversation_is_one_and_knows_its_latest_message(database: TestDatabase) {
    let store = store_on(&database).await;
    let events = [
        message("m_2", NOON + 2000),
        message("m_3", NOON + 3000),
        message("m_1", NOON + 1000),
    ];
    put(&store, &events.iter().collect::<Vec<_>>()).await;
    put_one(&store, &message("m_0", NOON)).await;
    // An edit, an unsend, a reaction, a receipt are no messages.
    put_one(
        &store,
        &messaging(inbound(
            NOON + 9000,
            &json!({"message": {"mid": "m_1", "is_deleted": true}}),
        )),
    )
    .await;
    put_one(
        &store,
        &messaging(inbound(
            NOON + 9000,
            &json!({"message_edit": {"mid": "m_2", "text": "x", "num_edit": 1}}),
        )),
    )
    .await;
    put_one(
        &store,
        &messaging(inbound(NOON + 9000, &json!({"read": {"mid": "m_1"}}))),
    )
    .await;
    put_one(
        &store,
        &messaging(inbound(
            NOON + 9000,
            &json!({"reaction": {"mid": "m_1", "action": "unreact"}}),
        )),
    )
    .await;
    let conversations = conversation::Entity::find()
        .all(store.database())
        .await
        .unwrap();
    assert_eq!(conversations.len(), 1);
    assert_eq!(
        conversations[0]
            .last_message_at
            .map(|time| time.timestamp_millis()),
        Some(NOON + 3000)
    );
    let others = message::Entity::find()
        .filter(message::Column::ConversationId.ne(conversations[0].id))
        .count(store.database())
        .await;
    assert_eq!(others.unwrap(), 0);
}

async fn an_account_is_added_once(database: TestDatabase) {
    let store = empty_store_on(&database).await;
    let add = async |id, username| store.add_account(id, username).await.unwrap();
    assert_eq!(add(IG, Some("shop")).await, Added::New);
    assert_eq!(add(IG, Some("other")).await, Added::Already);
    assert_eq!(add("0", None).await, Added::New);
    let accounts = store.accounts().await.unwrap();
    let names: Vec<_> = accounts
        .iter()
        .map(|account| account.username.as_deref())
        .collect();
    assert_eq!(names, [None, Some("shop")]);
    assert_ne!(accounts[0].id, Uuid::nil());
}

async fn the_highest_sequence_is_that_of_all_rows(database: TestDatabase) {
    let store = store_on(&database).await;
    assert_eq!(store.highest_sequence().await.unwrap(), 0);
    let event = message("m_1", NOON);
    store.store(&[from_stream(&event, 41)]).await.unwrap();
    put_one(&store, &message("m_2", NOON)).await;
    assert_eq!(store.highest_sequence().await.unwrap(), 41);
}
