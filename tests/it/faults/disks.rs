//! A disk is full, and has room again after a while.

use std::time::Duration;

use async_nats::jetstream::stream::Config;
use igstream::stream::names::DELIVERIES;
use tokio::time::sleep;

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{
    eventually::eventually,
    nats::NatsServer,
    postgres::{TestDatabase, run},
    postgres_server::PostgresServer,
    service::Service,
    setup::Setup,
    small_disk::SmallDisk,
};

/// In MiB.
const DATABASE_DISK: u32 = 48;

/// In MiB: room for what igstream's streams reserve, and more.
fn nats_disk() -> u32 {
    in_form(96, 512)
}

/// What one stream reserves, in bytes: it must not be full before the disk is.
fn stream_bytes() -> u64 {
    in_form(8, 64) * 1024 * 1024
}

#[tokio::test]
async fn of_a_server_of_its_own() {
    let Some(disk) = SmallDisk::mount(nats_disk()) else {
        return;
    };
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database)
        .set("nats.data_dir", disk.path().display())
        .set("stream.max_bytes", stream_bytes())
        .start()
        .await;
    let what = "disk full under nats-server (managed NATS on a small tmpfs, SQLite)";
    let mut trial = Trial::begin(what, &service, &database).await;
    for _ in 0..in_form(1, 3) {
        trial.goes_on().await;
        disk.fill();
        until_unready(&service).await;
        stay_full().await;
        let fault = Fault::now();
        disk.make_room();
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

#[tokio::test]
async fn of_a_server_of_somebody_elses() {
    let Some(disk) = SmallDisk::mount(nats_disk()) else {
        return a_full_journal().await;
    };
    let database = TestDatabase::postgres().await;
    let mut nats = NatsServer::start_in(disk.path()).await;
    let setup = Setup::external(&nats, &database).set("stream.max_bytes", stream_bytes());
    let service = setup.start().await;
    let what = "disk full under nats-server (external NATS on a small tmpfs, PostgreSQL)";
    let mut trial = Trial::begin(what, &service, &database).await;
    for _ in 0..in_form(1, 3) {
        trial.goes_on().await;
        disk.fill();
        until_unready(&service).await;
        stay_full().await;
        disk.make_room();
        let fault = Fault::now();
        // It does not find out by itself that there is room again.
        nats.stop().await;
        nats.start_again().await;
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

/// Where no file system can be mounted: the journal may not grow any more, until an operator allows it to.
async fn a_full_journal() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database).start().await;
    let what = "journal full by its max_bytes (external NATS, PostgreSQL)";
    let mut trial = Trial::begin(what, &service, &database).await;
    let streams = service.streams().await;
    let roomy = streams.config(DELIVERIES).await;
    for _ in 0..in_form(1, 3) {
        trial.goes_on().await;
        let full = Config {
            max_bytes: 1,
            ..roomy.clone()
        };
        streams.js.update_stream(&full).await.expect("it is full");
        until_unready(&service).await;
        stay_full().await;
        let fault = Fault::now();
        streams.js.update_stream(&roomy).await.expect("it has room");
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

#[tokio::test]
async fn of_sqlite() {
    let Some(disk) = SmallDisk::mount(DATABASE_DISK) else {
        return;
    };
    let database = TestDatabase::sqlite_in(disk.path());
    let service = Setup::managed(&database).start().await;
    let what = "disk full under SQLite (small tmpfs, managed NATS)";
    let trial = Trial::begin(what, &service, &database).await;
    fills_up(trial, &service, &disk).await;
}

/// The tables' disk: one that is full under the write-ahead log ends the server, as if it were killed.
#[tokio::test]
async fn of_postgres() {
    let Some(disk) = SmallDisk::mount(DATABASE_DISK) else {
        return;
    };
    let server = PostgresServer::start().await;
    let user = server.user().expect("root runs it as somebody else");
    let directory = disk.directory_of(user.id, user.group);
    let tablespace = format!("CREATE TABLESPACE small LOCATION '{}'", directory.display());
    run(&server.url(), &tablespace).await.expect("a tablespace");
    let database = TestDatabase::on(&server, "TABLESPACE small").await;
    let service = Setup::managed(&database).start().await;
    let what = "disk full under PostgreSQL's tables (small tmpfs, managed NATS)";
    let trial = Trial::begin(what, &service, &database).await;
    fills_up(trial, &service, &disk).await;
}

async fn fills_up(mut trial: Trial<'_>, service: &Service, disk: &SmallDisk) {
    for _ in 0..in_form(1, 3) {
        trial.goes_on().await;
        disk.fill();
        until_a_handler_waits(service).await;
        stay_full().await;
        let fault = Fault::now();
        disk.make_room();
        trial.recovers(fault).await;
    }
    let refused = service.metrics().await.deliveries("unavailable");
    assert_eq!(refused, 0, "a full database keeps nobody from delivering");
    trial.ends(service).await;
}

async fn stay_full() {
    sleep(in_form(Duration::from_secs(2), Duration::from_secs(10))).await;
}

async fn until_unready(service: &Service) {
    eventually("nothing can be made durable", async || {
        match service.readiness().await {
            (503, _) => Ok(()),
            (_, readiness) => Err(readiness.to_string()),
        }
    })
    .await;
}

async fn until_a_handler_waits(service: &Service) {
    eventually("nothing can be stored", async || {
        let (status, readiness) = service.readiness().await;
        assert_eq!(status, 200, "deliveries are taken: {readiness}");
        let degraded = readiness["degraded"].as_object();
        match degraded.map(serde_json::Map::len) {
            Some(1..) => Ok(()),
            _ => Err(readiness.to_string()),
        }
    })
    .await;
}
