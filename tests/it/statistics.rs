//! Figures of an account: counted by hand, on both databases.

use chrono::{DateTime, TimeDelta, Utc};
use entity::webhook_event::{self, status};
use entity::{message, message_reaction, messaging_postback, story_insight};
use igstream::store::Store;
use igstream::store::statistics::{Bucket, Period, Statistics};
use sea_orm::DatabaseConnection;
use uuid::Uuid;

use crate::support::{
    deliveries::empty_store_on,
    on_both,
    postgres::TestDatabase,
    rows::{
        ACCOUNT, client_account, conversation, insert, message, message_reaction,
        messaging_postback, story_insight, webhook_event,
    },
};

on_both! {
    what_was_received_is_counted_by_type_and_step,
    medians_and_percentiles_are_of_what_was_stored,
    reactions_are_counted_by_type_and_message,
    postbacks_are_a_funnel,
    what_was_sent_is_read_and_answered,
    stories_have_their_last_figures,
    of_an_account_without_anything_there_is_nothing,
}

/// In minutes.
const DAY: i64 = 24 * 60;

/// A Monday at noon.
fn noon() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn after(minutes: i64) -> DateTime<Utc> {
    noon() + TimeDelta::minutes(minutes)
}

async fn world(database: &TestDatabase) -> (Store, DatabaseConnection) {
    let store = empty_store_on(database).await;
    let db = database.connect().await;
    insert(&db, client_account()).await.unwrap();
    insert(&db, conversation()).await.unwrap();
    (store, db)
}

/// Of two days around noon.
async fn figures(store: &Store, bucket: Bucket) -> Statistics {
    let day = TimeDelta::days(1);
    let period = Period::new(noon() - day, noon() + day, bucket).unwrap();
    store.statistics(ACCOUNT, &period).await.unwrap()
}

fn event(number: u128, event_type: &str, status: &str, at: DateTime<Utc>) -> webhook_event::Model {
    let is_processed = [status::STORED, status::DUPLICATE].contains(&status);
    webhook_event::Model {
        event_type: event_type.to_owned(),
        event_id: number.to_string(),
        status: status.to_owned(),
        processed: is_processed,
        processed_at: is_processed.then(|| at + TimeDelta::milliseconds(1500)),
        is_duplicate: status == status::DUPLICATE,
        received_at: at,
        created_at: at + TimeDelta::seconds(1),
        ..webhook_event(number)
    }
}

async fn what_was_received_is_counted_by_type_and_step(database: TestDatabase) {
    let (store, db) = world(&database).await;
    for (number, event_type, status, at) in [
        (1, "comment", status::STORED, after(0)),
        (2, "comment", status::DUPLICATE, after(1)),
        (3, "comment", status::DEAD, after(61)),
        (4, "comment", status::DISCARDED, after(62)),
        (5, "comment", status::RETRYING, after(63)),
        (6, "message", status::STORED, after(0)),
        (7, "message", status::STORED, after(1 - DAY)),
        // Outside.
        (8, "message", status::STORED, after(DAY + 1)),
        (9, "message", status::STORED, after(-DAY - 1)),
    ] {
        insert(&db, event(number, event_type, status, at))
            .await
            .unwrap();
    }
    let others = webhook_event::Model {
        instagram_account_id: None,
        ..event(10, "comment", status::STORED, after(0))
    };
    insert(&db, others).await.unwrap();
    let written_late = webhook_event::Model {
        created_at: after(DAY + 5),
        ..event(
            11,
            "comment",
            status::STORED,
            after(DAY) + TimeDelta::seconds(1),
        )
    };
    insert(&db, written_late).await.unwrap();

    let hours = figures(&store, Bucket::Hour).await;
    let types: Vec<_> = hours
        .types
        .iter()
        .map(|of| {
            (
                of.event_type.as_str(),
                of.received,
                of.processed,
                of.failed,
                of.duplicates,
            )
        })
        .collect();
    assert_eq!(types, [("comment", 5, 2, 2, 1), ("message", 2, 2, 0, 0)]);
    assert_eq!(hours.types[0].last_event_at, after(63));
    assert_eq!(hours.last_event_at, Some(after(DAY + 1)));
    let steps = |of: &Statistics| -> Vec<(DateTime<Utc>, String, i64)> {
        let steps = of.series.iter();
        steps
            .map(|step| (step.at, step.event_type.clone(), step.received))
            .collect()
    };
    let step = |at, of: &str, received| (at, of.to_owned(), received);
    assert_eq!(
        steps(&hours),
        [
            step(noon() - TimeDelta::days(1), "message", 1),
            step(after(0), "comment", 2),
            step(after(0), "message", 1),
            step(after(60), "comment", 3),
        ]
    );
    let days = figures(&store, Bucket::Day).await;
    let midnight = noon() - TimeDelta::hours(12);
    assert_eq!(
        steps(&days),
        [
            step(midnight - TimeDelta::days(1), "message", 1),
            step(midnight, "comment", 5),
            step(midnight, "message", 1),
        ]
    );
    assert_eq!(days.series[1].failed, 2);
}

