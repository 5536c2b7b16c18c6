//! What the Graph API says when it refuses, and what that means. Pure.
//!
//! Source: Meta, "Handle Errors" (the object `error` and its codes) and "Rate Limits" (codes, usage headers).

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

const USAGE_HEADERS: [&str; 2] = ["x-business-use-case-usage", "x-app-usage"];
const REGAINED_IN_MINUTES: &str = "estimated_time_to_regain_access";
/// No limit lasts longer.
const LONGEST_WAIT_MINUTES: u64 = 24 * 60;
/// Shorter words are no secrets, and are found in many.
const SHORTEST_SECRET: usize = 8;
const MASK: &str = "[secret]";

/// Who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Too many calls: it passes.
    RateLimit,
    /// Meta's own trouble: it passes.
    Passing,
    /// The access token is no good (any more).
    Token,
    /// The token lacks a permission.
    Permission,
    /// The handshake was not answered at the callback URL.
    Handshake,
    /// What was asked for cannot be.
    Request,
}

/// What Meta answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status of HTTP.
    pub status: u16,
    /// Meta's words.
    pub message: String,
    /// Meta's code.
    pub code: i64,
    /// Its finer code, where there is one.
    pub subcode: Option<i64>,
    /// By which Meta finds the call.
    pub fbtrace_id: Option<String>,
    /// How long Meta wants to be left alone.
    pub retry_after: Option<Duration>,
    is_transient: bool,
}

#[derive(Deserialize)]
struct Envelope {
    error: Told,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    code: i64,
    error_subcode: Option<i64>,
    #[serde(default)]
    is_transient: bool,
    error_user_msg: Option<String>,
    fbtrace_id: Option<String>,
}

impl Refusal {
    /// What the answer refuses; `None` where it does not, or nobody can tell.
    pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let retry_after = wait(headers);
        if let Ok(Envelope { error }) = serde_json::from_slice(body) {
            let user_message = error.error_user_msg.filter(|text| !text.is_empty());
            let message = match user_message {
                Some(more) if !error.message.contains(&more) => {
                    format!("{} ({more})", error.message)
                }
                _ => error.message,
            };
            return Some(Self {
                status,
                message,
                code: error.code,
                subcode: error.error_subcode,
                fbtrace_id: error.fbtrace_id,
                retry_after,
                is_transient: error.is_transient,
            });
        }
        // Whatever stands before the Graph API says it by the status alone.
        (status == 429 || status >= 500).then(|| Self {
            status,
            message: "no reason was given".to_owned(),
            code: 0,
            subcode: None,
            fbtrace_id: None,
            retry_after,
            is_transient: false,
        })
    }

    /// Who has to act.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.code {
            4 | 17 | 32 | 613 | 80_000..=80_014 => Kind::RateLimit,
            101 | 102 | 190 => Kind::Token,
            3 | 10 | 200..=299 => Kind::Permission,
            2200 => Kind::Handshake,
            1 | 2 => Kind::Passing,
            _ if self.status == 429 => Kind::RateLimit,
            _ if self.is_transient || self.status >= 500 => Kind::Passing,
            _ => Kind::Request,
        }
    }

    /// The same without these texts: Meta repeats a token that it cannot read.
    pub(super) fn without(mut self, secrets: &[&str]) -> Self {
        self.message = masked(&self.message, secrets);
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, code, .. } = self;
        write!(f, "{message} (code {code}")?;
        if let Some(subcode) = self.subcode {
            write!(f, ", subcode {subcode}")?;
        }
        if let Some(fbtrace_id) = &self.fbtrace_id {
            write!(f, ", fbtrace_id {fbtrace_id}")?;
        }
        write!(f, ", HTTP {})", self.status)
    }
}

/// How long the headers ask to wait: the longest of what they say.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let usage = USAGE_HEADERS.iter().filter_map(|name| text(name));
    let minutes = usage
        .filter_map(|usage| serde_json::from_str(usage).ok())
        .map(|usage: Value| regained_in(&usage))
        .max()
        .filter(|minutes| *minutes > 0);
    let seconds = text(RETRY_AFTER.as_str()).and_then(|seconds| seconds.trim().parse().ok());
    let waits = [
        minutes.map(|minutes| Duration::from_mins(minutes.min(LONGEST_WAIT_MINUTES))),
        seconds.map(|seconds: u64| Duration::from_secs(seconds.min(LONGEST_WAIT_MINUTES * 60))),
    ];
    waits.into_iter().flatten().max()
}

/// In minutes; by business account, each with a list of limits.
fn regained_in(usage: &Value) -> u64 {
    match usage {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value.as_u64() {
                Some(minutes) if name == REGAINED_IN_MINUTES => minutes,
                _ => regained_in(value),
            })
            .max()
            .unwrap_or_default(),
        Value::Array(items) => items.iter().map(regained_in).max().unwrap_or_default(),
        _ => 0,
    }
}

