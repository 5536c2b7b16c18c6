//! The Graph API, called: what is asked, what is tried again and when, and what its errors say.

use std::time::{Duration, Instant};

use igstream::{
    config::Secret,
    graph::{GraphClient, GraphError, GraphOptions, Kind},
};
use serde_json::json;

use crate::support::{
    graph::{Graph, Reply, VERSION, error, error_body, ok},
    http::client,
    payloads::ACCOUNT,
    ports::free_address,
};

const TOKEN: &str = "IGAAtoken1234567890ofanaccount";

fn client_of(url: String, patience: Duration) -> GraphClient {
    // Installs the provider of cryptography.
    let _ = client();
    GraphClient::new(GraphOptions {
        url,
        url_key: "instagram.graph_url",
        version: VERSION.to_owned(),
        call_timeout: Duration::from_secs(2),
        patience,
    })
}

fn patient(graph: &Graph) -> GraphClient {
    client_of(graph.url(), Duration::from_secs(20))
}

fn subscribed_apps(method: &str) -> String {
    format!("{method} /{ACCOUNT}/subscribed_apps")
}

async fn subscribe(client: &GraphClient) -> Result<(), GraphError> {
    let fields = ["comments", "messages"].map(str::to_owned);
    client
        .subscribe(ACCOUNT, &fields, &Secret::new(TOKEN))
        .await
}

#[tokio::test]
async fn an_account_is_subscribed_looked_at_and_unsubscribed() {
    let graph = Graph::start().await;
    let client = patient(&graph);
    let done = || [ok(json!({ "success": true }))];
    graph.on(&subscribed_apps("POST"), done());
    graph.on(&subscribed_apps("DELETE"), done());
    let apps = json!({ "data": [{ "subscribed_fields": ["comments", "messages"] }] });
    graph.on(&subscribed_apps("GET"), [ok(apps)]);
    graph.is_owner(ACCOUNT, "29");
    let token = Secret::new(TOKEN);

    subscribe(&client).await.unwrap();
    let fields = client.subscribed_fields(ACCOUNT, &token).await.unwrap();
    assert_eq!(fields, ["comments", "messages"]);
    client.unsubscribe(ACCOUNT, &token).await.unwrap();
    let profile = client.profile(&token).await.unwrap();
    assert_eq!(
        (profile.user_id.as_str(), profile.app_scoped_id.as_str()),
        (ACCOUNT, "29")
    );

    let asked = graph.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(
        asked[0].parameters["subscribed_fields"],
        "comments,messages"
    );
    assert_eq!(asked[3].parameters["fields"], "user_id,id,username");
    for one in asked {
        assert_eq!(one.authorization, format!("Bearer {TOKEN}"));
        assert!(!one.uri.contains(TOKEN), "{one:?}");
    }
}

#[tokio::test]
async fn what_meta_refuses_is_said_in_the_callers_words() {
    let graph = Graph::start().await;
    let client = patient(&graph);
    let expired = json!({ "error": {
        "message": "Error validating access token: Session has expired", "code": 190,
        "error_subcode": 463, "fbtrace_id": "AbCdEf",
    } });
    for (reply, kind, parts) in [
        (
            Reply::Json(400, expired),
            Kind::Token,
            &[
                "Session has expired",
                "code 190",
                "subcode 463",
                "AbCdEf",
                "has expired",
                "--access-token-file",
            ][..],
        ),
        (
            error(403, 200, "(#200) Permissions error"),
            Kind::Permission,
            &[
                "(#200) Permissions error",
                "instagram_business_manage_comments",
                "instagram_business_manage_messages",
            ],
        ),
        (
            error(400, 100, "(#100) Param subscribed_fields[0] must be one of"),
            Kind::Request,
            &["must be one of", "code 100"],
        ),
        (
            error(400, 190, &format!("Malformed access token {TOKEN}")),
            Kind::Token,
            &["Malformed access token [secret]"],
        ),
    ] {
        graph.on(&subscribed_apps("POST"), [reply]);
        let before = graph.asked().len();
        let refused = subscribe(&client).await.unwrap_err();
        assert_eq!(
            graph.asked().len(),
            before + 1,
            "it is asked once: {refused}"
        );
        assert_eq!(refused.kind(), Some(kind), "{refused}");
        assert_eq!(refused.gateway_status(), 502);
        let said = format!("{refused} {refused:?}");
        let asked = subscribed_apps("POST");
        for part in parts.iter().copied().chain([asked.as_str()]) {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains(TOKEN), "{said}");
    }
}

