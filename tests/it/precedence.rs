//! More is there than the database takes: who goes first, and that everybody does.

use igstream::stream::names::{EVENTS, STORED};
use serde_json::{Value, json};

use crate::support::{
    deliveries::{IG, NOON, delivery, inbound},
    eventually::until_none_is_left,
    nats::NatsServer,
    on_both,
    payloads::{changes, comment},
    postgres::TestDatabase,
    setup::Setup,
};

on_both!(
    the_important_are_stored_first,
    nobody_waits_for_ever,
    the_configuration_turns_the_order_round,
);

/// Events in a batch; none of the types has a fraction of one.
const BATCH: usize = 50;

/// Taken in turns, as many of both would have been stored when the last message was.
async fn the_important_are_stored_first(database: TestDatabase) {
    let sent = [("messaging_seen", 2000), ("message", 1500)];
    let order = stored(&database, &sent, BATCH, |setup| setup).await;
    let receipts = before_the_last("message", "messaging_seen", &order);
    assert!(receipts < 1000, "{receipts} receipts were stored meanwhile");
}

async fn the_configuration_turns_the_order_round(database: TestDatabase) {
    let sent = [("message", 2000), ("messaging_seen", 1500)];
    let order = stored(&database, &sent, BATCH, |setup| {
        setup
            .set("handlers.priority.message", 10)
            .set("handlers.priority.messaging_seen", 1)
    })
    .await;
    let messages = before_the_last("messaging_seen", "message", &order);
    assert!(messages < 1000, "{messages} messages were stored meanwhile");
}

/// Messages and comments go on and on, so that there is always somebody before the receipts.
async fn nobody_waits_for_ever(database: TestDatabase) {
    let sent = [
        ("message", 1500),
        ("comment", 1500),
        ("messaging_seen", 1000),
    ];
    let order = stored(&database, &sent, BATCH / 5, |setup| setup).await;
    let last = |event_type| order.iter().rposition(|stored| stored == event_type);
    let meanwhile = &order[..last("message").min(last("comment")).unwrap()];
    let (first, second) = meanwhile.split_at(meanwhile.len() / 2);
    for half in [first, second] {
        let receipts = half.iter().filter(|stored| *stored == "messaging_seen");
        assert!(receipts.count() > 0, "{} events", half.len());
    }
}

/// Has so many events of each type wait, then be stored a batch at a time; their types in the order in which they
/// were.
async fn stored(
    database: &TestDatabase,
    sent: &[(&str, usize)],
    batch: usize,
    change: impl FnOnce(Setup) -> Setup,
) -> Vec<String> {
    let nats = NatsServer::start().await;
    let taking = Setup::external(&nats, database).roles("receiver,publisher");
    let mut taking = taking.start().await;
    let mut all: u64 = 0;
    for (event_type, count) in sent {
        for first in (0..*count).step_by(BATCH) {
            taking
                .deliver(&body(event_type, first..first + BATCH))
                .await;
        }
        all += *count as u64;
    }
    let streams = taking.streams().await;
    until_none_is_left("all events are published", async || {
        Ok(all - streams.count(EVENTS).await)
    })
    .await;
    taking.stop().await;

    let handling = Setup::external(&nats, database)
        .roles("handlers")
        .set("handlers.at_once", 1)
        .set("handlers.batch_size", batch);
    let _handling = change(handling).start().await;
    streams.drained().await;
    let event_type = |subject: &str| subject.split('.').nth(2).map(str::to_owned);
    let stored = streams.messages(STORED).await;
    assert_eq!(stored.len() as u64, all);
    stored
        .iter()
        .map(|message| event_type(&message.subject).unwrap())
        .collect()
}

fn body(event_type: &str, numbers: std::ops::Range<usize>) -> String {
    let ids = numbers.map(|number| format!("m_{number}"));
    let messaging = |what: fn(String) -> Value| {
        let items: Vec<Value> = ids.clone().map(|id| inbound(NOON, &what(id))).collect();
        delivery("messaging", &items)
    };
    match event_type {
        "message" => messaging(|mid| json!({"message": {"mid": mid, "text": "text"}})),
        "messaging_seen" => messaging(|mid| json!({"read": {"mid": mid}})),
        _ => changes(IG, &ids.map(|id| comment(&id)).collect::<Vec<_>>()).to_string(),
    }
}

/// How many of a type were stored before the last one of the other.
fn before_the_last(event_type: &str, other: &str, order: &[String]) -> usize {
    let last = order.iter().rposition(|stored| stored == event_type);
    let before = order[..last.unwrap()].iter();
    before.filter(|stored| *stored == other).count()
}
