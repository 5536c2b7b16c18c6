//! Connections are cut in the middle of whatever they are used for, again and again.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    in_form,
    trial::{Fault, Trial},
};
use crate::support::{
    nats::{NatsServer, Streams},
    postgres::TestDatabase,
    proxy::Proxy,
    setup::Setup,
};

#[tokio::test]
async fn to_postgres() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(&database).await;
    proxy.open();
    let setup = Setup::managed(&database)
        .set("database.url", proxy.url())
        .set("database.acquire_timeout", "1s");
    let service = setup.start().await;
    let what = "connections to PostgreSQL cut (managed NATS)";
    let mut trial = Trial::begin(what, &service, &database).await;
    are_cut(&proxy, &mut trial).await;
    trial.ends(&service).await;
}

#[tokio::test]
async fn to_nats() {
    let database = TestDatabase::postgres().await;
    let nats = NatsServer::start().await;
    let proxy = Proxy::before_any_of(&[nats.url()]).await;
    proxy.open();
    let service = Setup::external_at(proxy.url(), &database).start().await;
    let what = "connections to NATS cut (external NATS, PostgreSQL)";
    let mut trial = Trial::begin(what, &service, &database).await;
    are_cut(&proxy, &mut trial).await;
    let streams = Streams::connect(&nats.url()).await;
    trial.ends_with(&service, &streams).await;
}

async fn are_cut(proxy: &Proxy, trial: &mut Trial<'_>) {
    let (shortest, longest) = (Duration::from_millis(50), Duration::from_millis(1500));
    for _ in 0..in_form(6, 40) {
        let pause = trial.moments.between(shortest, longest);
        sleep(pause).await;
        proxy.cut();
        proxy.open();
    }
    trial.recovers(Fault::now()).await;
}
