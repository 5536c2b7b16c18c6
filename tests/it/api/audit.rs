//! The ledger over HTTP.

use entity::comment;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::json;
use uuid::Uuid;

use super::client::{Client, deliver_comment, problem, setup, token};
use crate::support::{payloads::ACCOUNT, postgres::TestDatabase};

#[tokio::test]
async fn it_says_whether_all_is_stored() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    for id in ["1", "2", "1"] {
        deliver_comment(&service, ACCOUNT, id).await;
    }
    service.streams().await.drained().await;
    let client = Client::of(&service);
    let ledger = client.json("/webhooks/audit").await;
    assert_eq!(ledger["balances"], true, "{ledger:#}");
    assert_eq!(
        (
            &ledger["total"]["receipts"],
            &ledger["total"]["rows"]["duplicate"]
        ),
        (&json!(3), &json!(1))
    );
    assert_eq!(
        client.json("/webhooks/audit?deep=true").await["deep"]["items"],
        3
    );

    let db = service.database().await;
    assert_eq!(comment::Entity::find().all(&db).await.unwrap().len(), 2);
    db.execute_unprepared("DELETE FROM instagram_webhook_events WHERE is_duplicate")
        .await
        .unwrap();
    let ledger = client.json("/webhooks/audit").await;
    assert_eq!(
        (&ledger["balances"], &ledger["total"]["missing"]),
        (&json!(false), &json!(1))
    );

    let of_one = Client::with(&service, token(json!({ "accounts": [Uuid::from_u128(1)] })));
    problem(&of_one.get("/webhooks/audit").await, 403, "forbidden");
    problem(
        &client.get("/webhooks/audit?depth=1").await,
        400,
        "invalid-request",
    );
}
