//! Tokens of our own, HS256.

use std::time::Duration;

use chrono::Utc;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::claims::{ALL, Accounts, Scope};
use crate::secret::Secret;

/// What a token is to say.
#[derive(Debug, Clone)]
pub struct Grant {
    /// Who it is for.
    pub subject: String,
    /// What it may see.
    pub accounts: Accounts,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How long it is good.
    pub lasts: Duration,
    /// `iss`, where one is expected.
    pub issuer: Option<String>,
    /// `aud`, where one is expected.
    pub audience: Option<String>,
}

/// A token, signed with `auth.jwt_secret`.
///
/// # Errors
/// What the library says.
pub fn issue(grant: &Grant, secret: &Secret) -> Result<String, jsonwebtoken::errors::Error> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    encode(&Header::default(), &claims(grant), &key)
}

fn claims(grant: &Grant) -> Value {
    let now = Utc::now().timestamp();
    let lasts = i64::try_from(grant.lasts.as_secs()).unwrap_or(i64::MAX);
    let scope: Vec<&str> = grant.scopes.iter().map(|scope| scope.name()).collect();
    let mut claims = json!({
        "sub": grant.subject,
        "jti": Uuid::now_v7(),
        "iat": now,
        "exp": now.saturating_add(lasts),
        "scope": scope.join(" "),
        "accounts": match &grant.accounts {
            Accounts::All => json!(ALL),
            Accounts::Only(accounts) => json!(accounts),
        },
    });
    for (name, value) in [("iss", &grant.issuer), ("aud", &grant.audience)] {
        if let Some(value) = value {
            claims[name] = json!(value);
        }
    }
    claims
}
