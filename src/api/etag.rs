//! Which state of a row a client has seen, so that no change is lost. Source: RFC 9110, 8.8.3 and 13.1.1.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, header};
use chrono::{DateTime, Utc};

use super::problem::{Kind, Place, Problem};

/// A strong tag: the row's `updated_at`, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ETag(i64);

impl ETag {
    /// Of a row that was last changed then.
    #[must_use]
    pub fn of(updated_at: DateTime<Utc>) -> Self {
        Self(updated_at.timestamp_micros())
    }

    /// As a header of the answer.
    #[must_use]
    pub fn header(self) -> (HeaderName, HeaderValue) {
        // Of digits: it can be sent.
        let value = HeaderValue::from_str(&self.text());
        (
            header::ETAG,
            value.unwrap_or(HeaderValue::from_static("\"\"")),
        )
    }

    fn text(self) -> String {
        format!("\"{:x}\"", self.0)
    }
}

/// `If-Match`, which whoever changes a row must send: 428 without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever state there is.
    Any,
    /// One of these states.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// 412 unless the row is in a state that the client has seen.
    ///
    /// # Errors
    /// The problem to answer.
    pub fn check(&self, current: ETag) -> Result<(), Problem> {
        match self {
            Self::OneOf(tags) if !tags.contains(&current.text()) => Err(Self::failed()),
            Self::Any | Self::OneOf(_) => Ok(()),
        }
    }

    /// 412, for who finds out while writing.
    #[must_use]
    pub fn failed() -> Problem {
        Problem::new(
            Kind::PreconditionFailed,
            "it is not in the state that If-Match names: read it again, and change what you find",
        )
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(header::IF_MATCH).iter().peekable();
        if values.peek().is_none() {
            return Err(Problem::new(
                Kind::PreconditionRequired,
                "send If-Match with the ETag of what you read, so that nobody's change is lost; `*` overwrites whatever there is",
            ));
        }
        let texts: Option<Vec<&str>> = values.map(|value| value.to_str().ok()).collect();
        texts
            .and_then(|texts| read(&texts.join(",")))
            .ok_or_else(|| {
                Problem::field(
                    Place::Header,
                    "If-Match",
                    "it must be `*` or ETags as they were answered, such as \"5f3e\"",
                )
            })
    }
}

/// Tags of ours have no comma, and a weak one never matches.
fn read(text: &str) -> Option<IfMatch> {
    if text.trim() == "*" {
        return Some(IfMatch::Any);
    }
    let is_tag = |tag: &&str| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = opaque
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        inner.is_some_and(|inner| !inner.contains('"'))
    };
    let tags: Vec<&str> = text.split(',').map(str::trim).collect();
    tags.iter()
        .all(is_tag)
        .then(|| IfMatch::OneOf(tags.into_iter().map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_state_that_was_seen_matches() {
        let (old, new) = (ETag(0x5f3e), ETag(0x5f3f));
        let seen = read("\"1\", \"5f3e\"").unwrap();
        assert!(seen.check(old).is_ok());
        assert_eq!(
            seen.check(new).unwrap_err().kind(),
            Kind::PreconditionFailed
        );
        assert!(read("*").unwrap().check(new).is_ok());
        assert!(read("W/\"5f3e\"").unwrap().check(old).is_err());
        for wrong in ["", "5f3e", "\"5f3e", "\"a\" \"b\"", "*, \"a\""] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
