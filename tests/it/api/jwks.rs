//! Tokens of an identity provider, whose keys are fetched.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, http::StatusCode, routing::get};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::client::{
    Client, b64, claims, hs256, key_file, problem, signed, signed_by, without_keys,
};
use crate::support::{postgres::TestDatabase, service::Service};

/// An identity provider.
struct Provider {
    url: String,
    asked: Arc<AtomicUsize>,
    keys: watch::Sender<Option<String>>,
    task: JoinHandle<()>,
}

impl Provider {
    async fn start(keys: Option<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (sender, receiver) = watch::channel(keys.map(|keys| keys.to_string()));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let keys = receiver.borrow().clone();
            async move { keys.ok_or(StatusCode::SERVICE_UNAVAILABLE) }
        };
        let routes = Router::new().route("/keys", get(answer));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            asked,
            keys: sender,
            task,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The P-256 key of `tests/keys`, of which the last 64 bytes are the point.
fn ec(kid: &str) -> Value {
    let pem = std::fs::read_to_string(key_file("ec.pub")).unwrap();
    let lines: String = pem
        .lines()
        .filter(|line| !line.starts_with("---"))
        .collect();
    let der = STANDARD.decode(lines).unwrap();
    let (x, y) = der[der.len() - 64..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": b64(x), "y": b64(y) })
}

async fn status(service: &Service, token: String) -> u16 {
    let answer = Client::with(service, token)
        .get(&format!("/webhooks/events/{}", Uuid::from_u128(1)))
        .await;
    match answer.status {
        401 => drop(problem(&answer, 401, "unauthorized")),
        503 => assert!(answer.header("retry-after").is_some(), "{answer:?}"),
        _ => {}
    }
    answer.status
}

fn es256(kid: &str) -> String {
    signed_by(
        &json!({ "alg": "ES256", "kid": kid }),
        &claims(json!({})),
        Algorithm::ES256,
    )
}

#[tokio::test]
async fn its_keys_are_fetched_once_and_again_for_one_that_is_not_known() {
    let odd = json!({ "kty": "OKP", "crv": "X448", "kid": "odd", "x": "AA", "n": 1.5 });
    let shared = json!({ "kty": "oct", "kid": "shared", "k": b64("a secret that everybody can read in the set") });
    let keys = json!({ "keys": [odd, shared, { "kty": "EC" }, 7, ec("one")] });
    let provider = Provider::start(Some(keys)).await;
    let database = TestDatabase::sqlite().await;
    let service = without_keys(&database)
        .await
        .set("auth.jwks_url", &provider.url)
        .start()
        .await;
    for _ in 0..3 {
        assert_eq!(status(&service, es256("one")).await, 404);
    }
    let without_kid = signed_by(
        &json!({ "alg": "ES256" }),
        &claims(json!({})),
        Algorithm::ES256,
    );
    assert_eq!(
        status(&service, without_kid).await,
        404,
        "one of them may have signed it"
    );
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1, "they are kept");

    let by_shared = signed(
        &json!({ "alg": "HS256", "kid": "shared" }),
        &claims(json!({})),
        b"a secret that everybody can read in the set",
    );
    assert_eq!(
        status(&service, by_shared).await,
        401,
        "a secret in public is none"
    );
    let rsa = signed_by(
        &json!({ "alg": "RS256", "kid": "one" }),
        &claims(json!({})),
        Algorithm::RS256,
    );
    assert_eq!(status(&service, rsa).await, 401);
    assert_eq!(
        status(&service, signed(&hs256(), &claims(json!({})), b"x")).await,
        401
    );
    // Asked for a moment ago: not again for each that comes.
    for nth in 0..20 {
        assert_eq!(status(&service, es256(&format!("unknown{nth}"))).await, 401);
    }
    assert!(
        provider.asked.load(Ordering::SeqCst) <= 2,
        "{:?}",
        provider.asked
    );
}

#[tokio::test]
async fn a_provider_that_is_away_is_no_fault_of_the_token() {
    let provider = Provider::start(None).await;
    let database = TestDatabase::sqlite().await;
    let service = without_keys(&database)
        .await
        .set("auth.jwks_url", &provider.url)
        .start()
        .await;
    assert_eq!(status(&service, es256("one")).await, 503);
    provider
        .keys
        .send_replace(Some("no set of keys".to_owned()));
    assert_eq!(status(&service, es256("one")).await, 503);
    assert_eq!(
        provider.asked.load(Ordering::SeqCst),
        1,
        "it is left in peace for a while"
    );
    assert_eq!(
        status(&service, "no JWT".to_owned()).await,
        401,
        "whatever the keys are"
    );
}
