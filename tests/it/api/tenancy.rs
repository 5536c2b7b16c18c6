//! What a token may not see is as if it did not exist.

use serde_json::json;
use uuid::Uuid;

use super::client::{Client, OTHER, account, deliver_comment, problem, setup, token};
use crate::support::{payloads::ACCOUNT, postgres::TestDatabase};

#[tokio::test]
async fn anothers_account_answers_as_one_that_does_not_exist() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    deliver_comment(&service, ACCOUNT, "mine").await;
    deliver_comment(&service, OTHER, "theirs").await;
    service.streams().await.drained().await;
    let (mine, theirs) = (
        account(&service, ACCOUNT).await,
        account(&service, OTHER).await,
    );
    let all = Client::of(&service)
        .json(&format!("/webhooks/events/{theirs}"))
        .await;
    let receipt = all["items"][0]["receipt_id"].as_str().unwrap().to_owned();

    let client = Client::with(&service, token(json!({ "accounts": [mine] })));
    let own = client.json(&format!("/webhooks/events/{mine}")).await;
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    let nobody = Uuid::from_u128(1);
    for below in ["", "/{}", "?limit=1"] {
        let path = |account: Uuid| {
            format!(
                "/webhooks/events/{account}{}",
                below.replace("{}", &receipt)
            )
        };
        let hidden = client.get(&path(theirs)).await;
        let missing = client.get(&path(nobody)).await;
        problem(&hidden, 404, "not-found");
        assert_eq!(hidden.body, missing.body, "{below}");
        let headers = |answer: &crate::support::http::Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("x-request-id");
            headers.remove("date");
            headers
        };
        assert_eq!(headers(&hidden), headers(&missing), "{below}");
    }
    // By way of one's own account neither.
    let through = client
        .get(&format!("/webhooks/events/{mine}/{receipt}"))
        .await;
    problem(&through, 404, "not-found");

    let of_none = Client::with(&service, token(json!({ "accounts": [] })));
    problem(
        &of_none.get(&format!("/webhooks/events/{mine}")).await,
        404,
        "not-found",
    );
    let unsaid = Client::with(&service, token(json!({ "accounts": "absent" })));
    problem(
        &unsaid.get(&format!("/webhooks/events/{mine}")).await,
        404,
        "not-found",
    );
}
