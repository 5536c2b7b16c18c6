//! What a token says, and whether it is good now. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use uuid::Uuid;

/// How far the clocks of whoever issues tokens and ours may differ, in seconds.
const LEEWAY: f64 = 30.0;
/// In `accounts`: all there are.
pub const ALL: &str = "*";

/// Something that a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See what is there.
    Read,
    /// Change it, or have something done. Does not include [`Scope::Read`].
    Write,
}

impl Scope {
    /// Every scope.
    pub const EVERY: [Self; 2] = [Self::Read, Self::Write];

    /// As in the claim `scope`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "webhooks:read",
            Self::Write => "webhooks:write",
        }
    }
}

/// The accounts that a token may see, by `client_accounts.id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// All, also those that are added later.
    All,
    /// These.
    Only(BTreeSet<Uuid>),
}

impl Accounts {
    /// Whether the account is one of them.
    #[must_use]
    pub fn have(&self, account: Uuid) -> bool {
        match self {
            Self::All => true,
            Self::Only(accounts) => accounts.contains(&account),
        }
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who it was issued to, for the log.
    pub subject: Option<String>,
    /// What it may see.
    pub accounts: Accounts,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// When it is good no more, in seconds since 1970, the difference of clocks included.
    pub ends: i64,
}

/// What tokens must say beside that.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// `iss`, if it matters.
    pub issuer: Option<String>,
    /// `aud`; without one a token must not be for anybody in particular.
    pub audience: Option<String>,
}

/// Why a token is not good.
pub type Wrong = &'static str;

impl Claims {
    /// Reads what a token whose signature holds says at `now`, in seconds since 1970.
    pub fn read(claims: &Map<String, Value>, expected: &Expected, now: i64) -> Result<Self, Wrong> {
        let ends = is_in_time(claims, now)?;
        is_expected(claims, expected)?;
        Ok(Self {
            subject: claims.get("sub").and_then(Value::as_str).map(str::to_owned),
            accounts: accounts(claims.get("accounts"))?,
            scopes: scopes(claims.get("scope"))?,
            ends,
        })
    }
}

/// When the token ends, if it is good at `now`.
fn is_in_time(claims: &Map<String, Value>, now: i64) -> Result<i64, Wrong> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 have 31 bits"
    )]
    let now = now as f64;
    let time = |name| match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|time| time.is_finite())
            .map(Some)
            .ok_or(()),
    };
    let expires = time("exp").map_err(|()| "exp is no number of seconds")?;
    let begins = time("nbf").map_err(|()| "nbf is no number of seconds")?;
    let ends = match expires {
        None => return Err("exp is missing"),
        Some(expires) if expires + LEEWAY <= now => return Err("the token has expired"),
        Some(expires) => expires + LEEWAY,
    };
    match begins {
        Some(begins) if begins - LEEWAY > now => Err("the token is not valid yet"),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is beyond all time is cut to its end"
        )]
        _ => Ok(ends.ceil() as i64),
    }
}

/// Source: RFC 7519, 4.1.3: a token for somebody else must be refused.
fn is_expected(claims: &Map<String, Value>, expected: &Expected) -> Result<(), Wrong> {
    let has =
        |name, wanted: &str| texts(claims.get(name)).is_some_and(|texts| texts.contains(&wanted));
    if expected
        .issuer
        .as_deref()
        .is_some_and(|issuer| !has("iss", issuer))
    {
        return Err("iss is not what auth.issuer says");
    }
    match &expected.audience {
        Some(audience) if !has("aud", audience) => Err("aud is not what auth.audience says"),
        None if claims.contains_key("aud") => {
            Err("the token has an aud, but auth.audience is not set")
        }
        _ => Ok(()),
    }
}

fn accounts(claim: Option<&Value>) -> Result<Accounts, Wrong> {
    const WRONG: Wrong = "accounts must be a list of account UUIDs, or \"*\"";
    let Some(claim) = claim else {
        return Ok(Accounts::Only(BTreeSet::new()));
    };
    if claim == ALL {
        return Ok(Accounts::All);
    }
    let texts = claim.is_array().then(|| texts(Some(claim))).flatten();
    let texts = texts.ok_or(WRONG)?;
    if texts.contains(&ALL) {
        return Ok(Accounts::All);
    }
    let ids: Result<_, _> = texts.into_iter().map(Uuid::parse_str).collect();
    ids.map(Accounts::Only).map_err(|_| WRONG)
}

