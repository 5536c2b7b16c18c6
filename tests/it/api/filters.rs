//! Which events a list is of.

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::{self, status};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IntoActiveModel};
use serde_json::Value;
use uuid::Uuid;

use super::client::{Client, setup};
use crate::support::{on_both, postgres::TestDatabase, rows};

on_both! {
    each_filter_finds_what_it_says,
    an_id_finds_what_it_is_about,
}

fn at(minute: i64) -> DateTime<Utc> {
    rows::time() + TimeDelta::minutes(minute)
}

/// Event `nth` of the log, written in that minute.
fn event(nth: u32, event_type: &str, event_id: &str, status: &str) -> webhook_event::Model {
    webhook_event::Model {
        event_type: event_type.to_owned(),
        event_id: event_id.to_owned(),
        status: status.to_owned(),
        processed: [status::STORED, status::DUPLICATE].contains(&status),
        is_duplicate: status == status::DUPLICATE,
        sender_ig_id: Some(format!("sender{}", nth % 2)),
        object_id: Some(format!("object{nth}")),
        stream_sequence: Some(i64::from(nth)),
        created_at: at(nth.into()),
        ..rows::webhook_event(u128::from(nth) + 100)
    }
}

async fn insert(db: &DatabaseConnection, events: Vec<webhook_event::Model>) {
    rows::insert(db, rows::client_account()).await.unwrap();
    for event in events {
        webhook_event::Entity::insert(event.into_active_model())
            .exec_without_returning(db)
            .await
            .unwrap();
    }
    if db.get_database_backend() == DbBackend::Sqlite {
        // As the service writes times, which the entity does not.
        let times =
            "UPDATE instagram_webhook_events SET created_at = replace(created_at, '+00:00', 'Z')";
        db.execute_unprepared(times).await.unwrap();
    }
}

/// Which of them, in the order of the list.
fn numbers(events: &[Value]) -> Vec<u128> {
    let number = |event: &Value| {
        let receipt: Uuid = event["receipt_id"].as_str().unwrap().parse().unwrap();
        receipt.as_u128() - 100
    };
    events.iter().map(number).collect()
}

async fn each_filter_finds_what_it_says(database: TestDatabase) {
    let db = database.migrated().await;
    let first = event(1, "comment", "comment_1_x", status::STORED);
    insert(
        &db,
        vec![
            first.clone(),
            event(2, "comment", "comment_2_x", status::DEAD),
            event(3, "message", "message_3_x", status::STORED),
            webhook_event::Model {
                duplicate_of: Some(first.id),
                ..event(4, "comment", "comment_1_x", status::DUPLICATE)
            },
            event(5, "message", "message_5_x", status::RETRYING),
            event(6, "message", "message_6_x", status::DISCARDED),
            event(7, "unknown", "unknown_7_x", status::DEAD),
            webhook_event::Model {
                instagram_account_id: None,
                ig_account_id: "of nobody".to_owned(),
                ..event(8, "message", "message_8_x", status::UNASSIGNED)
            },
        ],
    )
    .await;
    let service = setup(&database)
        .await
        .set("accounts.auto_register", false)
        .start()
        .await;
    let client = Client::of(&service);
    let events = format!("/webhooks/events/{}", rows::ACCOUNT);
    let time = |minute| at(minute).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    for (query, found) in [
        (String::new(), vec![7, 6, 5, 4, 3, 2, 1]),
        ("type=message".into(), vec![6, 5, 3]),
        ("type=unknown".into(), vec![7]),
        ("type=mention".into(), vec![]),
        ("processed=true".into(), vec![4, 3, 1]),
        ("processed=false".into(), vec![7, 6, 5, 2]),
        ("failed=true".into(), vec![7, 2]),
        ("failed=false".into(), vec![6, 5, 4, 3, 1]),
        ("failed=true&type=comment".into(), vec![2]),
        ("failed=true&processed=true".into(), vec![]),
        ("failed=true&sender=sender1".into(), vec![7]),
        ("duplicate=true".into(), vec![4]),
        ("duplicate=false&type=comment".into(), vec![2, 1]),
        ("sender=sender1".into(), vec![7, 5, 3, 1]),
        ("sender=sender1&processed=false".into(), vec![7, 5]),
        ("sender=sender".into(), vec![]),
        (format!("from={}", time(3)), vec![7, 6, 5, 4, 3]),
        (format!("to={}", time(3)), vec![3, 2, 1]),
        (format!("from={}&to={}", time(2), time(4)), vec![4, 3, 2]),
        (format!("from={t}&to={t}", t = time(2)), vec![2]),
        (format!("failed=true&to={}", time(2)), vec![2]),
        (format!("q=object3&from={}", time(4)), vec![]),
    ] {
        for limit in [1, 500] {
            let all = client.all(&format!("{events}?limit={limit}&{query}")).await;
            assert_eq!(numbers(&all), found, "{query} by {limit}");
        }
    }
}

async fn an_id_finds_what_it_is_about(database: TestDatabase) {
    let db = database.migrated().await;
    let about = |object: &str, event: webhook_event::Model| webhook_event::Model {
        object_id: Some(object.to_owned()),
        ..event
    };
    let first = about(
        "17_9",
        event(1, "comment", "comment_17_9_x", status::STORED),
    );
    insert(
        &db,
        vec![
            first.clone(),
            about("17", event(2, "comment", "comment_17_9", status::STORED)),
            about(
                "17_9",
                event(
                    3,
                    "message_reactions",
                    "message_reactions_17_9_x_react_5",
                    status::STORED,
                ),
            ),
            about(
                "17_9",
                event(
                    4,
                    "message_reactions",
                    "message_reactions_17_9_x_unreact_6",
                    status::DEAD,
                ),
            ),
            about("55", event(5, "mention", "mention_17_55_x", status::STORED)),
            webhook_event::Model {
                duplicate_of: Some(first.id),
                ..about(
                    "17_9",
                    event(6, "comment", "comment_17_9_x", status::DUPLICATE),
                )
            },
            about(
                "a%b",
                event(7, "message", "message_a%25b_x", status::STORED),
            ),
            webhook_event::Model {
                object_id: None,
                ..event(8, "unknown", "unknown_ab_5", status::STORED)
            },
        ],
    )
    .await;
    rows::insert(
        &db,
        entity::mention::Model {
            id: "mention_17_55_x".to_owned(),
            media_id: Some("17".to_owned()),
            comment_id: Some("55".to_owned()),
            ..rows::mention()
        },
    )
    .await
    .unwrap();
    let service = setup(&database).await.start().await;
    let client = Client::of(&service);
    for (id, found) in [
        ("17_9", vec![6, 4, 3, 1]),
        ("17", vec![2]),
        ("55", vec![5]),
        ("a%25b", vec![7]),
        ("comment_17_9_x", vec![6, 1]),
        ("comment_17_9", vec![2]),
        ("unknown_ab_5", vec![8]),
        ("mention_17_55_x", vec![5]),
        ("comment_17_", vec![]),
        ("1", vec![]),
    ] {
        let path = format!("/webhooks/events/{}?q={id}", rows::ACCOUNT);
        assert_eq!(numbers(&client.all(&path).await), found, "{id}");
        let dead = client.all(&format!("{path}&failed=true")).await;
        let expected: Vec<_> = found.into_iter().filter(|nth| *nth == 4).collect();
        assert_eq!(numbers(&dead), expected, "{id}, dead");
    }
}
