//! A client of the management API, and tokens made by hand.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::Utc;
use entity::client_account;
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey};
use reqwest::{Method, RequestBuilder};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::support::{
    eventually::eventually,
    http::{self, Answer},
    payloads::{changes, comment},
    postgres::TestDatabase,
    service::Service,
    setup::Setup,
};

/// `auth.jwt_secret` of the services under test.
pub const SECRET: &str = "igstream-test-jwt-secret-of-40-bytes-..!";
/// Another Instagram account than [`crate::support::payloads::ACCOUNT`].
pub const OTHER: &str = "17841400000000002";

/// With a management API, which answers from the beginning: the schema is there.
pub async fn setup(database: &TestDatabase) -> Setup {
    without_keys(database).await.set("auth.jwt_secret", SECRET)
}

/// The same, but nobody may issue tokens.
pub async fn without_keys(database: &TestDatabase) -> Setup {
    database.migrated().await;
    Setup::managed(database)
        .set("api.rate_limit_per_second", 100_000)
        .set("api.rate_limit_burst", 100_000)
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A token, put together as RFC 7515 says, signed by HMAC-SHA256.
pub fn signed(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any key will do");
    mac.update(message.as_bytes());
    format!("{message}.{}", b64(mac.finalize().into_bytes()))
}

/// The same by a private key of `tests/keys`.
pub fn signed_by(header: &Value, claims: &Value, algorithm: Algorithm) -> String {
    let pem = |name: &str| std::fs::read(key_file(name)).expect("a key");
    let key = match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(&pem("rsa.pem")),
        Algorithm::ES256 => EncodingKey::from_ec_pem(&pem("ec.pem")),
        _ => EncodingKey::from_ed_pem(&pem("ed.pem")),
    };
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.expect("a key"), algorithm);
    format!("{message}.{}", signature.expect("a signature"))
}

/// A file of `tests/keys`.
pub fn key_file(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

pub fn hs256() -> Value {
    json!({ "alg": "HS256", "typ": "JWT" })
}

/// Claims of a token that may do all, with changes.
pub fn claims(changes: Value) -> Value {
    let mut claims = json!({
        "exp": Utc::now().timestamp() + 600,
        "accounts": "*",
        "scope": "webhooks:read webhooks:write",
    });
    let all = claims.as_object_mut().expect("an object");
    let Value::Object(changes) = changes else {
        panic!("an object")
    };
    for (name, value) in changes {
        if value == "absent" {
            all.remove(&name);
        } else {
            all.insert(name, value);
        }
    }
    claims
}

/// A good token.
pub fn token(changes: Value) -> String {
    signed(&hs256(), &claims(changes), SECRET.as_bytes())
}

/// A client with a token.
pub struct Client<'a> {
    service: &'a Service,
    token: String,
}

impl<'a> Client<'a> {
    /// One that may do all.
    pub fn of(service: &'a Service) -> Self {
        Self::with(service, token(json!({})))
    }

    pub fn with(service: &'a Service, token: String) -> Self {
        Self { service, token }
    }

    /// A request to a path below `/api/instagram`.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.service.url(&format!("/api/instagram{path}"));
        http::client().request(method, url).bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        http::send(self.request(Method::GET, path))
            .await
            .expect("an answer")
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("Content-Type", "application/json");
        http::send(request.body(body.to_string()))
            .await
            .expect("an answer")
    }

    pub async fn delete(&self, path: &str) -> Answer {
        http::send(self.request(Method::DELETE, path))
            .await
            .expect("an answer")
    }

    /// The JSON of a good answer.
    pub async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// All items of a list, over as many pages as it has.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), None);
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let next = cursor.as_ref().map_or(path.to_owned(), |cursor| {
                format!("{path}{joint}cursor={cursor}")
            });
            let page = self.json(&next).await;
            items.extend(page["items"].as_array().expect("items").clone());
            match page["next_cursor"].as_str() {
                Some(next) => {
                    assert_ne!(cursor.as_deref(), Some(next), "{path} goes on for ever");
                    cursor = Some(next.to_owned());
                }
                None => return items,
            }
        }
    }
}

/// Posts a comment for an account.
pub async fn deliver_comment(service: &Service, ig_account_id: &str, id: &str) {
    service
        .deliver(&changes(ig_account_id, &[comment(id)]).to_string())
        .await;
}

/// The row of an account, once it is there.
pub async fn account(service: &Service, ig_account_id: &str) -> Uuid {
    let db = service.database().await;
    eventually("the account is there", async || {
        let accounts = client_account::Entity::find().all(&db).await;
        let accounts = accounts.map_err(|error| error.to_string())?;
        let found = accounts
            .into_iter()
            .find(|account| account.instagram_business_account_id == ig_account_id);
        found
            .map(|account| account.id)
            .ok_or("no such account".to_owned())
    })
    .await
}

/// Asserts that an answer is a problem of this kind, and returns it.
pub fn problem(answer: &Answer, status: u16, kind: &str) -> Value {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{answer:?}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(
        problem["type"],
        format!("urn:igstream:problem:{kind}"),
        "{problem}"
    );
    assert!(
        problem["title"].is_string() && problem["detail"].is_string(),
        "{problem}"
    );
    problem
}
