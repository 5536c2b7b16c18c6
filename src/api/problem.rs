//! What is answered when something is wrong: problem details. Source: RFC 9457.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::store::error::Blame;

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What the `type` of a problem begins with.
const TYPE: &str = "urn:igstream:problem:";
/// When to ask again after an answer that says that something is away, in seconds.
const RETRY_AFTER: u64 = 5;

/// What kind of problem: each has its status, its `type` and its `title`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something in the request is not as it must be.
    Invalid,
    /// No token, or not a good one.
    Unauthorized,
    /// A good token that may not do this.
    Forbidden,
    /// There is no such thing, or the token may not see it.
    NotFound,
    /// Another method.
    MethodNotAllowed,
    /// It does not go together with what is there.
    Conflict,
    /// It was changed since it was read.
    PreconditionFailed,
    /// The body is too large.
    TooLarge,
    /// The body is no JSON by its media type.
    UnsupportedMediaType,
    /// It has to be said which state is to be changed.
    PreconditionRequired,
    /// More requests than the token may make.
    TooManyRequests,
    /// A fault of ours.
    Internal,
    /// Instagram's API failed.
    BadGateway,
    /// The database, NATS or the identity provider is away.
    Unavailable,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::Conflict,
        Self::PreconditionFailed,
        Self::TooLarge,
        Self::UnsupportedMediaType,
        Self::PreconditionRequired,
        Self::TooManyRequests,
        Self::Internal,
        Self::BadGateway,
        Self::Unavailable,
    ];

    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The last part of its `type`.
    const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid-request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::Conflict => "conflict",
            Self::PreconditionFailed => "precondition-failed",
            Self::TooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::PreconditionRequired => "precondition-required",
            Self::TooManyRequests => "rate-limited",
            Self::Internal => "internal",
            Self::BadGateway => "instagram-failed",
            Self::Unavailable => "unavailable",
        }
    }

    /// What it means, the same for each problem of the kind.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Invalid => "The request is not as it must be",
            Self::Unauthorized => "A good token is needed",
            Self::Forbidden => "The token may not do this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "This cannot be done here",
            Self::Conflict => "It does not go together with what is there",
            Self::PreconditionFailed => "It was changed meanwhile",
            Self::TooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::PreconditionRequired => "Say which state you change",
            Self::TooManyRequests => "Too many requests",
            Self::Internal => "Something went wrong here",
            Self::BadGateway => "Instagram's API failed",
            Self::Unavailable => "Something needed is away",
        }
    }
}

/// Where in a request a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FieldPlace)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the path.
    Path,
    /// A query parameter.
    Query,
    /// A header.
    Header,
    /// In the body.
    Body,
}

/// A field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where it is.
    #[serde(rename = "in")]
    pub place: Place,
    /// What it is called.
    pub field: String,
    /// What is wrong with it, and what is allowed.
    pub detail: String,
}

/// An answer that tells of a problem.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(header::HeaderName, HeaderValue)>,
}

/// What a handler answers where it may fail.
pub type Result<T> = std::result::Result<T, Problem>;

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Which kind of problem, `urn:igstream:problem:…`.
    #[schema(value_type = String, example = "urn:igstream:problem:not-found")]
    r#type: String,
    /// What the kind means.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong, and how to mend it.
    detail: &'a str,
    /// The fields at fault, where there are any.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

impl Problem {
    /// A problem; `detail` says what went wrong, and how to mend it.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// 400: a field that is not as it must be; `detail` says what is allowed.
    #[must_use]
    pub fn field(place: Place, field: impl Into<String>, detail: impl Into<String>) -> Self {
        let (field, detail) = (field.into(), detail.into());
        let mut problem = Self::new(Kind::Invalid, format!("{field}: {detail}"));
        problem.errors.push(FieldError {
            place,
            field,
            detail,
        });
        problem
    }

    /// 404, in the same words whether there is none or the token may not see it.
    #[must_use]
    pub fn no_such(what: &'static str) -> Self {
        Self::new(
            Kind::NotFound,
            format!("there is no such {what}, or the token may not see it"),
        )
    }

    /// 503: the world's trouble, which passes.
    #[must_use]
    pub fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, detail).retry_after(RETRY_AFTER)
    }

    /// 500; `error` goes to the log alone.
    #[must_use]
    pub fn internal(error: &dyn std::fmt::Display) -> Self {
        error!(%error, "a request failed");
        Self::new(
            Kind::Internal,
            "the log says what, under the X-Request-Id of this answer",
        )
    }

    /// Says when to ask again, in seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// With a header more. One that cannot be sent is left out.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = ProblemBody {
            r#type: format!("{TYPE}{}", self.kind.name()),
            title: self.kind.title(),
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}

/// What the database says goes to the log: it may hold what is stored.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.blame() == Blame::Event {
            return Self::internal(&error);
        }
        warn!(%error, "a request could not be answered for want of the database");
        Self::unavailable("the database does not answer as it must; ask again later")
    }
}

impl From<sea_orm::DbErr> for Problem {
    fn from(error: sea_orm::DbErr) -> Self {
        StoreError::from(error).into()
    }
}
