//! Why a call of the Graph API failed, in the words of whoever asked, with the mend.

use std::time::Duration;

use super::client::{Call, Mends};
use super::refusal::{Kind, Refusal};

/// Why the Graph API did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GraphError {
    /// It said no.
    #[error("{asked}: the Graph API refused: {refusal}. {mend}")]
    Refused {
        /// What was asked: method and path.
        asked: String,
        /// What Meta said.
        refusal: Box<Refusal>,
        /// What to do.
        mend: String,
    },
    /// It did not answer in time, or cannot be reached.
    #[error(
        "{asked}: no answer from {url} (`{url_key}`): {reason}. Try again later; if that stays, look whether this machine reaches it"
    )]
    NoAnswer {
        /// What was asked.
        asked: String,
        /// Where.
        url: String,
        /// The key that says where.
        url_key: &'static str,
        /// What the system says.
        reason: String,
        /// Whether it was asked and took too long.
        timed_out: bool,
    },
    /// Something else answers there.
    #[error(
        "{asked}: what answers at {url} (`{url_key}`) is not the Graph API: HTTP {status}, {reason}. Mend `{url_key}`, or what stands before it"
    )]
    NotTheGraphApi {
        /// What was asked.
        asked: String,
        /// Where.
        url: String,
        /// The key that says where.
        url_key: &'static str,
        /// The status of HTTP.
        status: u16,
        /// What is wrong with its JSON.
        reason: String,
    },
    /// It says that it did not do it, without a reason.
    #[error(
        "{asked}: the Graph API answered without an error that it was not done. Try again later"
    )]
    NotDone {
        /// What was asked.
        asked: String,
    },
    /// No HTTP client can be made.
    #[error("no HTTPS client can be made: {0}. Look at the certificates of the system")]
    Client(String),
}

impl GraphError {
    pub(super) fn refused(call: &Call<'_>, refusal: Refusal) -> Self {
        Self::Refused {
            asked: call.asked(),
            mend: mend(&refusal, &call.mends),
            refusal: Box::new(refusal),
        }
    }

    /// What Meta said, where it did.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Who has to act, where Meta refused.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.refusal().map(Refusal::kind)
    }

    /// What a service that asked on somebody's behalf answers: 504 where nobody answered it, else 502.
    #[must_use]
    pub fn gateway_status(&self) -> u16 {
        match self {
            Self::NoAnswer { .. } => 504,
            _ => 502,
        }
    }

    /// Whether the same call may succeed in a while.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::NoAnswer { .. } => true,
            Self::Refused { refusal, .. } => {
                matches!(refusal.kind(), Kind::RateLimit | Kind::Passing)
            }
            Self::NotTheGraphApi { .. } | Self::NotDone { .. } | Self::Client(_) => false,
        }
    }

    /// How long Meta wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.refusal()?.retry_after
    }
}

fn mend(refusal: &Refusal, mends: &Mends) -> String {
    match refusal.kind() {
        Kind::RateLimit => rate_limit(refusal.retry_after),
        Kind::Passing => "It passes: try again later".to_owned(),
        Kind::Token => format!("{}: {}", what_of_the_token(refusal.subcode), mends.token),
        Kind::Permission => permission(&mends.permissions),
        Kind::Handshake => handshake(mends.callback_url.as_deref()),
        Kind::Request => "Nothing was changed: mend what Meta names".to_owned(),
    }
}

fn rate_limit(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!(
            "It is a rate limit: try again in {}",
            humantime::format_duration(wait)
        ),
        None => "It is a rate limit: try again later".to_owned(),
    }
}

/// Source: Meta, "Handle Errors", subcodes of the access token.
fn what_of_the_token(subcode: Option<i64>) -> &'static str {
    match subcode {
        Some(458) => "The shop has removed the app",
        Some(460) => "The access token ended with a changed password",
        Some(463) => "The access token has expired",
        _ => "The access token is not valid (any more)",
    }
}

fn permission(permissions: &[&'static str]) -> String {
    if permissions.is_empty() {
        return "The access token lacks a permission: have it granted".to_owned();
    }
    format!(
        "The access token lacks a permission: have the shop connect again and grant {}; the app needs Advanced Access to them for accounts of others",
        permissions.join(", ")
    )
}

fn handshake(callback_url: Option<&str>) -> String {
    format!(
        "Instagram asked {} and was not answered as it must be: it must reach igstream there, over HTTPS with a certificate that the world trusts, and that igstream must run with the same `instagram.verify_token`",
        callback_url.unwrap_or("the callback URL")
    )
}
