//! What Instagram was answered 200 is stored exactly once, told exactly once, and counted as it is; also when the
//! service is killed in the middle.

use entity::webhook_event::{self, status};
use sea_orm::{EntityTrait, PaginatorTrait};

use crate::support::{
    books::Books,
    eventually::eventually,
    nats::{NatsServer, own_consumers},
    postgres::TestDatabase,
    service::{STOPS_WITHIN, Service},
    setup::Setup,
    simulator::{Simulator, deliveries, room},
};

#[tokio::test]
async fn postgres_and_a_server_of_somebody_elses() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    all_is_there_once_and_counted(Setup::external(&nats, &database)).await;
}

#[tokio::test]
async fn sqlite_and_a_server_of_its_own() {
    let database = TestDatabase::sqlite().await;
    all_is_there_once_and_counted(Setup::managed(&database)).await;
}

async fn all_is_there_once_and_counted(setup: Setup) {
    let service = setup.set("stream.max_bytes", room()).start().await;
    let ledger = Simulator::start(&service, deliveries(), 0).finish().await;
    let streams = service.streams().await;
    streams.drained().await;
    let books = Books::read(&service.database().await, &streams).await;
    books.balance(&ledger);

    eventually("the metrics agree with the tables", async || {
        let metrics = service.metrics().await;
        let mut differences = Vec::new();
        let mut compare = |what: &str, counted: u64, wanted: u64| {
            if counted != wanted {
                differences.push(format!("{what}: {counted} counted, {wanted} there"));
            }
        };
        for (metric, rows) in [
            ("events_received", books.by_type(|_| true)),
            ("events_processed", books.by_type(|row| row.processed)),
            ("duplicates", books.by_type(|row| row.is_duplicate)),
            (
                "dead_letters",
                books.by_type(|row| row.status == status::DEAD),
            ),
        ] {
            let name = format!("instagram_webhook_{metric}_total");
            compare(&name, metrics.count(&name, &[]), rows.values().sum());
            for (event_type, count) in rows {
                let counted = metrics.count(&name, &[("event_type", event_type)]);
                compare(&format!("{name} of {event_type}"), counted, count);
            }
        }
        for (outcome, wanted) in [
            ("accepted", ledger.deliveries(200, false)),
            ("ignored", ledger.deliveries(200, true)),
            ("invalid_signature", ledger.deliveries(401, false)),
            ("malformed", ledger.deliveries(400, false)),
        ] {
            compare(outcome, metrics.deliveries(outcome), wanted);
        }
        let depth = metrics.count("instagram_webhook_queue_depth", &[]);
        compare("queue depth", depth, 0);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(differences.join("\n"))
        }
    })
    .await;
}

#[tokio::test]
async fn killed_in_the_middle() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).start().await;
    let count = deliveries();
    let mut simulator = Simulator::start(&service, count, count / 6);
    until_rows(&service, count / 4).await;

    service.kill().await;
    assert!(simulator.is_sending(), "it was killed in the middle");
    service.start_again().await;

    let ledger = simulator.finish().await;
    let streams = service.streams().await;
    streams.drained().await;
    let books = Books::read(&service.database().await, &streams).await;
    books.balance(&ledger);
}

#[tokio::test]
async fn stopped_in_the_middle() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let mut service = Setup::external(&nats, &database).start().await;
    let count = deliveries();
    let mut simulator = Simulator::start(&service, count, count / 6);
    until_rows(&service, count / 4).await;

    let (code, took) = service.stop().await;
    assert_eq!(code, Some(0), "{}", service.log());
    assert!(took < STOPS_WITHIN, "{took:?}");
    assert!(simulator.is_sending(), "it was stopped in the middle");
    let streams = service.streams().await;
    for (stream, consumer) in own_consumers() {
        let info = streams.consumer(stream, &consumer).await.unwrap();
        assert_eq!(info.num_ack_pending, 0, "{consumer} left work undone");
    }

    service.start_again().await;
    let ledger = simulator.finish().await;
    streams.drained().await;
    let books = Books::read(&service.database().await, &streams).await;
    books.balance(&ledger);
}

async fn until_rows(service: &Service, wanted: u64) {
    let database = service.database().await;
    eventually("the first events are stored", async || {
        let rows = webhook_event::Entity::find().count(&database).await;
        match rows.map_err(|error| error.to_string())? {
            rows if rows >= wanted => Ok(()),
            rows => Err(format!("{rows} of {wanted} rows")),
        }
    })
    .await;
}
