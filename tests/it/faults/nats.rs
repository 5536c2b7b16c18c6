//! nats-server is killed, or hangs.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::time::sleep;

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{
    nats::NatsServer,
    payloads::{ACCOUNT, one_comment},
    postgres::TestDatabase,
    service::signal_process,
    setup::Setup,
};

#[tokio::test]
async fn killed_and_started_again_by_igstream() {
    let database = TestDatabase::sqlite().await;
    let service = Setup::managed(&database).start().await;
    let what = "kill -9 of nats-server (managed NATS, SQLite)";
    let mut trial = Trial::begin(what, &service, &database).await;
    for _ in 0..in_form(2, 10) {
        trial.goes_on().await;
        let fault = Fault::now();
        signal_process(service.nats_process().expect("it runs"), Signal::KILL);
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

#[tokio::test]
async fn killed_and_started_again_by_somebody_else() {
    let database = TestDatabase::postgres().await;
    let mut nats = NatsServer::start().await;
    let service = Setup::external(&nats, &database).start().await;
    let what = "kill -9 of nats-server (external NATS, PostgreSQL)";
    let mut trial = Trial::begin(what, &service, &database).await;
    for _ in 0..in_form(2, 10) {
        trial.goes_on().await;
        let fault = Fault::now();
        nats.kill().await;
        nats.start_again().await;
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

#[tokio::test]
async fn frozen() {
    const ACCEPT_TIMEOUT: Duration = Duration::from_secs(2);
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let setup = Setup::external(&nats, &database).set("server.accept_timeout", "2s");
    let service = setup.start().await;
    let what = "nats-server frozen by SIGSTOP (external NATS, PostgreSQL)";
    let mut trial = Trial::begin(what, &service, &database).await;
    trial.goes_on().await;

    let frozen = Instant::now();
    let frozen_for = in_form(Duration::from_secs(3), Duration::from_secs(10));
    signal_process(nats.process_id(), Signal::STOP);
    // Until it is seen that NATS hangs, what is on its way there waits the longest.
    let mut refused = Vec::new();
    while frozen.elapsed() + ACCEPT_TIMEOUT < frozen_for {
        let id = format!("frozen-{}", refused.len());
        let asked = Instant::now();
        let answer = service.post(&one_comment(&id)).await;
        let took = asked.elapsed();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(took < ACCEPT_TIMEOUT + Duration::from_secs(1), "{took:?}");
        refused.push(id);
    }
    sleep(frozen_for.saturating_sub(frozen.elapsed())).await;
    let fault = Fault::now();
    signal_process(nats.process_id(), Signal::CONT);
    trial.recovers(fault).await;
    for id in refused {
        service.deliver(&one_comment(&id)).await;
        trial.delivered(ACCOUNT, format!("comment_{id}_4711"));
    }
    trial.ends(&service).await;
}
