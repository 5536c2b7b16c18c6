//! igstream is killed.

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{nats::NatsServer, postgres::TestDatabase, setup::Setup};

#[tokio::test]
async fn killed_with_a_server_of_its_own_and_sqlite() {
    let database = TestDatabase::sqlite().await;
    let what = "kill -9 of igstream (managed NATS, SQLite)";
    is_killed(what, Setup::managed(&database), &database).await;
}

#[tokio::test]
async fn killed_with_a_server_of_somebody_elses_and_postgres() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let what = "kill -9 of igstream (external NATS, PostgreSQL)";
    is_killed(what, Setup::external(&nats, &database), &database).await;
}

async fn is_killed(what: &'static str, setup: Setup, database: &TestDatabase) {
    let mut service = setup.start().await;
    let mut trial = Trial::begin(what, &service, database).await;
    for _ in 0..in_form(2, 10) {
        trial.goes_on().await;
        let fault = Fault::now();
        service.kill().await;
        service.start_again().await;
        trial.recovers(fault).await;
    }
    trial.ends(&service).await;
}
