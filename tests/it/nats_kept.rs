//! The nats-server of igstream's own is started again when it hangs, when its disk was full, and until it comes up.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use entity::comment;
use rustix::process::Signal;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::Value;

use crate::support::{
    eventually::{eventually, eventually_true},
    nats::server_binary,
    payloads::one_comment,
    postgres::TestDatabase,
    service::{Service, signal_process},
    setup::Setup,
    small_disk::SmallDisk,
};

const SERVER: &str = "nats-server";

async fn restarts(service: &Service) -> u64 {
    let metrics = service.metrics().await;
    metrics.count("instagram_actor_restarts_total", &[("actor", SERVER)])
}

async fn comments(service: &Service) -> u64 {
    let database = service.database().await;
    comment::Entity::find().count(&database).await.unwrap()
}

/// Waits until `/readyz` says no and what it says of the server contains `told`.
async fn until_unready(service: &Service, told: &str) -> Value {
    eventually("/readyz says no, and why", async || {
        let (status, readiness) = service.readiness().await;
        let reason = &readiness["degraded"][SERVER]["error"];
        if status == 503 && reason.to_string().contains(told) {
            Ok(readiness)
        } else {
            Err(readiness.to_string())
        }
    })
    .await
}

async fn until_ready(service: &Service) {
    eventually("/readyz says yes", async || {
        let (status, readiness) = service.readiness().await;
        if status == 200 {
            Ok(())
        } else {
            Err(format!("{readiness}\n{}", service.log()))
        }
    })
    .await;
}

#[tokio::test]
async fn one_that_hangs_is_killed_and_started_again() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("before")).await;
    // Also where it was taken over from one that was killed.
    service.kill().await;
    service.start_again().await;
    let first = service.nats_process().expect("a nats-server");

    signal_process(first, Signal::STOP);
    until_unready(&service, "does not answer").await;
    // Instagram is told to come again, and does.
    service.deliver(&one_comment("meanwhile")).await;
    let second = service.nats_process().expect("a nats-server");
    assert_ne!(first, second);
    until_ready(&service).await;
    assert_eq!(restarts(&service).await, 1);
    let log = service.log();
    assert!(log.contains("it is killed and started again"), "{log}");

    service.streams().await.drained().await;
    assert_eq!(comments(&service).await, 2);
}

#[tokio::test]
async fn one_that_is_held_up_for_ten_seconds_is_left_alone() {
    const HELD_UP: Duration = Duration::from_secs(10);
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let server = service.nats_process().expect("a nats-server");

    let since = Instant::now();
    signal_process(server, Signal::STOP);
    until_unready(&service, "does not answer").await;
    tokio::time::sleep(HELD_UP.saturating_sub(since.elapsed())).await;
    signal_process(server, Signal::CONT);
    until_ready(&service).await;
    service.deliver(&one_comment("afterwards")).await;
    assert_eq!(service.nats_process(), Some(server));
    assert_eq!(restarts(&service).await, 0);
}

#[tokio::test]
async fn one_whose_disk_was_full_is_started_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(160) else {
        return;
    };
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database)
        .set("nats.data_dir", disk.path().display())
        .set("stream.max_bytes", 16 * 1024 * 1024)
        .set("server.accept_timeout", "2s")
        .start()
        .await;
    for number in 0..10 {
        service
            .deliver(&one_comment(&format!("before-{number}")))
            .await;
    }
    let first = service.nats_process().expect("a nats-server");

    disk.fill();
    let asked = Instant::now();
    // A short one may find room in what a file has already.
    let long = one_comment("meanwhile").replace("text of", &"x".repeat(100_000));
    let answer = service.post(&long).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
    let readiness = until_unready(&service, "is full").await;
    let reasons = readiness["reasons"].to_string();
    assert!(reasons.contains("can store nothing"), "{readiness}");
    assert_eq!(
        service.nats_process(),
        Some(first),
        "subscribers still read"
    );

    disk.make_room();
    until_ready(&service).await;
    assert_ne!(service.nats_process(), Some(first));
    assert_eq!(restarts(&service).await, 1);
    service.deliver(&long).await;
    service.streams().await.drained().await;
    assert_eq!(comments(&service).await, 11, "nothing is lost");

    // Where it ends meanwhile, it is not started before there is room.
    disk.fill();
    signal_process(service.nats_process().expect("a nats-server"), Signal::KILL);
    until_unready(&service, "is full").await;
    assert_eq!(service.nats_process(), None);
    disk.make_room();
    until_ready(&service).await;
    service.deliver(&one_comment("afterwards")).await;
    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());
}

#[tokio::test]
async fn one_that_does_not_come_up_is_tried_with_growing_pauses() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).not_started();
    let (binary, broken) = (service.file("nats-server"), service.file("broken"));
    let real = server_binary();
    let script = format!(
        "#!/bin/sh\n[ \"$1\" != --version ] && [ -e {} ] && exit 3\nexec {} \"$@\"\n",
        broken.display(),
        real.display()
    );
    fs::write(&binary, script).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    service.set("nats.server_binary", binary.display());
    service.start_again().await;
    service.deliver(&one_comment("before")).await;

    fs::write(&broken, "").unwrap();
    signal_process(service.nats_process().expect("a nats-server"), Signal::KILL);
    let since = Instant::now();
    until_unready(&service, "exit status: 3").await;
    eventually_true("it is tried again and again", async || {
        restarts(&service).await >= 6
    })
    .await;
    // 100, 200, 400, 800 and 1600 ms lie between six failures.
    assert!(
        since.elapsed() > Duration::from_millis(3100),
        "{:?}",
        since.elapsed()
    );

    fs::remove_file(&broken).unwrap();
    until_ready(&service).await;
    service.deliver(&one_comment("afterwards")).await;
    service.streams().await.drained().await;
    assert_eq!(comments(&service).await, 2);
    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());
}