/// Without any word that is a secret, holds one, or is a part of one.
fn masked(message: &str, secrets: &[&str]) -> String {
    let mut whole = message.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        whole = whole.replace(secret, MASK);
    }
    let is_part = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        word.len() >= SHORTEST_SECRET && secrets.iter().any(|secret| secret.contains(word))
    };
    let words = whole.split_inclusive(char::is_whitespace);
    let words = words.map(|word| {
        let text = word.trim_end();
        if is_part(text) {
            format!("{MASK}{}", &word[text.len()..])
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::json;

    use super::*;

    fn refusal(status: u16, error: &Value) -> Refusal {
        let body = json!({ "error": error }).to_string();
        Refusal::read(status, &HeaderMap::new(), body.as_bytes()).unwrap()
    }

    #[test]
    fn who_has_to_act_is_known_by_code_and_status() {
        for (status, error, kind) in [
            (400, json!({ "code": 4 }), Kind::RateLimit),
            (
                400,
                json!({ "code": 17, "is_transient": true }),
                Kind::RateLimit,
            ),
            (403, json!({ "code": 80_002 }), Kind::RateLimit),
            (429, json!({ "code": 100 }), Kind::RateLimit),
            (500, json!({ "code": 2 }), Kind::Passing),
            (
                400,
                json!({ "code": 100, "is_transient": true }),
                Kind::Passing,
            ),
            (503, json!({ "message": "busy" }), Kind::Passing),
            (
                400,
                json!({ "code": 190, "error_subcode": 463 }),
                Kind::Token,
            ),
            (500, json!({ "code": 190 }), Kind::Token),
            (403, json!({ "code": 200 }), Kind::Permission),
            (400, json!({ "code": 10 }), Kind::Permission),
            (400, json!({ "code": 2200 }), Kind::Handshake),
            (400, json!({ "code": 100 }), Kind::Request),
        ] {
            assert_eq!(refusal(status, &error).kind(), kind, "{status} {error}");
        }
    }

    #[test]
    fn what_is_no_answer_of_metas_is_known_by_its_status_alone() {
        let read = |status, body: &str| Refusal::read(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(read(502, "<html>").unwrap().kind(), Kind::Passing);
        assert_eq!(read(429, "").unwrap().kind(), Kind::RateLimit);
        assert_eq!(read(404, "<html>"), None);
        assert_eq!(read(200, r#"{"success":true}"#), None);
    }

    #[test]
    fn it_says_all_that_meta_says() {
        let refused = refusal(
            400,
            &json!({ "message": "Invalid parameter", "code": 100, "error_subcode": 33,
                     "error_user_msg": "No such field", "fbtrace_id": "AbC" }),
        );
        let said =
            "Invalid parameter (No such field) (code 100, subcode 33, fbtrace_id AbC, HTTP 400)";
        assert_eq!(refused.to_string(), said);
    }

    #[test]
    fn the_headers_say_how_long_to_wait() {
        let waits = |name: &'static str, value: &'static str| {
            let headers = HeaderMap::from_iter([(
                name.parse::<reqwest::header::HeaderName>().unwrap(),
                value.parse().unwrap(),
            )]);
            wait(&headers)
        };
        let of_business = r#"{"17841":[{"call_count":100,"estimated_time_to_regain_access":3},{"estimated_time_to_regain_access":1}]}"#;
        let minutes = |minutes| Some(Duration::from_mins(minutes));
        assert_eq!(waits("x-business-use-case-usage", of_business), minutes(3));
        assert_eq!(waits("x-app-usage", r#"{"call_count":28}"#), None);
        assert_eq!(waits("retry-after", "120"), minutes(2));
        assert_eq!(
            waits("retry-after", "18446744073709551615"),
            minutes(24 * 60)
        );
        assert_eq!(waits("x-app-usage", "no json"), None);
    }

    #[test]
    fn a_secret_does_not_come_back() {
        let token = "IGAAtokenthatisverysecret";
        for message in [
            format!("Malformed access token {token}"),
            format!("Malformed access token \"{token}\"."),
            format!("Malformed access token AT:{token}|more"),
            format!("cannot parse {} and more", &token[4..]),
        ] {
            let said = masked(&message, &[token, ""]);
            assert!(!said.contains(&token[4..16]), "{said}");
            assert!(
                said.contains(MASK) && said.starts_with(&message[..12]),
                "{said}"
            );
        }
        let harmless = "Invalid OAuth access token";
        assert_eq!(masked(harmless, &[token]), harmless);
    }
}