async fn medians_and_percentiles_are_of_what_was_stored(database: TestDatabase) {
    let (store, db) = world(&database).await;
    for number in 1..=200_u32 {
        let at = after(0);
        let took = TimeDelta::milliseconds(i64::from(number) * 250);
        let event = webhook_event::Model {
            processed_at: Some(at + took),
            ..event(number.into(), "comment", status::STORED, at)
        };
        insert(&db, event).await.unwrap();
    }
    // Not stored, and so in no time.
    insert(&db, event(999, "comment", status::DUPLICATE, after(1)))
        .await
        .unwrap();
    insert(&db, event(1000, "mention", status::DEAD, after(1)))
        .await
        .unwrap();
    let figures = figures(&store, Bucket::Day).await;
    let comments = &figures.types[0];
    assert_eq!(
        (comments.median_seconds, comments.p99_seconds),
        (Some(25.0), Some(49.5))
    );
    assert_eq!(
        (
            figures.types[1].median_seconds,
            figures.types[1].p99_seconds
        ),
        (None, None)
    );
}

fn reaction(
    number: u128,
    message: &str,
    sender: &str,
    action: &str,
    kind: Option<&str>,
) -> message_reaction::Model {
    message_reaction::Model {
        id: Uuid::from_u128(number),
        message_id: message.to_owned(),
        sender_ig_id: sender.to_owned(),
        action: action.to_owned(),
        reaction_type: kind.map(str::to_owned),
        timestamp: after(i64::try_from(number).unwrap()),
        ..message_reaction()
    }
}

async fn reactions_are_counted_by_type_and_message(database: TestDatabase) {
    let (store, db) = world(&database).await;
    for reaction in [
        reaction(1, "m1", "ann", "react", Some("love")),
        reaction(2, "m1", "ann", "unreact", None),
        reaction(3, "m1", "ann", "react", Some("love")),
        reaction(4, "m2", "bob", "react", Some("love")),
        reaction(5, "m2", "ann", "react", Some("other")),
        reaction(6, "m3", "ann", "react", None),
        reaction(7, "m3", "ann", "unreact", None),
        reaction(90_000, "m3", "ann", "react", Some("love")),
    ] {
        insert(&db, reaction).await.unwrap();
    }
    let reactions = figures(&store, Bucket::Day).await.reactions;
    let by_type: Vec<_> = reactions
        .by_type
        .iter()
        .map(|of| (of.reaction_type.as_deref(), of.reacted, of.people))
        .collect();
    assert_eq!(by_type[0], (Some("love"), 3, 2));
    assert!(by_type.contains(&(None, 1, 1)) && by_type.contains(&(Some("other"), 1, 1)));
    let most: Vec<_> = reactions
        .most_reacted
        .iter()
        .map(|of| (of.message_id.as_str(), of.reacted, of.taken_back))
        .collect();
    assert_eq!(most, [("m2", 2, 0), ("m1", 2, 1), ("m3", 1, 1)]);
}

