//! What every answer has, whatever it is: an id, headers that keep it out of caches and frames, a line in the
//! log, and an end.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use tracing::{Instrument as _, debug, field, info, info_span, warn};
use uuid::Uuid;

use super::problem::Problem;

/// The header with the id of a request.
pub const ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 128;
/// How long an answer may take to begin.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Around everything.
pub(super) async fn attend(request: Request, next: Next) -> Response {
    let id = id(request.headers());
    let (method, began) = (request.method().clone(), Instant::now());
    let path = request.uri().path().to_owned();
    let span = info_span!(
        "request",
        request_id = id.to_str().unwrap_or_default(),
        %method,
        path,
        subject = field::Empty
    );
    async {
        // A panic is one request's alone.
        let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
        let mut response =
            answer.unwrap_or_else(|_| Problem::internal(&"the handler panicked").into_response());
        add_headers(response.headers_mut(), id);
        log(&method, &response, began.elapsed());
        response
    }
    .instrument(span)
    .await
}

/// The client's, if it is one that can stand in a log; else a new one.
fn id(headers: &HeaderMap) -> HeaderValue {
    let is_sane = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        !bytes.is_empty() && bytes.len() <= LONGEST_ID && bytes.iter().all(is_good)
    };
    let own = || HeaderValue::from_str(&Uuid::now_v7().to_string());
    headers
        .get(ID)
        .filter(is_sane)
        .cloned()
        .or_else(|| own().ok())
        .unwrap_or(HeaderValue::from_static("-"))
}

fn add_headers(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(ID, id);
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

fn log(method: &Method, response: &Response, took: Duration) {
    let (status, took_ms) = (response.status().as_u16(), took.as_millis());
    if response.status().is_server_error() {
        warn!(status, took_ms, "answered");
    } else if method.is_safe() {
        debug!(status, took_ms, "answered");
    } else {
        info!(status, took_ms, "answered");
    }
}

/// Around what is answered at once: nobody waits for ever for a database that takes the question and says
/// nothing.
pub(super) async fn end(request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    if let Ok(response) = tokio::time::timeout(ANSWERED_WITHIN, next.run(request)).await {
        return response;
    }
    let path = path.as_ref().map(MatchedPath::as_str);
    warn!(path, "there was no answer in time");
    Problem::unavailable("there was no answer in time; ask again later, or for less")
        .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_id_that_can_stand_in_a_log_is_kept() {
        let given = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            id(&headers)
        };
        assert_eq!(given("job-17:3"), "job-17:3");
        for odd in ["", "two words", "ä", "a\"b", &"x".repeat(129)] {
            let made = given(odd);
            assert!(
                Uuid::try_parse_ascii(made.as_bytes()).is_ok(),
                "{odd} became {made:?}"
            );
        }
    }
}
