//! `nats.durability`: a service that could not keep what its 200 must mean does not start.

use async_nats::jetstream::stream::{Config, StorageType};
use igstream::stream::names::DELIVERIES;

use crate::support::{
    nats::{NatsServer, Streams},
    postgres::TestDatabase,
    setup::Setup,
};

#[tokio::test]
async fn a_server_that_syncs_too_seldom_is_refused() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start_with("sync_interval: \"2m\"").await;
    let setup = |durability: &str| {
        Setup::external(&nats, &database)
            .set("nats.monitor_url", nats.monitor_url())
            .set("nats.durability", durability)
    };
    let (code, said) = setup("fsync").gives_up().await;
    assert_eq!(code, Some(2), "{said}");
    for part in ["nats.durability", "every 2m", "sync_interval: always"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Refused before it made anything.
    let streams = Streams::connect(&nats.url()).await;
    assert!(streams.js.get_stream(DELIVERIES).await.is_err());

    setup("file").start().await;
}

#[tokio::test]
async fn a_server_that_always_syncs_is_good_and_so_is_one_that_cannot_be_asked() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup = || Setup::external(&nats, &database).set("nats.durability", "fsync");
    setup()
        .set("nats.monitor_url", nats.monitor_url())
        .start()
        .await;
    let service = setup()
        .set("nats.monitor_url", "http://127.0.0.1:9")
        .start()
        .await;
    assert!(
        service.log().contains("cannot be seen"),
        "{}",
        service.log()
    );
}

#[tokio::test]
async fn a_journal_in_memory_is_refused() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let streams = Streams::connect(&nats.url()).await;
    let in_memory = Config {
        name: DELIVERIES.to_owned(),
        subjects: vec!["instagram.deliveries".to_owned()],
        storage: StorageType::Memory,
        max_bytes: 1024 * 1024,
        ..Config::default()
    };
    streams.js.create_stream(in_memory).await.expect("a stream");
    let (code, said) = Setup::external(&nats, &database).gives_up().await;
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("the stream INSTAGRAM_DELIVERIES is memory"),
        "{said}"
    );
}

#[tokio::test]
async fn one_server_where_three_are_to_hold_it_is_refused() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let setup = Setup::external(&nats, &database).set("stream.replicas", 3);
    let (code, said) = setup.gives_up().await;
    assert_eq!(code, Some(2), "{said}");
    for part in ["stream.replicas is 3", "in no cluster"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let streams = Streams::connect(&nats.url()).await;
    assert!(streams.js.get_stream(DELIVERIES).await.is_err());
}

#[tokio::test]
async fn the_level_is_shown() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    for (setup, level) in [
        (Setup::managed(&database), "fsync"),
        (Setup::external(&nats, &database), "file"),
        (
            Setup::external(&nats, &database).set("nats.durability", "memory"),
            "memory",
        ),
    ] {
        let service = setup.start().await;
        assert_eq!(service.readiness().await.1["durability"], level);
        let metrics = service.metrics().await;
        let shown = metrics.find("instagram_ingest_durability_info", &[("level", level)]);
        assert_eq!(shown, Some(1.0), "{level}");
    }
}
