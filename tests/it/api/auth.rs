//! Who is let in: the matrix of tokens.

use chrono::Utc;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::{
    Client, SECRET, b64, claims, hs256, key_file, problem, setup, signed, signed_by, token,
    without_keys,
};
use crate::support::{http, postgres::TestDatabase, service::Service};

/// Answers that it does not exist, to whoever may ask.
fn nowhere() -> String {
    format!("/webhooks/events/{}", Uuid::from_u128(1))
}

async fn status_of(service: &Service, token: String) -> (u16, Option<String>) {
    let answer = Client::with(service, token).get(&nowhere()).await;
    let challenge = answer.header("www-authenticate").map(str::to_owned);
    if answer.status == 401 {
        problem(&answer, 401, "unauthorized");
    }
    (answer.status, challenge)
}

async fn assert_refused(service: &Service, why: &str, token: String) {
    let (status, challenge) = status_of(service, token).await;
    assert_eq!(status, 401, "{why}");
    let challenge = challenge.unwrap_or_default();
    assert!(
        challenge.starts_with("Bearer ") && challenge.contains("error=\"invalid_token\""),
        "{why}: {challenge}"
    );
}

#[tokio::test]
async fn only_good_tokens_are_let_in() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .set("auth.jwt_public_key_file", key_file("rsa.pub"))
        .start()
        .await;
    let (now, secret) = (Utc::now().timestamp(), SECRET.as_bytes());
    for (changes, good) in [
        (json!({}), true),
        (json!({"exp": now - 5}), true),
        (json!({"exp": now - 60}), false),
        (json!({"exp": "absent"}), false),
        (json!({"exp": "soon"}), false),
        (json!({"exp": 1e300}), true),
        (json!({"nbf": now + 5}), true),
        (json!({"nbf": now + 90}), false),
        (json!({"accounts": "17841405822304914"}), false),
        (json!({"accounts": [Uuid::nil(), "*"]}), true),
        (json!({"aud": "somebody else"}), false),
        (json!({"scope": 7}), false),
        (json!({"sub": 7, "iat": "odd"}), true),
    ] {
        let (status, _) = status_of(&service, token(changes.clone())).await;
        assert_eq!(status, if good { 404 } else { 401 }, "{changes}");
    }

    let all = claims(json!({}));
    let public = std::fs::read(key_file("rsa.pub")).unwrap();
    let unsigned = format!(
        "{}.{}.",
        b64(json!({"alg": "none"}).to_string()),
        b64(all.to_string())
    );
    let good = token(json!({}));
    let (message, _) = good.rsplit_once('.').unwrap();
    let rs256 = |header: Value| signed_by(&header, &all, Algorithm::RS256);
    let refused: Vec<(&str, String)> = vec![
        ("alg: none", unsigned.clone()),
        (
            "alg: none with a signature",
            format!("{unsigned}{}", b64("x")),
        ),
        ("alg: None", signed(&json!({"alg": "None"}), &all, secret)),
        (
            "another secret",
            signed(&hs256(), &all, b"another secret of more than 32 bytes"),
        ),
        ("no signature", format!("{message}.")),
        (
            "another's claims",
            format!(
                "{}.{}.{}",
                b64(hs256().to_string()),
                b64(claims(json!({"exp": now + 99})).to_string()),
                good.rsplit_once('.').unwrap().1
            ),
        ),
        (
            "HS256 by the public key's bytes",
            signed(&hs256(), &all, &public),
        ),
        (
            "HS384 by its header",
            signed(&json!({"alg": "HS384"}), &all, secret),
        ),
        (
            "RS256 by its header, HMAC by its signature",
            signed(&json!({"alg": "RS256"}), &all, &public),
        ),
        ("HS256 by its header, RSA by its signature", rs256(hs256())),
        ("PS256 by its header", rs256(json!({"alg": "PS256"}))),
        (
            "ES256, of which there is no key",
            signed_by(&json!({"alg": "ES256"}), &all, Algorithm::ES256),
        ),
        (
            "crit",
            signed(&json!({"alg": "HS256", "crit": ["exp"]}), &all, secret),
        ),
        (
            "claims that are no object",
            signed(&hs256(), &json!([1]), secret),
        ),
        ("no JWT", "x".to_owned()),
        ("two parts", "a.b".to_owned()),
        ("four parts", format!("{good}.x")),
        ("too long", token(json!({"sub": "x".repeat(20_000)}))),
    ];
    for (why, token) in refused {
        assert_refused(&service, why, token).await;
    }
    assert_eq!(
        status_of(&service, rs256(json!({"alg": "RS256"}))).await.0,
        404,
        "both keys are good"
    );
}

