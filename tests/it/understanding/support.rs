//! Deliveries made by hand, and what they are understood as.

use igstream::instagram::{Delivery, Event, Verified, types, understand};
use uuid::Uuid;

/// A delivery of `body`, as the receiver would take it.
pub fn delivery(body: impl Into<Vec<u8>>) -> Delivery {
    Delivery {
        id: Uuid::now_v7(),
        received_at: "2025-11-24T16:00:02Z".parse().unwrap(),
        signature: String::new(),
        secret_id: String::new(),
        body: body.into().into(),
    }
}

/// The events of `body`, which the receiver would take.
pub fn events_of(body: impl Into<Vec<u8>>) -> Vec<Event> {
    let verified = Verified::new(delivery(body)).expect("the receiver takes it");
    understand(verified.delivery())
}

/// The other party of the event's conversation.
pub fn participant(event: &Event) -> Option<String> {
    let event_type = types::by_name(&event.event_type).expect("one of the types");
    let thread = (event_type.plan)(event).thread;
    let (sender, recipient) = (
        event.sender_ig_id.as_deref(),
        event.recipient_ig_id.as_deref(),
    );
    thread
        .participant(&event.ig_account_id, sender, recipient)
        .map(str::to_owned)
}
