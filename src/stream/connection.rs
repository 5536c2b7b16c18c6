//! The connection to NATS: one for what goes out, one for what comes in, so that
//! a fat read never delays an acknowledgement.

use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, context::ContextBuilder};
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, connection::State};

use super::acks::{Acknowledged, NoAnswer, Waits};
use super::message::Outgoing;
use crate::secret::Secret;

/// How long a publish waits for its acknowledgement before it is sent again.
const PUBLISH_TIMEOUT: Duration = Duration::from_millis(1500);
const API_TIMEOUT: Duration = Duration::from_secs(10);
const PAUSE_BEFORE_RETRY: Duration = Duration::from_millis(500);
/// How long a stop waits for NATS, which may be away.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Messages that a connection holds while the server does not read them. What is
/// published can be large, what tells of messages consumed is small.
const PUBLISH_QUEUE: usize = 1024;
const CONSUME_QUEUE: usize = 8192;
/// What a message of the journal may weigh less than the server's `max_payload`.
pub const PAYLOAD_MARGIN_BYTES: usize = 64 * 1024;

/// How to reach NATS.
#[derive(Debug, Clone, Default)]
pub struct ConnectionOptions {
    /// One or more server URLs.
    pub urls: Vec<String>,
    /// A credentials file (JWT and seed).
    pub credentials_file: Option<PathBuf>,
    /// A file of root certificates.
    pub tls_ca_file: Option<PathBuf>,
    /// The client's certificate and key.
    pub tls_client_files: Option<(PathBuf, PathBuf)>,
}

/// Why NATS cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The credentials file cannot be read.
    #[error("`nats.credentials_file` {path:?} cannot be read: {reason}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// No server of the list answers.
    #[error("no NATS server answers at `nats.url` ({hosts}): {reason}")]
    Connect {
        /// The servers, without what could be a password.
        hosts: String,
        /// What the client says.
        reason: async_nats::ConnectError,
    },
    /// It cannot be told where to send acknowledgements.
    #[error("the NATS server takes no subscription: {0}")]
    Subscribe(#[from] async_nats::SubscribeError),
}

/// Both clients: what goes out is acknowledged or given up, what comes in has a `JetStream` context.
#[derive(Debug, Clone)]
pub struct Connection {
    publishing: Client,
    acknowledged: Arc<Acknowledged>,
    /// For what comes in, and for the `JetStream` API.
    pub consume: jetstream::Context,
}

impl Connection {
    /// Connects, trying again for `patience`: whoever starts igstream may have
    /// started NATS at the same time.
    pub async fn open_within(
        options: &ConnectionOptions,
        patience: Duration,
    ) -> Result<Self, ConnectionError> {
        let deadline = Instant::now() + patience;
        loop {
            match Self::open(options).await {
                Err(error @ ConnectionError::Connect { .. }) if Instant::now() < deadline => {
                    tracing::warn!(%error, "trying again");
                    tokio::time::sleep(PAUSE_BEFORE_RETRY).await;
                }
                opened => return opened,
            }
        }
    }

    /// Connects; the clients reconnect by themselves from then on.
    pub async fn open(options: &ConnectionOptions) -> Result<Self, ConnectionError> {
        let waits = Waits::default();
        let publishing = connect(options, "igstream publish", PUBLISH_QUEUE, waits.clone()).await?;
        let consuming =
            connect(options, "igstream consume", CONSUME_QUEUE, Waits::default()).await?;
        Ok(Self {
            acknowledged: Arc::new(Acknowledged::open(publishing.clone(), waits).await?),
            consume: ContextBuilder::new().timeout(API_TIMEOUT).build(consuming),
            publishing,
        })
    }

    /// Sends `message` to its stream, and returns what that answers, an error of its own perhaps.
    ///
    /// # Errors
    /// [`NoAnswer`]: the message may be stored all the same.
    pub async fn publish(&self, message: &Outgoing) -> Result<Message, NoAnswer> {
        let headers = message.headers.to_map(&[]);
        self.acknowledged
            .request(message, headers, PUBLISH_TIMEOUT)
            .await
    }

