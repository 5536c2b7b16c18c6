//! The OpenAPI document says what is so.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{Client, account, deliver_comment, problem, setup, token};
use crate::support::{
    http::{self, Answer},
    payloads::ACCOUNT,
    postgres::TestDatabase,
    service::said,
};

/// Each operation: method, path below the base, and what the document says.
fn operations(document: &Value) -> Vec<(Method, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().expect("operations").clone();
        let path = path
            .strip_prefix("/api/instagram")
            .expect("below the base")
            .to_owned();
        operations.into_iter().map(move |(method, operation)| {
            let method = method.to_uppercase().parse().expect("a method");
            (method, path.clone(), operation)
        })
    };
    paths.iter().flat_map(of_path).collect()
}

/// The path with something in the place of each parameter.
fn filled(path: &str, account: Uuid) -> String {
    let mut filled = path.replace("{accountId}", &account.to_string());
    while let (Some(from), Some(to)) = (filled.find('{'), filled.find('}')) {
        filled.replace_range(from..=to, &Uuid::from_u128(1).to_string());
    }
    filled
}

async fn send(client: &Client<'_>, method: &Method, path: &str) -> Answer {
    let request = client
        .request(method.clone(), path)
        .header("Content-Type", "application/json");
    http::send(request.body("{}")).await.unwrap()
}

#[tokio::test]
async fn it_is_served_and_printed_the_same() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let served = http::get(&service.url("/openapi.json")).await.unwrap();
    assert_eq!(
        (served.status, served.header("content-type")),
        (200, Some("application/json"))
    );
    let output = service.run(&["openapi"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, served.json());
    assert_eq!(printed["openapi"], "3.1.0");
    assert_eq!(printed["info"]["version"], env!("CARGO_PKG_VERSION"));
    let receiver = &printed["paths"]["/api/instagram/webhooks"];
    assert_eq!(*receiver, Value::Null, "Instagram's side is not in it");

    let page = http::get(&service.url("/docs/")).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'self'")
    );
    for file in [
        "swagger-ui-bundle.js",
        "swagger-ui.css",
        "swagger-initializer.js",
    ] {
        let answer = http::get(&service.url(&format!("/docs/{file}")))
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{file}");
        if file == "swagger-initializer.js" {
            assert!(answer.body.contains("/openapi.json"), "{}", answer.body);
            assert!(
                !answer.body.contains("https://"),
                "nothing from elsewhere: {}",
                answer.body
            );
        }
    }
}

/// A new endpoint is looked at here by itself.
#[tokio::test]
async fn no_operation_forgets_to_ask_who_calls() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let document = http::get(&service.url("/openapi.json"))
        .await
        .unwrap()
        .json();
    let (may_nothing, none) = (
        Client::with(&service, token(json!({ "scope": "" }))),
        Client::with(&service, String::new()),
    );
    deliver_comment(&service, ACCOUNT, "1").await;
    let account = account(&service, ACCOUNT).await;
    let operations = operations(&document);
    assert!(operations.len() >= 2);
    for (method, path, operation) in operations {
        let path = filled(&path, account);
        let ask = async |client: &Client<'_>| send(client, &method, &path).await;
        problem(&ask(&none).await, 401, "unauthorized");
        problem(&ask(&may_nothing).await, 403, "forbidden");
        let needed = if method == Method::GET {
            "webhooks:write"
        } else {
            "webhooks:read"
        };
        let other = Client::with(&service, token(json!({ "scope": needed })));
        problem(&ask(&other).await, 403, "forbidden");

        let responses = operation["responses"].as_object().unwrap();
        for status in ["401", "403", "429", "500", "503"] {
            let response = &responses[status];
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(
                *schema, "#/components/schemas/Problem",
                "{method} {path} {status}"
            );
        }
        let unknown = send(&Client::of(&service), &method, &format!("{path}?nothing=1")).await;
        let unknown = problem(&unknown, 400, "invalid-request");
        assert_eq!(unknown["errors"][0]["field"], "nothing", "{method} {path}");
        // What is named in a body can be missing too.
        let names_in_path = operation["parameters"].to_string().contains("\"path\"");
        assert!(
            !names_in_path || responses.contains_key("404"),
            "{method} {path}"
        );
        assert!(
            operation["security"][0]["token"].is_array(),
            "{method} {path}"
        );
        assert!(
            operation["operationId"].is_string() && operation["summary"].is_string(),
            "{method} {path}"
        );
        for response in responses.values() {
            assert!(
                response["headers"]["X-Request-Id"].is_object(),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_allowed_stands_in_it() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.not_started();
    let output = service.run(&["openapi"]).await;
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = &document["paths"]["/api/instagram/webhooks/events/{accountId}"]["get"];
    let parameter = |name: &str| {
        let parameters = list["parameters"].as_array().unwrap();
        parameters
            .iter()
            .find(|one| one["name"] == name)
            .unwrap_or_else(|| panic!("no {name}"))
            .clone()
    };
    let limit = &parameter("limit")["schema"];
    assert_eq!(
        (&limit["minimum"], &limit["maximum"], &limit["default"]),
        (&json!(1), &json!(500), &json!(50))
    );
    let types = parameter("type")["schema"]["enum"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(types, 10);
    assert_eq!(parameter("from")["schema"]["format"], "date-time");
    assert_eq!(parameter("accountId")["schema"]["format"], "uuid");
    assert_eq!(parameter("q")["schema"]["maxLength"], 512);
    assert_eq!(parameter("q")["required"], false);
    let page = &list["responses"]["200"]["content"]["application/json"]["schema"]["$ref"];
    let name = page.as_str().unwrap().rsplit('/').next().unwrap();
    let required = &document["components"]["schemas"][name]["required"];
    assert_eq!(*required, json!(["items", "next_cursor"]));
}
