//! Whoever fails is started again, and nobody else notices; whoever is asked to stop finishes what it has.

use entity::{comment, mention};
use igstream::stream::names::{DEAD_LETTERS, STORED};
use rustix::process::Signal;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde_json::json;

use crate::support::{
    eventually::{eventually, eventually_true},
    nats::NatsServer,
    payloads::{ACCOUNT, changes, comment, one_comment, one_mention},
    postgres::TestDatabase,
    service::{STOPS_WITHIN, Service, signal_process},
    setup::Setup,
};

const RESTARTS: &str = "instagram_actor_restarts_total";

#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn a_handler_that_panics_touches_no_other() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).env("IGSTREAM_FAULT", "panic:comment:4");
    let service = setup.start().await;
    let both = [comment("first"), comment("second")];
    assert_eq!(
        service
            .post(&changes(ACCOUNT, &both).to_string())
            .await
            .status,
        200
    );

    eventually(
        "/readyz names the handler that is started again",
        async || {
            let (status, readiness) = service.readiness().await;
            assert_eq!(
                status, 200,
                "deliveries are taken all the same: {readiness}"
            );
            let handler = &readiness["degraded"]["comment"];
            if handler["state"] == "restarting" && handler["since"].is_string() {
                Ok(())
            } else {
                Err(readiness.to_string())
            }
        },
    )
    .await;
    service.deliver(&one_mention("meanwhile")).await;
    let database = service.database().await;
    eventually_true("another type is stored meanwhile", async || {
        mention::Entity::find().count(&database).await.unwrap() == 1
    })
    .await;

    let streams = service.streams().await;
    streams.drained().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 2);
    assert_eq!(streams.count(STORED).await, 3);
    let metrics = service.metrics().await;
    assert_eq!(metrics.count(RESTARTS, &[("actor", "comment")]), 4);
    assert_eq!(
        metrics.count(RESTARTS, &[]),
        4,
        "no other actor was started again"
    );
    let (_, readiness) = service.readiness().await;
    assert_eq!(readiness["actors"]["comment"]["restarts"], 4, "{readiness}");
    assert_eq!(readiness["degraded"], json!({}), "{readiness}");
}

/// Whatever it is that it does to its handler, it ends dead, and the others do not.
#[tokio::test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "builds for release have no fault point"
)]
async fn an_event_over_which_its_handler_always_panics_ends_dead() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).env("IGSTREAM_FAULT", "panic:comment:on:poison");
    let service = setup.start().await;
    let comments = [comment("first"), comment("poison"), comment("third")];
    service
        .deliver(&changes(ACCOUNT, &comments).to_string())
        .await;

    let streams = service.streams().await;
    streams.drained().await;
    let database = service.database().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 2);
    assert_eq!(streams.count(STORED).await, 2);
    let dead = streams.messages(DEAD_LETTERS).await;
    assert_eq!(dead.len(), 1);
    assert!(dead[0].text("event_id").contains("poison"));
    assert!(
        dead[0]
            .text("error")
            .contains("ended while it was processed")
    );
    let metrics = service.metrics().await;
    assert_eq!(
        metrics.count(
            "instagram_webhook_dead_letters_total",
            &[("event_type", "comment")]
        ),
        1
    );
    service.deliver(&one_comment("later")).await;
    streams.drained().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 3);
}

#[tokio::test]
async fn its_nats_server_is_started_again_when_it_dies() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let first = service.nats_process().expect("a nats-server");
    for number in 0..30 {
        if number == 10 {
            signal_process(first, Signal::KILL);
        }
        service
            .deliver(&one_comment(&format!("comment-{number}")))
            .await;
    }
    let second = service.nats_process().expect("a nats-server");
    assert_ne!(first, second);
    let metrics = service.metrics().await;
    assert_eq!(metrics.count(RESTARTS, &[("actor", "nats-server")]), 1);

    service.streams().await.drained().await;
    let database = service.database().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 30);
    eventually_true("it is ready", async || service.readiness().await.0 == 200).await;
}

#[tokio::test]
async fn the_nats_server_that_a_killed_one_left_is_taken_over() {
    let database = TestDatabase::sqlite().await;
    let mut service = Setup::managed(&database).start().await;
    service.deliver(&one_comment("before")).await;
    service.streams().await.drained().await;
    let orphan = service.nats_process().expect("a nats-server");
    service.kill().await;
    assert_eq!(service.nats_process(), Some(orphan), "it lives on");

    service.start_again().await;
    assert_eq!(service.nats_process(), Some(orphan), "it is not disturbed");
    service.deliver(&one_comment("after")).await;

    // It is kept like one that was started.
    signal_process(orphan, Signal::KILL);
    service.deliver(&one_comment("later")).await;
    let second = service.nats_process().expect("a nats-server");
    assert_ne!(second, orphan);
    service.streams().await.drained().await;
    let database = service.database().await;
    assert_eq!(comment::Entity::find().count(&database).await.unwrap(), 3);

    assert_eq!(service.stop().await.0, Some(0), "{}", service.log());
    assert_eq!(service.nats_process(), None, "a stop leaves nothing behind");
}

#[tokio::test]
async fn what_somebody_else_uses_is_named() {
    let database = TestDatabase::sqlite().await;
    let other = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;

    let directory = service.setting("nats.data_dir");
    let (code, said) = Setup::managed(&other)
        .set("nats.data_dir", directory)
        .gives_up()
        .await;
    assert_eq!(code, Some(1), "{said}");
    for part in [
        &service.process_id().to_string(),
        "nats.data_dir",
        directory,
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }

    for key in ["server.bind", "metrics.bind", "nats.listen"] {
        let address = service.setting(key);
        let (code, said) = Setup::managed(&other).set(key, address).gives_up().await;
        assert_eq!(code, Some(1), "{said}");
        for part in [key, address] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }
    is_undisturbed(&service).await;
}

async fn is_undisturbed(service: &Service) {
    assert_eq!(service.post(&one_comment("still here")).await.status, 200);
    service.streams().await.drained().await;
}

#[tokio::test]
async fn it_stops_while_nats_is_away() {
    let database = TestDatabase::sqlite().await;
    let mut nats = NatsServer::start().await;
    let mut service = Setup::external(&nats, &database).start().await;
    service.deliver(&one_comment("before")).await;
    service.streams().await.drained().await;
    nats.kill().await;
    eventually_true("it sees that NATS is away", async || {
        service.readiness().await.0 == 503
    })
    .await;
    let (code, took) = service.stop().await;
    assert_eq!(code, Some(0), "{}", service.log());
    assert!(took < STOPS_WITHIN, "{took:?}");
}

#[tokio::test]
async fn a_nats_server_that_hangs_makes_the_service_unready_until_it_goes_on() {
    let database = TestDatabase::sqlite().await;
    let setup = Setup::managed(&database).set("server.accept_timeout", "1s");
    let service = setup.start().await;
    let server = service.nats_process().expect("a nats-server");

    signal_process(server, Signal::STOP);
    let answer = service.post(&one_comment("while it hangs")).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    eventually("/readyz says no", async || {
        let (status, readiness) = service.readiness().await;
        let is_named = readiness["degraded"]["receiver"]["state"] == "paused";
        if status == 503 && is_named {
            Ok(())
        } else {
            Err(readiness.to_string())
        }
    })
    .await;

    signal_process(server, Signal::CONT);
    eventually("/readyz says yes without any delivery", async || {
        let (status, readiness) = service.readiness().await;
        if status == 200 {
            Ok(())
        } else {
            Err(readiness.to_string())
        }
    })
    .await;
    service.deliver(&one_comment("afterwards")).await;
}
