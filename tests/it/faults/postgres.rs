//! PostgreSQL is killed, or away for a while.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{
    postgres::TestDatabase, postgres_server::PostgresServer, service::Service, setup::Setup,
};

#[tokio::test]
async fn killed() {
    let mut server = PostgresServer::start().await;
    let database = TestDatabase::on(&server, "").await;
    let service = start(&database).await;
    let what = "kill -9 of PostgreSQL (managed NATS)";
    let mut trial = Trial::begin(what, &service, &database).await;
    for _ in 0..in_form(2, 10) {
        trial.goes_on().await;
        let fault = Fault::now();
        server.kill().await;
        server.start_again().await;
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}

#[tokio::test]
async fn away() {
    let mut server = PostgresServer::start().await;
    let database = TestDatabase::on(&server, "").await;
    let service = start(&database).await;
    let what = "PostgreSQL stopped for a minute (managed NATS)";
    let mut trial = Trial::begin(what, &service, &database).await;
    trial.goes_on().await;
    server.stop().await;
    sleep(in_form(Duration::from_secs(4), Duration::from_mins(1))).await;
    let fault = Fault::now();
    server.start_again().await;
    trial.recovers(fault).await;
    let refused = service.metrics().await.deliveries("unavailable");
    assert_eq!(
        refused, 0,
        "a database that is away keeps nobody from delivering"
    );
    trial.ends(&service).await;
}

async fn start(database: &TestDatabase) -> Service {
    let setup = Setup::managed(database).set("database.acquire_timeout", "1s");
    setup.start().await
}
