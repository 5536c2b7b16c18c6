//! Values that a database does not like: they are stored all the same, and the
//! row says what was replaced.

use entity::{
    comment, conversation, mention, message, message_reaction, messaging_postback, messaging_seen,
    story_insight, webhook_event,
};
use igstream::instagram::Event;
use igstream::store::{Outcome, Store};
use sea_orm::EntityTrait;
use serde_json::{Value, json};

use crate::store_identity::row_of;
use crate::support::deliveries::{
    IG, NOON, PERSON, change, connect, empty_store_on, events_of, inbound, messaging, one, put_one,
    store_on,
};
use crate::support::on_both;
use crate::support::postgres::TestDatabase;

on_both!(
    a_null_character_is_replaced_and_said_so,
    lone_surrogates_are_replaced_and_said_so,
    numbers_beyond_every_machine_are_kept_as_texts,
    long_numbers_keep_their_digits,
    long_texts_are_cut_and_the_raw_has_the_whole,
    long_ids_stay_two,
    a_payload_can_be_any_json,
    a_megabyte_of_text_is_kept,
    deep_nesting_is_kept,
    an_insight_beyond_64_bits_is_unknown,
    times_at_the_edges_of_the_calendar,
    anything_in_an_account_id,
    hostile_values_everywhere,
);

/// Stores an event, which must work, and returns its generic row.
async fn kept(store: &Store, event: &Event) -> webhook_event::Model {
    let outcome = put_one(store, event).await;
    assert!(
        matches!(outcome, Outcome::Stored { again: false, .. }),
        "{outcome:?}"
    );
    row_of(store, event).await
}

fn replaced(document: Option<&Value>) -> String {
    document.unwrap()["igstream_replaced"].to_string()
}

/// The event of a messaging item, written as text, for what `json!` cannot write.
fn raw_messaging(what: &str) -> Event {
    one(format!(
        r#"{{"object":"instagram","entry":[{{"id":"{IG}","time":{NOON},"messaging":[
        {{"sender":{{"id":"{PERSON}"}},"recipient":{{"id":"{IG}"}},"timestamp":{NOON},{what}}}]}}]}}"#
    ))
}

async fn only<E: EntityTrait>(store: &Store) -> E::Model {
    E::find().one(store.database()).await.unwrap().unwrap()
}

