//! One attempt to post a delivery, signed, over HTTP.

use std::{error::Error, time::Duration};

use reqwest::{
    Body, Client, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT},
    redirect::Policy,
};
use tokio::time::Instant;

use super::{delivery::Delivery, ledger::LedgerError, signer::Signer};

/// Meta waits up to 20 s for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How a delivery was answered in the end.
pub(super) struct Answer {
    /// The last attempt's HTTP status, if it got one.
    pub status: Option<u16>,
    /// Posted more than once.
    pub retried: bool,
    /// How long the last attempt took.
    pub latency: Duration,
    /// Why the last attempt got no status.
    pub error: Option<String>,
}

pub(super) enum Verdict {
    AsExpected,
    Unexpected,
    Failed,
}

impl Answer {
    pub(super) fn verdict(&self, expected: u16) -> Verdict {
        match self.status {
            Some(status) if status == expected => Verdict::AsExpected,
            Some(status) if !is_to_be_retried(status) => Verdict::Unexpected,
            _ => Verdict::Failed,
        }
    }
}

pub(super) const fn is_to_be_retried(status: u16) -> bool {
    status >= 500 || status == 429
}

/// A run could not be started, or not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// No place to post to.
    #[error(
        "the url {url:?} cannot be posted to: {reason}; give --url an address like http://127.0.0.1:8080/api/instagram/webhooks"
    )]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client cannot be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[source] reqwest::Error),
    /// The ledger cannot be written: without it the run proves nothing.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A connection's task ended by a panic.
    #[error("a connection's task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
    /// The latencies cannot be counted.
    #[error("the latencies cannot be counted: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
}

/// Where deliveries are posted, and with what.
pub(super) struct Poster {
    url: Url,
    client: Client,
    signer: Signer,
}

impl Poster {
    /// A poster that keeps up to `connections` connections open.
    pub(super) fn new(url: &str, connections: usize, signer: Signer) -> Result<Self, PlayError> {
        Ok(Self {
            url: parse_url(url)?,
            client: client(connections).map_err(PlayError::Client)?,
            signer,
        })
    }

    pub(super) async fn attempt(&self, delivery: &Delivery, retried: bool) -> Answer {
        let begun = Instant::now();
        let outcome = self.post(delivery).await;
        let latency = begun.elapsed();
        let (status, error) = match outcome {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(root_cause(&error))),
        };
        Answer {
            status,
            retried,
            latency,
            error,
        }
    }

    async fn post(&self, delivery: &Delivery) -> reqwest::Result<u16> {
        let signature = self
            .signer
            .header(delivery.number, delivery.signing, &delivery.body);
        let reply = exchange(&self.client, &self.url, delivery.body.clone(), signature).await?;
        Ok(reply.status)
    }
}

/// What came back for one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Posts `body` as Instagram does. Reads the answer to its end: only then is the connection free for the
/// next delivery.
pub(super) async fn exchange(
    client: &Client,
    url: &Url,
    body: impl Into<Body>,
    signature: Option<String>,
) -> reqwest::Result<Reply> {
    let mut request = client.post(url.clone()).body(body);
    if let Some(signature) = signature {
        request = request.header("x-hub-signature-256", signature);
    }
    let response = request.send().await?;
    Ok(Reply {
        status: response.status().as_u16(),
        body: response.bytes().await?.to_vec(),
    })
}

pub(super) fn parse_url(text: &str) -> Result<Url, PlayError> {
    let wrong = |reason: String| PlayError::Url {
        url: text.to_owned(),
        reason,
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(wrong(format!("{} is not http or https", url.scheme())))
    }
}

pub(super) fn client(connections: usize) -> reqwest::Result<Client> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("facebookexternalua"));
    Client::builder()
        .default_headers(headers)
        .no_proxy()
        .redirect(Policy::none())
        .pool_max_idle_per_host(connections)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .build()
}

pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() {
        format!("no answer in time ({cause})")
    } else {
        cause.to_string()
    }
}
