//! One server of a cluster is killed: the one that leads the journal.

use igstream::stream::names::DELIVERIES;

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{
    cluster::NatsCluster, nats::Streams, postgres::TestDatabase, proxy::Proxy, setup::Setup,
};

#[tokio::test]
async fn the_leader_of_the_journal_is_killed() {
    let database = TestDatabase::postgres().await;
    let mut cluster = NatsCluster::start().await;
    let setup = || Setup::external_at(&cluster.urls(), &database).set("stream.replicas", 3);
    let one = setup().start().await;
    let other = setup().start().await;
    let balancer = Proxy::before_any_of(&[one.webhook(), other.webhook()]).await;
    balancer.open();
    let what = "kill -9 of the journal's leader (3 NATS servers, 2 igstream, PostgreSQL)";
    let mut trial = Trial::begin_at(balancer.url(), what, &one, &database).await;
    let streams = Streams::connect(&cluster.urls()).await;
    for _ in 0..in_form(1, 3) {
        trial.goes_on().await;
        let leader = cluster.leader_of(DELIVERIES, &streams).await;
        let fault = Fault::now();
        leader.kill().await;
        trial.recovers(fault).await;
        leader.start_again().await;
    }
    trial.ends(&one).await;
}
