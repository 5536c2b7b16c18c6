//! The two callbacks that Meta requires of every app, and the page that tells how a deletion stands.
//!
//! Source: Meta, "Deauthorize Callback" and "Data Deletion Request Callback". Both are a form with a
//! `signed_request`; the second one is answered with a URL, readable by a person, and a code.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use chrono::Utc;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::json;
use tracing::{info, warn};

use super::deletion::{Deletion, page};
use super::http::{RETRY_AFTER, refuse};
use crate::instagram::signature::AppSecrets;
use crate::instagram::signed_request::{SignedRequest, SignedRequestError, is_confirmation_code};
use crate::store::callbacks::Deauthorized;
use crate::store::{Store, StoreError};

/// Where Meta says that a shop has removed the app.
pub const DEAUTHORIZE: &str = "/api/instagram/deauthorize";
/// Where Meta asks for what is stored of a shop to be deleted.
pub const DATA_DELETION: &str = "/api/instagram/data-deletion";

/// A signed request is a few hundred bytes.
const LONGEST_BODY: usize = 64 * 1024;
/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// What the callbacks need.
#[derive(Clone)]
pub struct CallbackState {
    /// The secrets that may have signed.
    pub secrets: AppSecrets,
    /// `server.public_url`; not set: the host that was asked.
    pub public_url: Option<String>,
    /// The database, connected to when it is asked: it may be away.
    pub store: Store,
    /// For how long the journal keeps what came, in days.
    pub keep_days: u32,
}

/// The routes.
pub fn callback_routes(state: CallbackState) -> Router {
    Router::new()
        .route(DEAUTHORIZE, post(deauthorize))
        .route(DATA_DELETION, post(begin_deletion))
        .route(&format!("{DATA_DELETION}/{{code}}"), get(deletion))
        .with_state(state)
}

/// Stops the accounts of who asks. One that is not known is stopped already.
async fn deauthorize(
    State(state): State<CallbackState>,
    request: Request,
) -> Result<Response, Refusal> {
    let asked = signed_request(&state, request.into_body()).await?;
    let outcomes = state
        .store
        .deauthorize(&asked.user_id, asked.issued_at)
        .await?;
    if outcomes.is_empty() {
        info!("Instagram deauthorised a user of whom there is no account");
    }
    for outcome in outcomes {
        match outcome {
            Deauthorized::Stopped(account) => {
                info!(account, "Instagram deauthorised an account: it is stopped");
            }
            Deauthorized::ConnectedSince(account) => warn!(
                account,
                issued_at = %asked.issued_at,
                "a deauthorisation is older than the account's last change: nothing is stopped"
            ),
        }
    }
    Ok(Json(json!({ "success": true })).into_response())
}

/// Begins to erase the accounts of who asks; the eraser does the rest.
async fn begin_deletion(
    State(state): State<CallbackState>,
    request: Request,
) -> Result<Response, Refusal> {
    let base = base_url(state.public_url.as_deref(), &request)?;
    let asked = signed_request(&state, request.into_body()).await?;
    let code = state
        .store
        .begin_deletion(&asked.user_id, asked.issued_at, &asked.confirmation_code)
        .await?;
    info!("Instagram asks for what is stored of a user to be deleted");
    let url = format!("{base}{DATA_DELETION}/{code}");
    Ok(Json(json!({ "url": url, "confirmation_code": code })).into_response())
}

/// How a deletion stands, for whoever has its code.
async fn deletion(
    State(state): State<CallbackState>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let tombstones = state.store.deletions(&code).await?;
    // One that nothing was stored for has left nothing, or its account was erased once more since.
    if tombstones.is_empty() && !is_confirmation_code(&code, &state.secrets) {
        return Err(Refusal::UnknownCode);
    }
    let deletion = Deletion::of(code, &tombstones, state.keep_days);
    let accept = headers.get(header::ACCEPT);
    let wants_page = accept
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    let mut response = if wants_page {
        let html = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (html, page(&deletion)).into_response()
    } else {
        Json(deletion).into_response()
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        let value = header::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

async fn signed_request(state: &CallbackState, body: Body) -> Result<SignedRequest, Refusal> {
    let body = read(body).await?;
    let mut form = url::form_urlencoded::parse(&body);
    let text = form.find(|(name, _)| name == "signed_request");
    let text = text.as_ref().map(|(_, value)| value.as_ref());
    Ok(SignedRequest::read(text, &state.secrets, Utc::now())?)
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let whole = Limited::new(body, LONGEST_BODY).collect();
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
    }
}

/// Where the world reaches this service, without a slash at its end.
fn base_url(configured: Option<&str>, request: &Request) -> Result<String, Refusal> {
    if let Some(url) = configured {
        return Ok(url.to_owned());
    }
    let of_header = || {
        let host = request.headers().get(header::HOST)?.to_str().ok()?;
        host.parse::<Authority>().ok()
    };
    let host = request.uri().authority().cloned().or_else(of_header);
    host.filter(|host| !host.as_str().contains('@'))
        .map(|host| format!("https://{host}"))
        .ok_or(Refusal::NoHost)
}

/// Why a callback is not done.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    SignedRequest(#[from] SignedRequestError),
    #[error("the body is larger than {LONGEST_BODY} bytes")]
    TooLarge,
    #[error("the body did not come whole; send it again")]
    Incomplete,
    #[error("the request names no host, and server.public_url is not set")]
    NoHost,
    #[error("no deletion was asked for under this code")]
    UnknownCode,
    #[error("the database cannot be asked now; ask again later")]
    Store(#[from] StoreError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::SignedRequest(SignedRequestError::Wrong) => StatusCode::UNAUTHORIZED,
            Self::SignedRequest(_) | Self::NoHost => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownCode => StatusCode::NOT_FOUND,
            Self::Incomplete | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            warn!(%error, "a callback of Instagram's cannot be done");
        }
        let mut response = refuse(self.status(), &self.to_string());
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after = header::HeaderValue::from_static(RETRY_AFTER);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}