async fn a_null_character_is_replaced_and_said_so(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = raw_messaging(
        r#""message":{"mid":"m\u0000_1","text":"a\u0000b","attachments":[{"type":"x\u0000","payload":{"k\u0000":"v"}}],"quick_reply":{"payload":"\u0000"}}"#,
    );
    let row = kept(&store, &event).await;
    assert!(replaced(row.payload.as_ref()).contains("U+0000"));
    let message = only::<message::Entity>(&store).await;
    assert_eq!(message.text.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(
        (message.id.as_str(), message.message_type.as_deref()),
        ("m\u{fffd}_1", Some("x\u{fffd}"))
    );
    assert!(replaced(message.raw_data.as_ref()).contains("U+0000"));
    let attachments = message.attachments.unwrap();
    assert_eq!(
        attachments["value"][0]["payload"],
        json!({"k\u{fffd}": "v"})
    );
    assert!(attachments["igstream_replaced"].is_array());
}

async fn lone_surrogates_are_replaced_and_said_so(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = raw_messaging(r#""message":{"mid":"m_1","text":"cut \ud83d"}"#);
    let row = kept(&store, &event).await;
    assert!(replaced(row.payload.as_ref()).contains("surrogates"));
    assert_eq!(
        only::<message::Entity>(&store).await.text.as_deref(),
        Some("cut \u{fffd}")
    );
}

async fn numbers_beyond_every_machine_are_kept_as_texts(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = raw_messaging(
        r#""message":{"mid":"m_1","text":"n"},"n":[1e9999,-1E+99999999999999999999]"#,
    );
    let row = kept(&store, &event).await;
    assert!(replaced(row.payload.as_ref()).contains("numbers"));
    assert_eq!(
        row.payload.unwrap()["n"],
        json!(["1e9999", "-1E+99999999999999999999"])
    );
}

async fn long_numbers_keep_their_digits(database: TestDatabase) {
    let store = store_on(&database).await;
    let digits = "1234567890".repeat(40);
    let event = raw_messaging(&format!(
        r#""message":{{"mid":{digits},"text":{digits}}},"n":{digits}"#
    ));
    let row = kept(&store, &event).await;
    assert_eq!(row.payload.unwrap()["n"].to_string(), digits);
    let message = only::<message::Entity>(&store).await;
    assert_eq!(message.text.as_deref(), Some(digits.as_str()));
    assert_eq!(message.id.chars().count(), 255);
}

async fn long_texts_are_cut_and_the_raw_has_the_whole(database: TestDatabase) {
    let store = store_on(&database).await;
    let long = "ü".repeat(300);
    let postback = messaging(inbound(
        NOON,
        &json!({"postback": {"mid": "m", "title": long, "payload": "p".repeat(10_000)}}),
    ));
    kept(&store, &postback).await;
    let row = only::<messaging_postback::Entity>(&store).await;
    assert_eq!(row.postback_title, Some("ü".repeat(255)));
    assert_eq!(
        row.postback_payload.map(|payload| payload.len()),
        Some(10_000)
    );
    assert_eq!(row.raw_data.unwrap()["postback"]["title"], json!(long));

    // 40 bytes, and 400.
    for emoji in ["👩🏽‍❤️‍💋‍👨🏽‍🦰🏳", "👨‍👩‍👧‍👦"]
        .map(|emoji| emoji.repeat(8))
        .iter()
        .map(String::as_str)
        .chain(["👨‍👩‍👧‍👦👨‍👩"])
    {
        let reaction = messaging(inbound(
            NOON,
            &json!({"reaction": {"mid": emoji, "action": "react", "emoji": emoji, "reaction": long}}),
        ));
        kept(&store, &reaction).await;
        let rows = message_reaction::Entity::find()
            .all(store.database())
            .await
            .unwrap();
        let row = rows
            .into_iter()
            .find(|row| row.id == reaction.receipt_id)
            .unwrap();
        assert_eq!(row.emoji, Some(emoji.chars().take(64).collect()));
        assert_eq!(row.reaction_type, Some("ü".repeat(50)));
        assert_eq!(row.raw_data.unwrap()["reaction"]["emoji"], json!(emoji));
    }

    let comment = change(
        "comments",
        &json!({"id": "1", "text": long, "from": {"id": "2", "username": long}, "media": {"media_product_type": long}}),
    );
    assert_eq!(
        kept(&store, &comment).await.sender_username,
        Some("ü".repeat(255))
    );
    let field = change(&"f".repeat(300), &json!(1));
    assert_eq!(
        kept(&store, &field).await.object_type,
        Some("f".repeat(255))
    );
    let kind = messaging(inbound(
        NOON,
        &json!({"message": {"mid": "m", "attachments": [{"type": "t".repeat(300)}]}}),
    ));
    kept(&store, &kind).await;
    assert_eq!(
        only::<message::Entity>(&store).await.message_type,
        Some("t".repeat(50))
    );
}

async fn long_ids_stay_two(database: TestDatabase) {
    let store = store_on(&database).await;
    let long = |end: &str| "x".repeat(300) + end;
    for end in ["a", "b"] {
        kept(
            &store,
            &messaging(inbound(
                NOON,
                &json!({"message": {"mid": long(end), "text": end}}),
            )),
        )
        .await;
        kept(
            &store,
            &messaging(inbound(NOON, &json!({"read": {"mid": long(end)}}))),
        )
        .await;
        let from_long = json!({"sender": {"id": long(end)}, "recipient": {"id": IG}, "timestamp": NOON, "postback": {"title": "t"}});
        kept(&store, &messaging(from_long)).await;
        kept(
            &store,
            &change(
                "mentions",
                &json!({"media_id": long(end), "comment_id": long(end)}),
            ),
        )
        .await;
    }
    let messages = message::Entity::find().all(store.database()).await.unwrap();
    assert_eq!(messages.len(), 2);
    // The receipt finds the message under its shortened id too.
    assert!(
        messages
            .iter()
            .all(|message| message.id.chars().count() == 255 && message.seen_at.is_some())
    );
    assert_eq!(
        messaging_seen::Entity::find()
            .all(store.database())
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        mention::Entity::find()
            .all(store.database())
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        conversation::Entity::find()
            .all(store.database())
            .await
            .unwrap()
            .len(),
        3
    );
}

async fn a_payload_can_be_any_json(database: TestDatabase) {
    let store = store_on(&database).await;
    for value in [
        json!("a text"),
        json!(null),
        json!([]),
        json!([1, [null]]),
        json!(17),
        json!(true),
        json!({}),
        json!("\""),
    ] {
        let event = one(
            json!({"object": "instagram", "entry": [{"id": IG, "time": 1, "standby": [value]}]})
                .to_string(),
        );
        // To a database a JSON null is nothing at all.
        assert_eq!(
            kept(&store, &event).await.payload.unwrap_or_default(),
            value
        );
        let event = one(json!({"object": "instagram", "entry": [{"id": IG, "time": 2, "changes": [{"field": "x", "value": value}]}]}).to_string());
        assert_eq!(kept(&store, &event).await.payload.unwrap()["value"], value);
    }
    let bare = one(format!(
        r#"{{"object":"instagram","entry":[{{"id":"{IG}","time":3,"messaging":["\u0000"]}}]}}"#
    ));
    assert_eq!(
        kept(&store, &bare).await.payload.unwrap()["value"],
        json!("\u{fffd}")
    );
    let empty = one(json!({"object": "instagram", "entry": [{"id": IG, "time": 1}]}).to_string());
    assert_eq!(kept(&store, &empty).await.origin.as_deref(), Some("field"));
}

async fn a_megabyte_of_text_is_kept(database: TestDatabase) {
    let store = store_on(&database).await;
    let text = "€uro ".repeat(200_000);
    let event = messaging(inbound(
        NOON,
        &json!({"message": {"mid": "m_1", "text": text}}),
    ));
    assert_eq!(
        kept(&store, &event).await.payload.unwrap()["message"]["text"],
        json!(text)
    );
    assert_eq!(only::<message::Entity>(&store).await.text, Some(text));
}

async fn deep_nesting_is_kept(database: TestDatabase) {
    let store = store_on(&database).await;
    for depth in [90, 200, 500, 3000] {
        let nested = "[".repeat(depth) + &"]".repeat(depth);
        let event = raw_messaging(&format!(
            r#""message":{{"mid":"m_{depth}","text":"t"}},"deep":{nested}"#
        ));
        let row = kept(&store, &event).await;
        assert_eq!(row.event_type == "message", depth < 512, "{depth}");
        let payload = row.payload.unwrap();
        assert_eq!(
            payload.get("igstream_replaced").is_some(),
            depth > 100,
            "{depth}"
        );
    }
}

async fn an_insight_beyond_64_bits_is_unknown(database: TestDatabase) {
    let store = store_on(&database).await;
    let event = change(
        "story_insights",
        &json!({"media_id": 18_446_744_073_709_551_615_u64, "reach": 9_223_372_036_854_775_807_i64, "replies": "99999999999999999999", "exits": 1.5}),
    );
    kept(&store, &event).await;
    let row = only::<story_insight::Entity>(&store).await;
    assert_eq!(
        (row.media_id.as_str(), row.reach, row.replies, row.exits),
        ("18446744073709551615", Some(i64::MAX), None, None)
    );
}

async fn times_at_the_edges_of_the_calendar(database: TestDatabase) {
    let store = store_on(&database).await;
    let times = [
        json!("0000-06-01T00:00:00+0000"),
        json!("0001-01-01T00:00:00+0000"),
        json!("9999-12-31T23:59:59+0000"),
        json!(-1),
        json!(0),
        json!("2021-09-08T06:34:04.1234567+0000"),
        json!(-62_167_219_200_i64),
    ];
    for (n, time) in times.iter().enumerate() {
        let mut item = inbound(
            0,
            &json!({"message": {"mid": format!("m_{n}"), "text": "t"}}),
        );
        item["timestamp"] = time.clone();
        kept(&store, &messaging(item)).await;
    }
    let found =
        message::Entity::find_by_id((store.accounts().await.unwrap()[0].id, "m_5".to_owned()))
            .one(store.database())
            .await;
    assert_eq!(
        found.unwrap().unwrap().timestamp.timestamp_micros() % 1_000_000,
        123_456
    );
    for watermark in [
        "0",
        "1527459824",
        "1795541119123",
        "999999999999999",
        "9999999999999999",
        "12x",
        "-5",
    ] {
        kept(
            &store,
            &messaging(inbound(NOON, &json!({"read": {"watermark": watermark}}))),
        )
        .await;
    }
}

async fn anything_in_an_account_id(database: TestDatabase) {
    let empty = empty_store_on(&database).await;
    let store = connect(&database, |options| options.auto_register = true).await;
    let ids = [
        json!("\u{0}"),
        json!("a b\nc"),
        json!("'; --"),
        json!("é".repeat(400)),
        json!(17),
        json!("\u{fffd}"),
    ];
    for id in &ids {
        let event = one(json!({"object": "instagram", "entry": [{"id": id, "time": 1, "changes": [{"field": "mentions", "value": {"media_id": "1"}}]}]}).to_string());
        assert!(
            !matches!(put_one(&store, &event).await, Outcome::Unassigned),
            "{id}"
        );
    }
    // U+0000 is told as U+FFFD, so the first and the last are one.
    assert_eq!(empty.accounts().await.unwrap().len(), ids.len() - 1);
}

/// Every text and id of every type, as bad as it gets.
async fn hostile_values_everywhere(database: TestDatabase) {
    let store = store_on(&database).await;
    let evil = r#""\u0000\ud800' \"{}\\ $1 ? : \u0001\uffff\ud83d\ude00""#;
    let sizes = [
        evil.to_owned(),
        format!("\"{}\"", "\\u0000".repeat(500)),
        "9".repeat(500),
        "1e400".to_owned(),
        "{\"\\u0000\":1e9999}".to_owned(),
    ];
    let mut stored = 0;
    for value in sizes {
        let items = [
            r#""message":{"mid":V,"text":V,"attachments":[{"type":V,"payload":V}],"reply_to":{"mid":V,"story":{"id":V}},"quick_reply":{"payload":V}}"#,
            r#""message":{"mid":V,"attachments":[{"type":"story_mention","payload":V}]}"#,
            r#""message":{"mid":V,"is_deleted":true}"#,
            r#""message_edit":{"mid":V,"text":V,"num_edit":V}"#,
            r#""reaction":{"mid":V,"action":"react","reaction":V,"emoji":V}"#,
            r#""postback":{"mid":V,"title":V,"payload":V}"#,
            r#""postback":{"title":V,"payload":V}"#,
            r#""read":{"mid":V}"#,
            r#""read":{"watermark":V}"#,
            r#""V":V"#,
        ]
        .map(|what| format!(r#"{{"sender":{{"id":V}},"recipient":{{"id":V}},"timestamp":V,{what}}}"#))
        .join(",");
        let changes = [
            r#"{"field":"comments","value":{"id":V,"text":V,"from":{"id":V,"username":V},"media":{"id":V,"media_product_type":V,"ad_id":V},"parent_id":V}}"#,
            r#"{"field":"mentions","value":{"media_id":V,"comment_id":V,"from":{"id":V,"username":V}}}"#,
            r#"{"field":"story_insights","value":{"media_id":V,"reach":V,"replies":V}}"#,
            r#"{"field":V,"value":V}"#,
        ]
        .join(",");
        let body = format!(
            r#"{{"object":"instagram","entry":[{{"id":"{IG}","time":V,"messaging":[{items}]}},{{"id":"{IG}","time":V,"changes":[{changes}]}}]}}"#
        );
        for event in events_of(body.replace("\"V\":", "\"other\":").replace('V', &value)) {
            put_one(&store, &event).await;
            row_of(&store, &event).await;
            stored += 1;
        }
    }
    assert_eq!(stored, 5 * 14);
    assert!(
        !comment::Entity::find()
            .all(store.database())
            .await
            .unwrap()
            .is_empty()
    );
}