#[tokio::test]
async fn limits_and_errors_that_pass_are_tried_again_with_growing_pauses() {
    let graph = Graph::start().await;
    graph.on(
        &subscribed_apps("POST"),
        [
            error(400, 4, "(#4) Application request limit reached"),
            Reply::Text(502, "<html>Bad Gateway</html>"),
            error(500, 2, "Service temporarily unavailable"),
            ok(json!({ "success": true })),
        ],
    );
    subscribe(&patient(&graph)).await.unwrap();
    let asked = graph.asked();
    assert_eq!(asked.len(), 4);
    let pauses: Vec<Duration> = asked.windows(2).map(|two| two[1].at - two[0].at).collect();
    // Each begins at 0.5 s times a power of two, and has up to as much again.
    for (nth, pause) in pauses.iter().enumerate() {
        let least = Duration::from_millis(500 << nth);
        assert!(*pause >= least, "{pauses:?}");
    }
}

#[tokio::test]
async fn a_pause_is_as_long_as_meta_asks_for_and_no_longer_than_patience() {
    let graph = Graph::start().await;
    let limit = |header, value: &str| {
        Reply::With(
            429,
            vec![(header, value.to_owned())],
            error_body(613, "Calls limit"),
        )
    };
    let done = ok(json!({ "success": true }));
    graph.on(&subscribed_apps("POST"), [limit("retry-after", "3"), done]);
    let began = Instant::now();
    subscribe(&patient(&graph)).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3));

    let usage = r#"{"17841":[{"type":"instagram","estimated_time_to_regain_access":5}]}"#;
    graph.on(
        &subscribed_apps("POST"),
        [limit("x-business-use-case-usage", usage)],
    );
    let began = Instant::now();
    let refused = subscribe(&patient(&graph)).await.unwrap_err();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "nobody waits in vain"
    );
    assert_eq!(refused.retry_after(), Some(Duration::from_mins(5)));
    assert!(refused.to_string().contains("try again in 5m"), "{refused}");
}

#[tokio::test]
async fn patience_ends() {
    let graph = Graph::start().await;
    let impatient = client_of(graph.url(), Duration::from_secs(3));
    graph.on(
        &subscribed_apps("POST"),
        [error(500, 1, "An unknown error")],
    );
    let began = Instant::now();
    let refused = subscribe(&impatient).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(refused.kind(), Some(Kind::Passing));
    assert!(
        (2..=4).contains(&graph.asked().len()),
        "{:?}",
        graph.asked()
    );

    graph.on(&subscribed_apps("POST"), [Reply::Never]);
    let began = Instant::now();
    let unanswered = subscribe(&impatient).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(5));
    let timed_out = matches!(
        unanswered,
        GraphError::NoAnswer {
            timed_out: true,
            ..
        }
    );
    assert!(
        timed_out && unanswered.gateway_status() == 504,
        "{unanswered}"
    );
}

#[tokio::test]
async fn what_is_no_graph_api_is_said_to_be_none() {
    let nobody = client_of(format!("http://{}", free_address()), Duration::from_secs(1));
    let unreached = subscribe(&nobody).await.unwrap_err();
    let refused = matches!(
        unreached,
        GraphError::NoAnswer {
            timed_out: false,
            ..
        }
    );
    assert!(refused, "{unreached:?}");
    assert!(
        unreached.to_string().contains("instagram.graph_url"),
        "{unreached}"
    );

    let graph = Graph::start().await;
    graph.on(
        &subscribed_apps("POST"),
        [Reply::Text(200, "<html>Welcome</html>")],
    );
    let other = subscribe(&patient(&graph)).await.unwrap_err();
    assert!(
        matches!(other, GraphError::NotTheGraphApi { .. }),
        "{other:?}"
    );
    assert!(other.to_string().contains("instagram.graph_url"), "{other}");

    graph.on(&subscribed_apps("POST"), [ok(json!({ "success": false }))]);
    let not_done = subscribe(&patient(&graph)).await.unwrap_err();
    assert!(
        matches!(not_done, GraphError::NotDone { .. }),
        "{not_done:?}"
    );
}
