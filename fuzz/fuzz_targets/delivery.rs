//! The body of a delivery: as many events as items, each of which travels on
//! NATS and comes back as it was.

#![no_main]

use std::collections::HashSet;

use async_nats::Message;
use bytes::Bytes;
use chrono::DateTime;
use igstream::instagram::identity::subject_token;
use igstream::instagram::{Delivery, Event, Verified, json, types, understand};
use igstream::stream::message::{Outgoing, read_event};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

/// As the managed server has it, and one so small that no `raw` fits.
const MAX_PAYLOADS: [usize; 2] = [9 * 1024 * 1024, 4 * 1024];

fuzz_target!(|body: &[u8]| {
    let delivery = Delivery {
        id: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
        received_at: DateTime::UNIX_EPOCH,
        signature: String::new(),
        secret_id: String::new(),
        body: Bytes::copy_from_slice(body),
    };
    // Also what the receiver refuses: the journal is read whatever it holds.
    let events = understand(&delivery);
    let places: HashSet<_> = events.iter().map(|event| &event.place).collect();
    assert_eq!(places.len(), events.len(), "an item is told twice");
    let is_taken = Verified::new(delivery).is_ok();
    for event in &events {
        is_sound(event);
        if is_taken {
            assert!(event.raw.is_some(), "an item of a good delivery is kept");
        }
        for max_payload in MAX_PAYLOADS {
            travels(event, max_payload);
        }
    }
});

fn is_sound(event: &Event) {
    let event_type = types::by_name(&event.event_type).expect("one of the types");
    assert!(event.event_id.starts_with(event_type.name));
    assert!(event.event_id.len() <= 400);
    assert!(event.event_id.bytes().all(|byte| byte.is_ascii_graphic()));
    if let Some(raw) = &event.raw {
        let stored = json::storable(raw.get());
        assert!(json::is_grammatical(&stored));
        assert!(!stored.contains("\\u0000") || stored.contains("\\\\u0000"));
    }
    let _ = (event_type.plan)(event);
}

fn travels(event: &Event, max_payload: usize) {
    let message = Outgoing::event(event, max_payload).expect("an event can be written");
    let token = subject_token(&event.ig_account_id);
    assert_eq!(
        message.subject,
        format!("instagram.events.{}.{token}", event.event_type)
    );
    assert!(!token.is_empty() && !token.contains(['.', '*', '>', ' ', '\t', '\r', '\n']));
    let received = Message {
        subject: message.subject.into(),
        reply: None,
        length: message.body.len(),
        payload: message.body,
        headers: Some(message.headers),
        status: None,
        description: None,
    };
    let read = read_event(&received, 1).expect("it can be read again");
    let raw = |event: &Event| event.raw.as_ref().map(|raw| raw.get().to_owned());
    if read.raw_omitted {
        assert_eq!(raw(&read), None);
    } else {
        assert_eq!(raw(&read), raw(event));
    }
    let without_raw = |event: &Event| {
        let event = Event {
            raw: None,
            raw_omitted: false,
            ..event.clone()
        };
        (
            serde_json::to_string(&event).expect("an event can be written"),
            event.place,
        )
    };
    assert_eq!(without_raw(&read), without_raw(event));
}
