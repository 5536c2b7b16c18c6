//! Instagram's side over HTTP: the handshake, and deliveries. Source: Meta,
//! "Webhooks: Getting Started" (verification requests, event notifications).

use std::collections::HashMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{BoxError, Router};
use bytes::{Bytes, BytesMut};
use chrono::{DurationRound, TimeDelta, Utc};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::debug;
use uuid::Uuid;

use super::actor::{NotAccepted, ReceiverHandle};
use super::limits::Limits;
use crate::instagram::delivery::{Delivery, GrammarError, Verified};
use crate::instagram::signature::{AppSecrets, SIGNATURE_HEADER, SignatureError};
use crate::stream::Connection;
use crate::telemetry::metrics::{AcceptMetrics, Outcome};

/// Where Instagram posts.
pub const PATH: &str = "/api/instagram/webhooks";

/// What Instagram is answered when a delivery is durable.
const RECEIVED: &str = "EVENT_RECEIVED";
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// In seconds.
pub(super) const RETRY_AFTER: &str = "5";

/// What the receiver's routes need.
#[derive(Clone)]
pub struct ReceiverState {
    /// The secrets that may have signed.
    pub secrets: AppSecrets,
    /// The token of the handshake.
    pub verify_token: String,
    /// `server.body_limit_bytes`.
    pub body_limit: usize,
    /// `server.accept_timeout`.
    pub accept_timeout: Duration,
    /// How much may wait.
    pub limits: Limits,
    /// The actor.
    pub receiver: ReceiverHandle,
    /// Asked for the server's `max_payload`.
    pub connection: Connection,
    /// What is counted.
    pub metrics: AcceptMetrics,
}

/// The routes.
pub fn routes(state: ReceiverState) -> Router {
    Router::new()
        .route(PATH, get(handshake).post(deliver))
        .with_state(state)
}

/// Answers the challenge of whoever knows the verify token.
async fn handshake(
    State(state): State<ReceiverState>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let parameter = |name: &str| {
        // PHP-style names are seen behind some proxies.
        query
            .get(&format!("hub.{name}"))
            .or_else(|| query.get(&format!("hub_{name}")))
            .map(String::as_str)
    };
    let (Some(mode), Some(token), Some(challenge)) = (
        parameter("mode"),
        parameter("verify_token"),
        parameter("challenge"),
    ) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "hub.mode, hub.verify_token and hub.challenge are needed",
        );
    };
    if mode != "subscribe" || !is_same(token, &state.verify_token) {
        return refuse(
            StatusCode::FORBIDDEN,
            "hub.mode is not subscribe, or hub.verify_token is not the configured one",
        );
    }
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        challenge.to_owned(),
    )
        .into_response()
}

/// Digests are compared, so that the time it takes says nothing of the token.
fn is_same(told: &str, token: &str) -> bool {
    Sha256::digest(told.as_bytes()) == Sha256::digest(token.as_bytes())
}

/// One delivery.
async fn deliver(State(state): State<ReceiverState>, headers: HeaderMap, body: Body) -> Response {
    let arrived = Instant::now();
    let (outcome, response) = match receive(&state, &headers, body, arrived).await {
        Ok(()) => (Outcome::Accepted, RECEIVED.into_response()),
        Err(refusal) => {
            debug!(reason = %refusal, "a delivery was not accepted");
            (refusal.outcome(), refusal.into_response())
        }
    };
    state.metrics.finished(outcome, arrived.elapsed());
    response
}

async fn receive(
    state: &ReceiverState,
    headers: &HeaderMap,
    body: Body,
    arrived: Instant,
) -> Result<(), Refusal> {
    let received_at = Utc::now();
    let limit = state.body_limit.min(state.connection.largest_body());
    let announced = announced_length(headers);
    let length = announced.unwrap_or(limit);
    if length > limit {
        return Err(Refusal::TooLarge(limit));
    }
    let permit = state.limits.take(length).ok_or(Refusal::Overloaded)?;
    let body = read(body, announced.unwrap_or_default(), limit).await?;
    let signature = headers
        .get(SIGNATURE_HEADER)
        .map(header::HeaderValue::as_bytes);
    let secret_id = state.secrets.verify(signature, &body)?.to_owned();
    let delivery = Delivery {
        id: Uuid::now_v7(),
        received_at: received_at
            .duration_trunc(TimeDelta::microseconds(1))
            .unwrap_or(received_at),
        signature: signature
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .unwrap_or_default(),
        secret_id,
        body,
    };
    let verified = Verified::new(delivery)?;
    state
        .receiver
        .accept(verified, permit, arrived + state.accept_timeout)
        .await?;
    Ok(())
}

fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// The body, in memory once: as it comes it is put where there is room for all
/// of the announced `length`.
async fn read(body: Body, length: usize, limit: usize) -> Result<Bytes, Refusal> {
    let whole = async {
        let mut body = Limited::new(body, limit);
        let mut whole = BytesMut::with_capacity(length);
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame?.into_data() {
                whole.extend_from_slice(&data);
            }
        }
        Ok(whole.freeze())
    };
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_long(&error) => Err(Refusal::TooLarge(limit)),
        Ok(Err(error)) => Err(Refusal::Incomplete(error.to_string())),
        Err(_) => Err(Refusal::Incomplete(format!(
            "it took longer than {BODY_TIMEOUT:?}"
        ))),
    }
}

fn is_too_long(error: &BoxError) -> bool {
    error.is::<LengthLimitError>()
}

/// Why a delivery is not answered `EVENT_RECEIVED`.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("too many deliveries wait; deliver again later")]
    Overloaded,
    #[error("the body did not come whole: {0}")]
    Incomplete(String),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error(transparent)]
    NotAccepted(#[from] NotAccepted),
}

impl Refusal {
    fn outcome(&self) -> Outcome {
        match self {
            Self::TooLarge(_) => Outcome::TooLarge,
            Self::Overloaded => Outcome::Overloaded,
            Self::Signature(_) => Outcome::InvalidSignature,
            Self::Grammar(GrammarError::AnotherObject) => Outcome::Ignored,
            Self::Grammar(_) => Outcome::Malformed,
            Self::NotAccepted(_) | Self::Incomplete(_) => Outcome::Unavailable,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            // A body that did not come whole may be our own slowness.
            Self::Overloaded | Self::NotAccepted(_) | Self::Incomplete(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Grammar(GrammarError::AnotherObject) => StatusCode::OK,
            Self::Grammar(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = refuse(status, &self.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(
                header::RETRY_AFTER,
                header::HeaderValue::from_static(RETRY_AFTER),
            );
        }
        response
    }
}

pub(super) fn refuse(status: StatusCode, reason: &str) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        format!("{reason}\n"),
    )
        .into_response()
}
