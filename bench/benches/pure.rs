//! What a delivery costs where no server is asked: its signature, its grammar, its place in the journal, its events.
//! A regression is seen here before it is seen in what a machine takes.

#[path = "../src/payloads.rs"]
#[expect(dead_code, reason = "the benchmark of the whole has more use for it")]
mod payloads;

use std::hint::black_box;

use bytes::Bytes;
use chrono::Utc;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use igstream::instagram::Delivery;
use igstream::instagram::delivery::check_grammar;
use igstream::instagram::identity::receipt_id;
use igstream::instagram::signature::{AppSecrets, sign};
use igstream::instagram::understand::Reading;
use igstream::journal;
use igstream::stream::message::Outgoing;
use uuid::Uuid;

use payloads::Payloads;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const MAX_PAYLOAD: usize = 9 * 1024 * 1024;

/// A hundred deliveries of one event each: every type as often as it comes.
fn deliveries() -> Vec<Delivery> {
    let bodies = Payloads::from(0).deliveries(100, 1);
    let delivery = |body: Bytes| Delivery {
        id: Uuid::now_v7(),
        received_at: Utc::now(),
        signature: sign(SECRET, &body),
        secret_id: "bench".to_owned(),
        body,
    };
    bodies.into_iter().map(delivery).collect()
}

fn of_a_hundred(c: &mut Criterion) {
    let deliveries = deliveries();
    let secrets = AppSecrets::new([SECRET]);
    let mut group = c.benchmark_group("100 deliveries");
    group.throughput(Throughput::Elements(100));
    group.bench_function("verify", |b| {
        b.iter(|| {
            for delivery in &deliveries {
                let header = Some(delivery.signature.as_bytes());
                let _ = black_box(secrets.verify(header, &delivery.body));
            }
        });
    });
    group.bench_function("check the grammar", |b| {
        b.iter(|| {
            for delivery in &deliveries {
                let _ = black_box(check_grammar(&delivery.body));
            }
        });
    });
    group.bench_function("pack", |b| b.iter(|| black_box(journal::pack(&deliveries))));
    group.bench_function("understand", |b| {
        b.iter(|| {
            for delivery in &deliveries {
                Reading::of(delivery)
                    .events()
                    .for_each(|event| drop(black_box(event)));
            }
        });
    });
    group.bench_function("identify", |b| {
        b.iter(|| {
            for delivery in &deliveries {
                black_box(receipt_id(delivery.id, "/entry/0/messaging/0"));
            }
        });
    });
    group.bench_function("write the message", |b| {
        let events = || {
            deliveries
                .iter()
                .flat_map(|delivery| Reading::of(delivery).events().collect::<Vec<_>>())
        };
        b.iter_batched(
            || events().collect::<Vec<_>>(),
            |events| {
                for event in &events {
                    let _ = black_box(Outgoing::event(event, MAX_PAYLOAD));
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(pure, of_a_hundred);
criterion_main!(pure);
