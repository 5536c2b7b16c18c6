//! A database that is away: 503, and back by itself.

use super::client::{Client, deliver_comment, problem, setup};
use crate::support::{
    eventually::eventually, payloads::ACCOUNT, postgres::TestDatabase, proxy::Proxy,
};

#[tokio::test]
async fn the_answer_is_503_until_it_is_back() {
    let database = TestDatabase::postgres().await;
    let proxy = Proxy::before(&database).await;
    let service = setup(&database)
        .await
        .set("database.url", proxy.url())
        .set("database.acquire_timeout", "1s")
        .start()
        .await;
    let client = Client::of(&service);
    let anybody = format!("/webhooks/events/{}", uuid::Uuid::from_u128(1));
    let answer = client.get(&anybody).await;
    problem(&answer, 503, "unavailable");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    assert!(
        !answer.body.contains("sqlx") && !answer.body.contains("127.0.0.1"),
        "{answer:?}"
    );

    proxy.open();
    let found = async |path: &str, status: u16| {
        eventually("it answers", async || {
            let answer = client.get(path).await;
            if answer.status == status {
                Ok(())
            } else {
                Err(format!("{answer:?}"))
            }
        })
        .await;
    };
    found(&anybody, 404).await;
    deliver_comment(&service, ACCOUNT, "1").await;
    service.streams().await.drained().await;
    let db = database.connect().await;
    let id = {
        use sea_orm::EntityTrait;
        let accounts = entity::client_account::Entity::find()
            .all(&db)
            .await
            .unwrap();
        accounts[0].id
    };
    let events = format!("/webhooks/events/{id}");
    found(&events, 200).await;
    proxy.cut();
    found(&events, 503).await;
    problem(
        &Client::with(&service, String::new()).get(&events).await,
        401,
        "unauthorized",
    );
    proxy.open();
    found(&events, 200).await;
}