async fn postbacks_are_a_funnel(database: TestDatabase) {
    let (store, db) = world(&database).await;
    let pressed =
        |number: u128, payload: &str, sender: &str, is_self, processed| messaging_postback::Model {
            id: Uuid::from_u128(number),
            message_id: format!("mid.{number}"),
            sender_ig_id: sender.to_owned(),
            postback_payload: Some(payload.to_owned()),
            timestamp: after(i64::try_from(number).unwrap()),
            is_self,
            processed,
            ..messaging_postback()
        };
    for postback in [
        pressed(1, "START", "ann", false, true),
        pressed(2, "START", "bob", false, false),
        pressed(3, "START", "ann", false, false),
        pressed(4, "BUY", "ann", false, false),
        pressed(5, "START", "page", true, false),
    ] {
        insert(&db, postback).await.unwrap();
    }
    let funnel = figures(&store, Bucket::Day).await.postbacks;
    let steps: Vec<_> = funnel
        .iter()
        .map(|of| (of.payload.as_deref(), of.pressed, of.people, of.dealt_with))
        .collect();
    assert_eq!(steps, [(Some("START"), 3, 2, 1), (Some("BUY"), 1, 1, 0)]);
    assert_eq!(
        (funnel[0].first_at, funnel[0].last_at),
        (after(1), after(3))
    );
    assert_eq!(funnel[0].title.as_deref(), Some("Start"));
}

fn said(id: &str, direction: &str, at: i64, seen_at: Option<i64>) -> message::Model {
    message::Model {
        id: id.to_owned(),
        direction: Some(direction.to_owned()),
        timestamp: after(at),
        seen_at: seen_at.map(after),
        ..message()
    }
}

async fn what_was_sent_is_read_and_answered(database: TestDatabase) {
    let (store, db) = world(&database).await;
    for message in [
        said("1", "outbound", 0, Some(10)),
        said("2", "outbound", 2, Some(10)),
        said("3", "inbound", 5, Some(6)),
        said("4", "inbound", 13, None),
        said("5", "inbound", 14, None),
        said("6", "outbound", 20, Some(50)),
        said("7", "outbound", 30, None),
    ] {
        insert(&db, message).await.unwrap();
    }
    let reading = figures(&store, Bucket::Day).await.reading;
    assert_eq!(
        (reading.sent, reading.read, reading.read_rate),
        (4, 3, Some(0.75))
    );
    assert_eq!(
        (reading.median_seconds_to_read, reading.p99_seconds_to_read),
        (Some(600.0), Some(1800.0))
    );
    assert_eq!(reading.replies, 1, "one answer to what was read at once");
    assert_eq!(
        (
            reading.median_seconds_to_reply,
            reading.p99_seconds_to_reply
        ),
        (Some(180.0), Some(180.0))
    );
}

async fn stories_have_their_last_figures(database: TestDatabase) {
    let (store, db) = world(&database).await;
    let told = |number: u128, media: &str, at: i64, reach, impressions| story_insight::Model {
        id: Uuid::from_u128(number),
        media_id: media.to_owned(),
        timestamp: after(at),
        reach,
        impressions,
        exits: Some(2),
        replies: None,
        ..story_insight()
    };
    for insight in [
        told(1, "s1", 0, Some(10), Some(20)),
        told(2, "s1", 60, Some(30), Some(40)),
        told(3, "s1", 90_000, Some(99), Some(99)),
        told(4, "s2", 0, Some(50), Some(0)),
        told(5, "s3", 0, None, Some(7)),
    ] {
        insert(&db, insight).await.unwrap();
    }
    let stories = figures(&store, Bucket::Day).await.stories;
    let figures: Vec<_> = stories
        .iter()
        .map(|of| {
            (
                of.media_id.as_str(),
                of.reach,
                of.reach_rate,
                of.exits,
                of.replies,
            )
        })
        .collect();
    assert_eq!(
        figures,
        [
            ("s2", Some(50), None, Some(2), None),
            ("s1", Some(30), Some(0.75), Some(2), None),
            ("s3", None, None, Some(2), None),
        ]
    );
}

async fn of_an_account_without_anything_there_is_nothing(database: TestDatabase) {
    let (store, _db) = world(&database).await;
    let figures = figures(&store, Bucket::Hour).await;
    assert!(figures.types.is_empty() && figures.series.is_empty() && figures.stories.is_empty());
    assert_eq!(figures.last_event_at, None);
    assert_eq!((figures.reading.sent, figures.reading.read_rate), (0, None));
    assert_eq!(figures.reading.median_seconds_to_reply, None);
}