    /// The same with other headers and another patience.
    pub(super) async fn publish_with(
        &self,
        message: &Outgoing,
        headers: HeaderMap,
        within: Duration,
    ) -> Result<Message, NoAnswer> {
        self.acknowledged.request(message, headers, within).await
    }

    /// How many messages wait for their acknowledgement now.
    #[must_use]
    pub fn unacknowledged(&self) -> usize {
        self.acknowledged.waiting()
    }

    /// Sends a message that nothing answers.
    ///
    /// # Errors
    /// What the client says.
    pub(super) async fn send(
        &self,
        message: &Outgoing,
        headers: HeaderMap,
    ) -> Result<(), async_nats::PublishError> {
        self.acknowledged.until_connected().await;
        let (subject, body) = (message.subject.clone(), message.body.clone());
        self.publishing
            .publish_with_headers(subject, headers, body)
            .await
    }

    /// The most that one message can hold, in bytes, as the server says.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.publishing.server_info().max_payload
    }

    /// The largest body of a delivery that a message of the journal can hold, in
    /// bytes.
    #[must_use]
    pub fn largest_body(&self) -> usize {
        self.max_payload().saturating_sub(PAYLOAD_MARGIN_BYTES)
    }

    /// Whether the server is one of a cluster.
    #[must_use]
    pub fn is_clustered(&self) -> bool {
        self.publishing.server_info().cluster.is_some()
    }

    /// Whether the client that publishes is connected now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.publishing.connection_state() == State::Connected
    }

    /// Sends what is still on its way, acknowledgements included, and closes.
    /// What cannot be sent since NATS is away is done again at the next start.
    pub async fn close(&self) {
        for client in [self.publishing.clone(), self.consume.client()] {
            if tokio::time::timeout(CLOSE_TIMEOUT, close(&client))
                .await
                .is_err()
            {
                tracing::warn!("the NATS connection could not be closed in time");
            }
        }
    }
}

async fn close(client: &Client) {
    if let Err(error) = client.flush().await {
        tracing::warn!(%error, "the NATS connection could not be flushed");
    }
    if let Err(error) = client.drain().await {
        tracing::warn!(%error, "the NATS connection could not be closed");
    }
}

async fn connect(
    options: &ConnectionOptions,
    name: &str,
    queue: usize,
    waits: Waits,
) -> Result<Client, ConnectionError> {
    let mut connect = ConnectOptions::new()
        .name(name)
        .ping_interval(PING_INTERVAL)
        .client_capacity(queue)
        .skip_subject_validation(true)
        .event_callback(move |event| {
            if event == Event::Disconnected {
                waits.lose_all();
            }
            log_event(&event);
            ready(())
        });
    if let Some(path) = &options.credentials_file {
        connect = connect.credentials_file(path).await.map_err(|reason| {
            ConnectionError::Credentials {
                path: path.clone(),
                reason,
            }
        })?;
    }
    if let Some(path) = &options.tls_ca_file {
        connect = connect.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &options.tls_client_files {
        connect = connect.add_client_certificate(certificate.clone(), key.clone());
    }
    connect
        .connect(&options.urls)
        .await
        .map_err(|reason| ConnectionError::Connect {
            hosts: hosts(&options.urls),
            reason,
        })
}

fn log_event(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to NATS"),
        Event::Disconnected => tracing::warn!("disconnected from NATS; trying again"),
        other => tracing::debug!(event = %other, "NATS"),
    }
}

/// The URLs without user and password.
fn hosts(urls: &[String]) -> String {
    let bare = urls
        .iter()
        .map(|url| Secret::new(url).url_without_credentials());
    bare.collect::<Vec<_>>().join(", ")
}
