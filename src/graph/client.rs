//! One call of the Graph API, tried again while that makes sense.

use std::time::Duration;

use backon::Retryable as _;
use bytes::BytesMut;
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, Response, redirect};
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use tracing::warn;

use super::error::GraphError;
use super::pauses;
use super::refusal::Refusal;
use crate::secret::Secret;

/// More than any answer to what is asked here.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Where the Graph API is, and for how long it is asked.
#[derive(Debug, Clone)]
pub struct GraphOptions {
    /// Its base, without a slash at its end.
    pub url: String,
    /// The key of the configuration that says so.
    pub url_key: &'static str,
    /// Its version, as in `v25.0`.
    pub version: String,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// How long a call is tried again, pauses included.
    pub patience: Duration,
}

/// Calls the Graph API.
#[derive(Debug, Clone)]
pub struct GraphClient {
    /// Or why there is none: it is said when something is asked, for whoever never asks needs none.
    http: Result<Client, String>,
    pub(super) options: GraphOptions,
}

/// What is asked.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// Below the version, with a slash at its beginning.
    pub(super) path: String,
    pub(super) parameters: &'a [(&'a str, &'a str)],
    pub(super) token: &'a Secret,
    /// What a refusal may mean here.
    pub(super) mends: Mends,
}

/// What only the caller can say of the mend.
#[derive(Debug, Clone, Default)]
pub(super) struct Mends {
    /// The permissions that the call needs.
    pub(super) permissions: Vec<&'static str>,
    /// How a token is given anew.
    pub(super) token: String,
    /// The URL at which Meta wants the handshake answered.
    pub(super) callback_url: Option<String>,
}

impl Call<'_> {
    pub(super) fn asked(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl GraphClient {
    /// Makes a client; it connects when it is asked.
    #[must_use]
    pub fn new(options: GraphOptions) -> Self {
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .user_agent(concat!("igstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| root_cause(&error));
        Self { http, options }
    }

    /// Asks until it is answered, refused for good, or patience ends.
    pub(super) async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, GraphError> {
        let until = Instant::now() + self.options.patience;
        let once = || async { self.ask_once(call, until).await };
        once.retry(pauses::growing())
            .when(GraphError::passes)
            .adjust(|error, pause| pauses::within(until, error.retry_after(), pause))
            .notify(|error, pause| {
                warn!(%error, pause_ms = pause.as_millis(), "the Graph API is asked again");
            })
            .await
    }

    async fn ask_once<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        until: Instant,
    ) -> Result<T, GraphError> {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = self.options.call_timeout.min(left);
        let http = self.http.as_ref();
        let http = http.map_err(|reason| GraphError::Client(reason.clone()))?;
        let answered = tokio::time::timeout(timeout, self.send(http, call)).await;
        let answered = answered.map_err(|_| self.no_answer(call, timed_out(timeout), true))?;
        let (status, headers, body) = answered
            .map_err(|error| self.no_answer(call, root_cause(&error), error.is_timeout()))?;
        self.read(call, status, &headers, &body)
    }

    async fn send(
        &self,
        http: &Client,
        call: &Call<'_>,
    ) -> reqwest::Result<(u16, HeaderMap, BytesMut)> {
        let GraphOptions { url, version, .. } = &self.options;
        let url = format!("{url}/{version}{}", call.path);
        let request = http
            .request(call.method.clone(), url)
            .bearer_auth(call.token.expose());
        let request = match call.method {
            Method::GET => request.query(call.parameters),
            _ => request.form(call.parameters),
        };
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok((status, headers, body(response).await?))
    }

    fn read<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<T, GraphError> {
        if let Some(refusal) = Refusal::read(status, headers, body) {
            let refusal = refusal.without(&hidden(call));
            return Err(GraphError::refused(call, refusal));
        }
        serde_json::from_slice(body).map_err(|error| GraphError::NotTheGraphApi {
            asked: call.asked(),
            url: self.options.url.clone(),
            url_key: self.options.url_key,
            status,
            reason: error.to_string(),
        })
    }

    fn no_answer(&self, call: &Call<'_>, reason: String, timed_out: bool) -> GraphError {
        GraphError::NoAnswer {
            asked: call.asked(),
            url: self.options.url.clone(),
            url_key: self.options.url_key,
            reason,
            timed_out,
        }
    }
}

fn timed_out(timeout: Duration) -> String {
    format!("it took longer than {timeout:?}")
}

/// What must not come back to anybody, though Meta repeats it.
fn hidden<'a>(call: &Call<'a>) -> Vec<&'a str> {
    let verify_token = call
        .parameters
        .iter()
        .filter(|(name, _)| *name == "verify_token");
    verify_token
        .map(|(_, value)| *value)
        // The app's own is its number and its secret.
        .chain(call.token.expose().split('|').skip(1))
        .chain([call.token.expose()])
        .collect()
}

/// As much of it as any answer has.
async fn body(mut response: Response) -> reqwest::Result<BytesMut> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        let room = LONGEST_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == LONGEST_ANSWER {
            break;
        }
    }
    Ok(body)
}

/// What lies below `reqwest`'s words, which only repeat the URL.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
