//! Each part of the service runs by itself.

use entity::comment;
use igstream::stream::names::{DELIVERIES, EVENTS};
use sea_orm::EntityTrait;

use crate::support::{
    nats::NatsServer, payloads::one_comment, postgres::TestDatabase, setup::Setup,
};

#[tokio::test]
async fn receiver_and_handlers_as_two_processes() {
    let database = TestDatabase::sqlite().await;
    let nats = NatsServer::start().await;
    let receiver = Setup::external(&nats, &database)
        .roles("receiver")
        .start()
        .await;
    let streams = receiver.streams().await;
    assert_eq!(receiver.post(&one_comment("early")).await.status, 200);
    assert_eq!(streams.count(DELIVERIES).await, 1);
    assert_eq!(streams.count(EVENTS).await, 0, "nobody publishes yet");

    let setup = Setup::external(&nats, &database).roles("publisher,handlers");
    let mut behind = setup.start().await;
    streams.drained().await;
    let db = behind.database().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 1);
    let refused = behind.post(&one_comment("to the wrong one")).await;
    assert_eq!(refused.status, 404, "it takes no deliveries: {refused:?}");

    // The receiver goes on while what is behind it is started again.
    assert_eq!(behind.stop().await.0, Some(0));
    assert_eq!(receiver.post(&one_comment("meanwhile")).await.status, 200);
    behind.start_again().await;
    streams.drained().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 2);
}
