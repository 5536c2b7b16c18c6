//! Who may use the management API: bearer tokens (JWT, RFC 7519 and 6750).

mod caller;
mod claims;
mod issue;
mod jwks;
mod keys;

use std::fs;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use chrono::Utc;
use jsonwebtoken::decode_header;

pub(super) use self::caller::authenticate;
pub use self::caller::{Account, Caller, Granted, Read, Write};
use self::claims::Expected;
pub use self::claims::{ALL, Accounts, Claims, Scope};
pub use self::issue::{Grant, issue};
use self::jwks::KeySet;
use self::keys::Key;
pub use self::keys::KeyError;
use super::problem::{Kind, Problem};
use crate::config;

/// Tokens that are longer are none.
const LONGEST_TOKEN: usize = 16 * 1024;
/// A token that names no key is tried with so many of one algorithm.
const TRIED: usize = 10;

/// The keys of those who may issue tokens, and what tokens must say.
#[derive(Debug, Clone)]
pub struct Authority(Arc<Known>);

#[derive(Debug)]
struct Known {
    keys: Vec<Key>,
    provider: Option<Arc<KeySet>>,
    expected: Expected,
}

impl Authority {
    /// Reads the keys that `[auth]` names.
    ///
    /// # Errors
    /// Where the public key cannot be used.
    pub fn new(auth: &config::Auth) -> Result<Self, KeyError> {
        let mut keys = Vec::new();
        if let Some(secret) = &auth.jwt_secret {
            keys.push(Key::secret(secret.expose()));
        }
        if let Some(path) = &auth.jwt_public_key_file {
            let path = path.clone();
            let pem = fs::read(&path);
            let pem = pem.map_err(|reason| KeyError::Unreadable {
                path: path.clone(),
                reason,
            })?;
            keys.push(Key::public(&pem).map_err(|what| KeyError::Unusable { path, what })?);
        }
        Ok(Self(Arc::new(Known {
            keys,
            provider: auth.jwks_url.clone().map(KeySet::new).transpose()?,
            expected: Expected {
                issuer: auth.issuer.clone(),
                audience: auth.audience.clone(),
            },
        })))
    }

    /// Who sent a request, and the token that says so.
    ///
    /// # Errors
    /// The problem to answer.
    pub async fn identify(&self, headers: &HeaderMap) -> Result<(Claims, String), Problem> {
        if self.0.keys.is_empty() && self.0.provider.is_none() {
            return Err(challenge(
                None,
                "nobody may use the management API: set auth.jwt_secret, auth.jwt_public_key_file or auth.jwks_url",
            ));
        }
        let token = bearer(headers)?;
        let claims = self.open(token).await?;
        let claims = Claims::read(&claims, &self.0.expected, Utc::now().timestamp());
        Ok((claims.map_err(invalid)?, token.to_owned()))
    }

    /// What a token says whose signature holds.
    async fn open(
        &self,
        token: &str,
    ) -> Result<serde_json::Map<String, serde_json::Value>, Problem> {
        const WRONG: &str = "the signature does not hold, or is of another algorithm than the key";
        if token.len() > LONGEST_TOKEN {
            return Err(invalid("the token is too long"));
        }
        let header = decode_header(token)
            .map_err(|_| invalid("it is no JWT, or of an algorithm that is not allowed"))?;
        if header.crit.is_some() {
            return Err(invalid(
                "its header has crit, of which nothing is known here",
            ));
        }
        let own = self.0.keys.iter().filter(|key| key.is_for(header.alg));
        if let Some(claims) = own.clone().find_map(|key| key.open(token)) {
            return Ok(claims);
        }
        let Some(provider) = &self.0.provider else {
            return Err(invalid(WRONG));
        };
        let theirs = provider.keys_for(&header).await;
        let theirs = theirs.map_err(|jwks::Away| {
            Problem::unavailable("the keys of auth.jwks_url cannot be fetched; ask again later")
        })?;
        let opened = theirs.iter().take(TRIED).find_map(|key| key.open(token));
        opened.ok_or_else(|| invalid(WRONG))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(challenge(None, "send Authorization: Bearer and a token"));
    };
    let text = value.to_str().ok().filter(|_| values.next().is_none());
    let (scheme, token) = text
        .and_then(|text| text.split_once(' '))
        .unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(challenge(
            Some("invalid_request"),
            "Authorization must be Bearer and one token",
        ));
    }
    Ok(token.trim())
}

fn invalid(why: &'static str) -> Problem {
    challenge(Some("invalid_token"), why)
}

/// 401. Source: RFC 6750, 3: a request without a token is told no error code.
fn challenge(error: Option<&'static str>, why: &'static str) -> Problem {
    let told = error.map(|error| format!(", error=\"{error}\", error_description=\"{why}\""));
    let value = format!("Bearer realm=\"igstream\"{}", told.unwrap_or_default());
    Problem::new(Kind::Unauthorized, why).header(header::WWW_AUTHENTICATE, &value)
}
