//! What a request says, read strictly: what is not known or not allowed is answered 400, naming the field
//! and what is allowed.

use axum::RequestExt as _;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use super::problem::{Kind, Place, Problem};

/// The largest body in bytes: a thousand ids and what goes with them.
pub const BODY_LIMIT: usize = 256 * 1024;

/// The query. `T` denies unknown fields.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        if !is_utf8(query) {
            return Err(Problem::new(Kind::Invalid, "the query is not UTF-8"));
        }
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded(query));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| {
                wrong_field(
                    Place::Query,
                    &error.path().to_string(),
                    &error.into_inner().to_string(),
                )
            })
    }
}

/// For who takes no query: a parameter is refused as any other that is not known.
#[derive(Debug, Clone, Copy)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let first = form_urlencoded(query).next();
        first.map_or(Ok(Self), |(name, _)| {
            Err(Problem::field(
                Place::Query,
                name,
                "unknown field: there are no query parameters here",
            ))
        })
    }
}

fn form_urlencoded(query: &str) -> url::form_urlencoded::Parse<'_> {
    url::form_urlencoded::parse(query.as_bytes())
}

/// Bytes that are no UTF-8 would be replaced by others in silence.
fn is_utf8(query: &str) -> bool {
    let bytes: Vec<u8> = url_decoded(query).collect();
    std::str::from_utf8(&bytes).is_ok()
}

fn url_decoded(query: &str) -> impl Iterator<Item = u8> + '_ {
    let bytes = query.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let hex = |nth: usize| char::from(*bytes.get(at + nth)?).to_digit(16);
        if byte == b'%'
            && let (Some(high), Some(low)) = (hex(1), hex(2))
        {
            at += 3;
            return u8::try_from(high * 16 + low).ok();
        }
        at += 1;
        Some(byte)
    })
}

/// The parameters of the path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection| match rejection {
                PathRejection::FailedToDeserializePathParams(failed) => {
                    wrong_parameter(failed.into_kind())
                }
                other => Problem::new(Kind::Invalid, other.body_text()),
            })
    }
}

fn wrong_parameter(error: axum::extract::path::ErrorKind) -> Problem {
    use axum::extract::path::ErrorKind;
    match error {
        ErrorKind::ParseErrorAtKey {
            key, expected_type, ..
        } => Problem::field(
            Place::Path,
            key,
            format!(
                "it must be a {}",
                expected_type.rsplit("::").next().unwrap_or_default()
            ),
        ),
        ErrorKind::DeserializeError { key, message, .. } => {
            Problem::field(Place::Path, key, message)
        }
        ErrorKind::InvalidUtf8InPathParam { key } => {
            Problem::field(Place::Path, key, "it is not UTF-8")
        }
        other => Problem::new(Kind::Invalid, other.to_string()),
    }
}

/// The body, JSON. `T` denies unknown fields.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send Content-Type: application/json",
            ));
        }
        let body: Bytes = request
            .with_limited_body()
            .extract()
            .await
            .map_err(|rejection| {
                let rejection: axum::extract::rejection::BytesRejection = rejection;
                if rejection.status() == Kind::TooLarge.status() {
                    return Problem::new(
                        Kind::TooLarge,
                        format!("it may have {BODY_LIMIT} bytes at most"),
                    );
                }
                Problem::new(Kind::Invalid, "the body did not come whole")
            })?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let inner = error.into_inner();
            if inner.is_data() {
                wrong_field(Place::Body, &path, &without_position(&inner.to_string()))
            } else {
                Problem::new(Kind::Invalid, format!("the body is no JSON: {inner}"))
            }
        })?;
        json.end().map_err(|error| {
            Problem::new(Kind::Invalid, format!("the body is no JSON: {error}"))
        })?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    let text = content_type.and_then(|value| value.to_str().ok());
    let media_type = text.and_then(|text| text.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// For an optional field of a body, which is left out and never `null`.
///
/// # Errors
/// What `T` says.
pub fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    source: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(source).map(Some)
}

/// The field that an error is about: where it happened, or the one it names.
fn wrong_field(place: Place, path: &str, message: &str) -> Problem {
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|words| message.split_once(words)?.1.split_once('`'))
        .map(|(name, _)| name);
    let at_root = path == ".";
    match (at_root, named) {
        (true, Some(name)) => Problem::field(place, name, message),
        (false, Some(name)) if path != name && !path.ends_with(&format!(".{name}")) => {
            Problem::field(place, format!("{path}.{name}"), message)
        }
        (false, _) => Problem::field(place, path, message),
        (true, None) => Problem::new(Kind::Invalid, message.to_owned()),
    }
}

/// Line and column say nothing where the field is named.
fn without_position(message: &str) -> String {
    let cut = message.rfind(" at line ").unwrap_or(message.len());
    message[..cut].to_owned()
}