/// Scopes of other services are none of ours.
fn scopes(claim: Option<&Value>) -> Result<BTreeSet<Scope>, Wrong> {
    let Some(claim) = claim else {
        return Ok(BTreeSet::new());
    };
    let texts = texts(Some(claim))
        .ok_or("scope must be a text with spaces between its words, or a list")?;
    let words: BTreeSet<&str> = texts.into_iter().flat_map(str::split_whitespace).collect();
    let granted = Scope::EVERY.into_iter();
    Ok(granted
        .filter(|scope| words.contains(scope.name()))
        .collect())
}

/// A text, or a list of texts.
fn texts(claim: Option<&Value>) -> Option<Vec<&str>> {
    match claim? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_795_000_000;

    fn read(mut claims: Value) -> Result<Claims, Wrong> {
        let object = claims.as_object_mut().unwrap();
        object.entry("exp").or_insert(json!(NOW + 60));
        Claims::read(object, &Expected::default(), NOW)
    }

    #[test]
    fn times_are_kept_with_a_little_leeway() {
        for (claims, good) in [
            (json!({"exp": NOW + 1}), true),
            (json!({"exp": NOW - 29}), true),
            (json!({"exp": NOW - 30}), false),
            (json!({"exp": 1_795_000_000.5}), true),
            (json!({"exp": "1795000060"}), false),
            (json!({"exp": null}), false),
            (json!({"exp": -1}), false),
            (json!({"nbf": NOW + 30}), true),
            (json!({"nbf": NOW + 31}), false),
            (json!({"nbf": "soon"}), false),
        ] {
            assert_eq!(read(claims.clone()).is_ok(), good, "{claims}");
        }
        assert_eq!(
            Claims::read(&Map::new(), &Expected::default(), NOW),
            Err("exp is missing")
        );
        let endless = serde_json::from_str(r#"{"exp": 1e999}"#).unwrap();
        assert!(Claims::read(&endless, &Expected::default(), NOW).is_err());
    }

    #[test]
    fn it_ends_when_it_would_be_refused() {
        for (exp, ends) in [
            (json!(NOW + 1), NOW + 31),
            (json!(1_795_000_000.5), NOW + 31),
            (json!(1e300), i64::MAX),
        ] {
            assert_eq!(read(json!({ "exp": exp })).unwrap().ends, ends, "{exp}");
        }
    }

    #[test]
    fn accounts_are_a_list_or_all() {
        let id = Uuid::from_u128(7);
        for (claim, accounts) in [
            (json!("*"), Some(Accounts::All)),
            (json!([id, "*"]), Some(Accounts::All)),
            (json!([id]), Some(Accounts::Only([id].into()))),
            (json!([]), Some(Accounts::Only(BTreeSet::new()))),
            (json!(id), None),
            (json!(["17841405822304914"]), None),
            (json!([1]), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            let read = read(json!({ "accounts": claim }));
            assert_eq!(read.map(|claims| claims.accounts).ok(), accounts, "{claim}");
        }
        assert_eq!(
            read(json!({})).unwrap().accounts,
            Accounts::Only(BTreeSet::new())
        );
    }

    #[test]
    fn scopes_are_a_text_or_a_list() {
        use Scope::{Read, Write};
        for (claim, scopes) in [
            (
                json!("webhooks:read webhooks:write"),
                Some(vec![Read, Write]),
            ),
            (json!(["openid", "webhooks:write"]), Some(vec![Write])),
            (json!("webhooks:*"), Some(vec![])),
            (json!(1), None),
        ] {
            let read = read(json!({ "scope": claim }));
            assert_eq!(
                read.map(|claims| claims.scopes).ok(),
                scopes.map(|scopes| scopes.into_iter().collect()),
                "{claim}"
            );
        }
    }

    #[test]
    fn a_token_for_somebody_else_is_refused() {
        let of_ours = Expected {
            issuer: Some("https://id".to_owned()),
            audience: Some("igstream".to_owned()),
        };
        let all = |claims: Value| {
            let mut claims = claims;
            claims["exp"] = json!(NOW + 60);
            Claims::read(claims.as_object().unwrap(), &of_ours, NOW)
        };
        assert!(all(json!({"iss": "https://id", "aud": ["x", "igstream"]})).is_ok());
        assert!(all(json!({"iss": "https://id", "aud": "x"})).is_err());
        assert!(all(json!({"iss": "https://id"})).is_err());
        assert!(all(json!({"iss": "https://evil", "aud": "igstream"})).is_err());
        assert!(read(json!({"aud": "x"})).is_err(), "not for us");
        assert!(read(json!({"iss": "anybody"})).is_ok());
    }
}