#[tokio::test]
async fn each_kind_of_public_key_has_its_algorithm() {
    let database = TestDatabase::sqlite().await;
    for (file, algorithm, name) in [
        ("rsa.pub", Algorithm::RS256, "RS256"),
        ("ec.pub", Algorithm::ES256, "ES256"),
        ("ed.pub", Algorithm::EdDSA, "EdDSA"),
    ] {
        let service = without_keys(&database)
            .await
            .set("auth.jwt_public_key_file", key_file(file))
            .start()
            .await;
        let header = json!({ "alg": name });
        let good = signed_by(&header, &claims(json!({})), algorithm);
        assert_eq!(status_of(&service, good.clone()).await.0, 404, "{name}");
        let bytes = std::fs::read(key_file(file)).unwrap();
        assert_refused(&service, name, signed(&hs256(), &claims(json!({})), &bytes)).await;
        let mut broken = good;
        broken.replace_range(broken.len() - 8.., "AAAAAAAA");
        assert_refused(&service, name, broken).await;
    }
}

#[tokio::test]
async fn without_a_token_nobody_is_let_in() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database).await.start().await;
    let url = service.url(&format!("/api/instagram{}", nowhere()));
    let answer = http::get(&url).await.unwrap();
    problem(&answer, 401, "unauthorized");
    // RFC 6750, 3.1: no error code for who sent nothing.
    assert_eq!(
        answer.header("www-authenticate"),
        Some("Bearer realm=\"igstream\"")
    );
    let good = token(json!({}));
    for (header, status) in [
        (format!("bearer {good}"), 404),
        (format!("BEARER  {good}"), 404),
        (format!("Basic {good}"), 401),
        ("Bearer".to_owned(), 401),
        ("Bearer ".to_owned(), 401),
        (good.clone(), 401),
        (format!("Bearer {good} {good}"), 401),
    ] {
        let request = http::client().get(&url).header("Authorization", &header);
        assert_eq!(
            http::send(request).await.unwrap().status,
            status,
            "{header}"
        );
    }
    let twice = http::client()
        .get(&url)
        .bearer_auth(&good)
        .header("Authorization", "Bearer x");
    assert_eq!(http::send(twice).await.unwrap().status, 401);
    let in_the_query = format!("{url}?access_token={good}");
    assert_eq!(http::get(&in_the_query).await.unwrap().status, 401);
}

#[tokio::test]
async fn where_nothing_is_configured_the_answer_says_what_to_set() {
    let database = TestDatabase::sqlite().await;
    let service = without_keys(&database).await.start().await;
    let answer = Client::of(&service).get(&nowhere()).await;
    let detail = problem(&answer, 401, "unauthorized")["detail"].to_string();
    for key in [
        "auth.jwt_secret",
        "auth.jwt_public_key_file",
        "auth.jwks_url",
    ] {
        assert!(detail.contains(key), "{detail}");
    }
}

#[tokio::test]
async fn issuer_and_audience_are_looked_at_where_they_are_set() {
    let database = TestDatabase::sqlite().await;
    let service = setup(&database)
        .await
        .set("auth.issuer", "https://id.example.com")
        .set("auth.audience", "igstream")
        .start()
        .await;
    for (changes, good) in [
        (
            json!({"iss": "https://id.example.com", "aud": "igstream"}),
            true,
        ),
        (
            json!({"iss": "https://id.example.com", "aud": ["x", "igstream"]}),
            true,
        ),
        (json!({"iss": "https://id.example.com"}), false),
        (json!({"aud": "igstream"}), false),
        (
            json!({"iss": "https://evil.example.com", "aud": "igstream"}),
            false,
        ),
    ] {
        let (status, _) = status_of(&service, token(changes.clone())).await;
        assert_eq!(status, if good { 404 } else { 401 }, "{changes}");
    }
    // What the command issues is what is expected.
    let issued = service.run(&["token", "--accounts", "*"]).await;
    let issued = String::from_utf8(issued.stdout).unwrap().trim().to_owned();
    assert_eq!(status_of(&service, issued).await.0, 404);
}

#[tokio::test]
async fn a_key_that_cannot_be_one_ends_the_start() {
    for (file, told) in [
        ("weak.pub", "2048"),
        ("p384.pub", "P-256"),
        ("k1.pub", "P-256"),
        ("rsa.pem", "private key"),
        ("README.md", "no public key"),
    ] {
        let database = TestDatabase::sqlite().await;
        let setup = without_keys(&database)
            .await
            .set("auth.jwt_public_key_file", key_file(file));
        let (code, said) = setup.gives_up().await;
        assert_eq!(code, Some(2), "{file}: {said}");
        assert!(
            said.contains("auth.jwt_public_key_file") && said.contains(told),
            "{file}: {said}"
        );
    }
    let database = TestDatabase::sqlite().await;
    let (code, said) = without_keys(&database)
        .await
        .set("auth.jwt_secret", "short")
        .gives_up()
        .await;
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("auth.jwt_secret") && !said.contains("short,"),
        "{said}"
    );
}
