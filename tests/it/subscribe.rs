//! `igstream subscribe`: the app's own subscription, and its handshake with the service that runs.

use serde_json::json;

use crate::support::{
    graph::{Graph, error, ok},
    http::{SECRETS, VERIFY_TOKEN},
    postgres::TestDatabase,
    service::{Service, said},
    setup::Setup,
};

const APP: &str = "188559381496048";
const POST: &str = "POST /188559381496048/subscriptions";
const GET: &str = "GET /188559381496048/subscriptions";

fn setup(database: &TestDatabase, graph: &Graph) -> Setup {
    Setup::managed(database)
        .set("instagram.app_graph_url", graph.url())
        .set("instagram.graph_patience", "3s")
}

/// Its exit code and all that it said, in which there is no secret.
async fn subscribe(service: &Service, arguments: &[&str]) -> (Option<i32>, String) {
    let output = service.run(&[&["subscribe"], arguments].concat()).await;
    let said = said(&output);
    for secret in SECRETS.iter().chain([&VERIFY_TOKEN]) {
        assert!(!said.contains(secret), "{said}");
    }
    (output.status.code(), said)
}

fn assert_says(code: i32, parts: &[&str], answered: &(Option<i32>, String)) {
    let (found, said) = answered;
    assert_eq!(*found, Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[tokio::test]
async fn the_handshake_is_seen_through() {
    let (database, graph) = (TestDatabase::sqlite().await, Graph::start().await);
    graph.shake_hands();
    let service = setup(&database, &graph).start().await;
    let url = service.webhook();
    let arguments = ["--app-id", APP, "--callback-url", url.as_str()];
    let arguments = [&arguments[..], &["--fields", "comments,messages"]].concat();
    let answered = subscribe(&service, &arguments).await;
    let parts = [
        url.as_str(),
        "comments, messages",
        "handshake was answered",
        "active",
    ];
    assert_says(0, &parts, &answered);

    let asked = graph.asked_for(POST);
    assert_eq!(asked.len(), 1);
    assert_eq!(
        asked[0].authorization,
        format!("Bearer {APP}|{}", SECRETS[0])
    );
    assert!(!asked[0].uri.contains(VERIFY_TOKEN), "{asked:?}");
    let parameters = &asked[0].parameters;
    assert_eq!(parameters["object"], "instagram");
    assert_eq!(parameters["callback_url"], url);
    assert_eq!(parameters["verify_token"], VERIFY_TOKEN);
}

#[tokio::test]
async fn a_service_that_cannot_answer_the_handshake_is_said_so() {
    let (database, graph) = (TestDatabase::sqlite().await, Graph::start().await);
    graph.shake_hands();
    let mut service = setup(&database, &graph)
        .set("instagram.app_id", APP)
        .start()
        .await;
    let public = service.url("");
    service.set("server.public_url", public.trim_end_matches('/'));
    service.set("instagram.verify_token", "another-verify-token");
    // It runs with the first one still.
    let refused = subscribe(&service, &[]).await;
    let parts = [
        "2200",
        "Callback verification failed",
        "HTTP Status Code = 403",
        "instagram.verify_token",
    ];
    assert_says(1, &parts, &refused);
    assert!(!refused.1.contains("another-verify-token"), "{}", refused.1);

    let elsewhere = [
        "--callback-url",
        "http://127.0.0.1:9/api/instagram/webhooks",
    ];
    let refused = subscribe(&service, &elsewhere).await;
    assert_says(1, &["cannot be reached", "http://127.0.0.1:9/"], &refused);
}

#[tokio::test]
async fn the_app_secret_that_is_the_apps_is_found() {
    let (database, graph) = (TestDatabase::sqlite().await, Graph::start().await);
    let service = setup(&database, &graph)
        .set("instagram.app_id", APP)
        .not_started();
    let url = "https://hooks.example.com/api/instagram/webhooks";
    let message = format!("Invalid OAuth access token signature {}", SECRETS[0]);
    graph.on(
        POST,
        [error(400, 190, &message), ok(json!({ "success": true }))],
    );
    let fields = json!([{ "name": "comments", "version": "v25.0" }]);
    let subscription = |callback_url: &str, active| {
        let of_instagram = json!({ "object": "instagram", "callback_url": callback_url, "active": active, "fields": fields });
        ok(json!({ "data": [{ "object": "page" }, of_instagram] }))
    };
    graph.on(GET, [subscription(url, true)]);
    let arguments = ["--callback-url", url, "--fields", "comments"];
    assert_says(0, &["active"], &subscribe(&service, &arguments).await);
    let tokens: Vec<String> = graph
        .asked()
        .into_iter()
        .map(|asked| asked.authorization)
        .collect();
    let token = |secret| format!("Bearer {APP}|{secret}");
    assert_eq!(
        tokens,
        [token(SECRETS[0]), token(SECRETS[1]), token(SECRETS[1])]
    );

    // What Meta has is not what was asked for.
    for (reply, parts) in [
        (ok(json!({ "data": [] })), &["no subscription"][..]),
        (
            subscription(url, false),
            &["handshake was not answered", "not active"],
        ),
        (
            subscription("https://other.example.com/", true),
            &["https://other.example.com/", url],
        ),
    ] {
        graph.on(GET, [reply]);
        assert_says(1, parts, &subscribe(&service, &arguments).await);
    }
    graph.on(GET, [subscription(url, true)]);
    let more = ["--callback-url", url, "--fields", "comments,messages"];
    assert_says(
        1,
        &["does not tell of messages"],
        &subscribe(&service, &more).await,
    );
    // Meta repeats what it was given last.
    let message = format!("Invalid OAuth access token signature {}", SECRETS[1]);
    graph.on(POST, [error(400, 190, &message)]);
    let parts = [
        "signature [secret]",
        "instagram.app_id",
        "instagram.app_secrets",
    ];
    assert_says(1, &parts, &subscribe(&service, &arguments).await);
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_named() {
    let (database, graph) = (TestDatabase::sqlite().await, Graph::start().await);
    let service = setup(&database, &graph)
        .set("instagram.app_secrets", "")
        .not_started();
    let missing = subscribe(&service, &["--callback-url", "https://hooks.example.com/"]).await;
    assert_says(2, &["instagram.app_id", "instagram.app_secrets"], &missing);
    let service = setup(&database, &graph).not_started();
    for (arguments, named) in [
        (&["--app-id", APP][..], "server.public_url"),
        (&["--app-id", "my app"], "--app-id"),
        (
            &["--app-id", APP, "--callback-url", "hooks"],
            "--callback-url",
        ),
        (&["--app-id", APP, "--fields", "Comments"], "--fields"),
    ] {
        assert_says(2, &[named], &subscribe(&service, arguments).await);
    }
    assert!(graph.asked().is_empty());
}
