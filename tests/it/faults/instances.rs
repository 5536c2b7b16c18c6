//! One of several processes is killed, and the others go on.

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{nats::NatsServer, postgres::TestDatabase, proxy::Proxy, setup::Setup};

#[tokio::test]
async fn one_of_two() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let steady = Setup::external(&nats, &database).start().await;
    let mut killed = Setup::external(&nats, &database).start().await;
    let balancer = Proxy::before_any_of(&[steady.webhook(), killed.webhook()]).await;
    balancer.open();
    let what = "kill -9 of one of two igstream (external NATS, PostgreSQL)";
    let mut trial = Trial::begin_at(balancer.url(), what, &steady, &database).await;
    for _ in 0..in_form(2, 10) {
        trial.goes_on().await;
        let fault = Fault::now();
        killed.kill().await;
        trial.recovers(fault).await;
        killed.start_again().await;
    }
    trial.ends(&steady).await;
}

#[tokio::test]
async fn each_role() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let mut roles = Vec::new();
    for role in ["receiver", "publisher", "handlers"] {
        let setup = Setup::external(&nats, &database).roles(role);
        roles.push(setup.start().await);
    }
    let what = "kill -9 of receiver, publisher, handlers apart (external NATS, PostgreSQL)";
    let mut trial = Trial::begin(what, &roles[0], &database).await;
    for _ in 0..in_form(1, 4) {
        for role in &mut roles {
            trial.goes_on().await;
            let fault = Fault::now();
            role.kill().await;
            role.start_again().await;
            trial.recovers(fault).await;
        }
    }
    trial.ends(&roles[2]).await;
}
