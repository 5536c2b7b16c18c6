//! The sections of the configuration as plain values, checked when they were read.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Secret, values};
use crate::vault::EncryptionKey;

/// The largest whole number that TOML and the server's API can hold.
const NO_LIMIT: u64 = i64::MAX.cast_unsigned();

/// `[server]`: the HTTP side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address of the webhook and of the management API.
    pub bind: SocketAddr,
    /// Where the world reaches the service, without a slash at its end.
    #[serde(deserialize_with = "values::optional_web_url")]
    pub public_url: Option<String>,
    /// Largest body of a delivery in bytes.
    #[serde(deserialize_with = "values::within::<_, _, 1024, 67_108_864>")]
    pub body_limit_bytes: usize,
    /// How long a delivery may wait to become durable before it is answered 503.
    #[serde(deserialize_with = "values::duration")]
    pub accept_timeout: Duration,
    /// How long a stop may take to finish what is in flight.
    #[serde(deserialize_with = "values::duration")]
    pub shutdown_timeout: Duration,
    /// Load limit in bytes of waiting deliveries; never less than `body_limit_bytes`.
    #[serde(deserialize_with = "values::within::<_, _, 1024, 1_099_511_627_776>")]
    pub max_waiting_bytes: usize,
    /// Load limit in number of waiting deliveries.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000_000>")]
    pub max_waiting_deliveries: usize,
    /// Connections at once.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1_000_000>")]
    pub max_connections: usize,
}

/// `[metrics]`: the Prometheus side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Address of `/metrics`.
    pub bind: SocketAddr,
}

/// `[instagram]`: what is shared with Meta's app.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instagram {
    /// App secrets; a signature made with any of them is good. Empty where none was configured:
    /// see [`Config::require_app_secrets`](super::Config::require_app_secrets).
    #[serde(deserialize_with = "values::secrets")]
    pub app_secrets: Vec<Secret>,
    /// Token of the handshake.
    #[serde(deserialize_with = "values::optional")]
    pub verify_token: Option<Secret>,
    /// Base of the Graph API, without a slash at its end.
    #[serde(deserialize_with = "values::web_url")]
    pub graph_url: String,
    /// Version of the Graph API, as in `v25.0`.
    #[serde(deserialize_with = "values::graph_version")]
    pub graph_version: String,
    /// The app's number with Meta. See [`Config::require_app`](super::Config::require_app).
    #[serde(deserialize_with = "values::app_id")]
    pub app_id: Option<String>,
    /// Base of the Graph API for what is the app's own, without a slash at its end.
    #[serde(deserialize_with = "values::web_url")]
    pub app_graph_url: String,
    /// How long one call of the Graph API may take.
    #[serde(deserialize_with = "values::duration")]
    pub graph_timeout: Duration,
    /// How long a call is tried again, pauses included.
    #[serde(deserialize_with = "values::duration")]
    pub graph_patience: Duration,
}

/// `[nats]`: the server of the streams.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Who runs the server.
    #[serde(deserialize_with = "values::choice")]
    pub mode: NatsMode,
    /// Servers to connect to, at least one in external mode and none in managed mode.
    #[serde(deserialize_with = "values::nats_urls")]
    pub url: Vec<Secret>,
    /// NATS credentials (.creds).
    #[serde(deserialize_with = "values::optional")]
    pub credentials_file: Option<PathBuf>,
    /// CA certificates (PEM); none: the system's.
    #[serde(deserialize_with = "values::optional")]
    pub tls_ca_file: Option<PathBuf>,
    /// Client certificate (PEM); with `tls_key_file` or not at all.
    #[serde(deserialize_with = "values::optional")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    #[serde(deserialize_with = "values::optional")]
    pub tls_key_file: Option<PathBuf>,
    /// The nats-server to start in managed mode; none: PATH, then `.tools/bin`.
    #[serde(deserialize_with = "values::optional")]
    pub server_binary: Option<PathBuf>,
    /// Where the managed server stores its streams.
    #[serde(deserialize_with = "values::not_empty")]
    pub data_dir: PathBuf,
    /// Where the managed server listens.
    pub listen: SocketAddr,
    /// As configured; [`Nats::durability`] has the default for the mode.
    #[serde(rename = "durability", deserialize_with = "values::optional")]
    pub configured_durability: Option<Durability>,
    /// HTTP monitor of an external server.
    #[serde(deserialize_with = "values::optional_web_url")]
    pub monitor_url: Option<String>,
}

impl Nats {
    /// What a 200 must mean on each server.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.configured_durability.unwrap_or(match self.mode {
            NatsMode::Managed => Durability::Fsync,
            NatsMode::External => Durability::File,
        })
    }
}

/// Who runs the NATS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NatsMode {
    /// The service starts and supervises one of its own.
    Managed,
    /// Somebody else; the service connects to it.
    External,
}

/// What an acknowledged message has survived on each server; the later ones promise more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// In memory only.
    Memory,
    /// Written to a file, not yet synced to the disk.
    File,
    /// Synced to the disk.
    Fsync,
}

impl Durability {
    /// As in the configuration and in the label of the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::File => "file",
            Self::Fsync => "fsync",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[database]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:` or `postgres:` URL, perhaps with a password.
    #[serde(deserialize_with = "values::database_url")]
    pub url: Secret,
    /// Whether `serve` brings the schema up to date.
    pub migrate_on_start: bool,
    /// Connections at most.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1000>")]
    pub max_connections: u32,
    /// How long to wait for a free connection.
    #[serde(deserialize_with = "values::duration")]
    pub acquire_timeout: Duration,
}

/// `[auth]`: who may use the management API. Nothing set: nobody.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Secret of tokens signed with HS256.
    #[serde(deserialize_with = "values::optional")]
    pub jwt_secret: Option<Secret>,
    /// Public key (PEM) of tokens signed with RS256, ES256 or `EdDSA`.
    #[serde(deserialize_with = "values::optional")]
    pub jwt_public_key_file: Option<PathBuf>,
    /// Where an identity provider publishes its keys.
    #[serde(deserialize_with = "values::optional_web_url")]
    pub jwks_url: Option<String>,
    /// What `iss` must be.
    #[serde(deserialize_with = "values::optional")]
    pub issuer: Option<String>,
    /// What `aud` must be or hold; without it a token has none.
    #[serde(deserialize_with = "values::optional")]
    pub audience: Option<String>,
}

impl Auth {
    /// Whether any kind of token is accepted.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.jwt_secret.is_some() || self.jwt_public_key_file.is_some() || self.jwks_url.is_some()
    }
}

/// `[api]`: the management API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Requests a second of one token in the long run.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100_000>")]
    pub rate_limit_per_second: u32,
    /// Requests of one token at once after a pause.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100_000>")]
    pub rate_limit_burst: u32,
    /// Origins whose pages may call it, as browsers send them, or `*`. Empty: none.
    #[serde(deserialize_with = "values::origins")]
    pub cors_origins: Vec<String>,
    /// Connections to the database at most, beside those of `[database]`.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1000>")]
    pub database_connections: u32,
    /// Streams of events (server-sent) at once.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100_000>")]
    pub max_streams: usize,
    /// The same of one token.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100_000>")]
    pub max_streams_per_token: usize,
}

/// `[accounts]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Whether an unknown account id creates the account.
    pub auto_register: bool,
    /// What access tokens are encrypted with.
    #[serde(deserialize_with = "values::encryption_key")]
    pub encryption_key: Option<EncryptionKey>,
    /// What they were encrypted with before.
    #[serde(deserialize_with = "values::encryption_keys")]
    pub previous_encryption_keys: Vec<EncryptionKey>,
}

/// `[handlers]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handlers {
    /// Attempts before an event becomes a dead letter.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1000>")]
    pub max_attempts: u32,
    /// Waits before the second attempt, the third, …; never empty. See [`Handlers::backoff_before`].
    #[serde(rename = "backoff_seconds", deserialize_with = "values::backoff")]
    pub backoff: Vec<Duration>,
    /// Events in one transaction at most, 1 to 1000.
    #[serde(deserialize_with = "values::within::<_, _, 1, 1000>")]
    pub batch_size: usize,
    /// Batches in hand at the same time at most where there is not enough of the database, 1 to 100.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100>")]
    pub at_once: usize,
    /// Who goes first, of every event type: 1 to 10, lower is sooner.
    #[serde(deserialize_with = "values::priorities")]
    pub priority: BTreeMap<String, u8>,
}

impl Handlers {
    /// How long to wait before an attempt, counted from 1; the last wait repeats.
    #[must_use]
    pub fn backoff_before(&self, attempt: u32) -> Duration {
        let Some(retry) = attempt.checked_sub(2) else {
            return Duration::ZERO;
        };
        let place = usize::try_from(retry).unwrap_or(usize::MAX);
        self.backoff
            .get(place)
            .or(self.backoff.last())
            .copied()
            .unwrap_or_default()
    }
}

/// `[stream]`: how the streams are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Servers that hold each message, 1 to 5.
    #[serde(deserialize_with = "values::within::<_, _, 1, 5>")]
    pub replicas: usize,
    /// Days that messages are kept.
    #[serde(deserialize_with = "values::within::<_, _, 1, 36_500>")]
    pub keep_days: u32,
    /// Size limit of each stream in bytes (the server counts in `i64`).
    #[serde(deserialize_with = "values::within::<_, _, 1_048_576, NO_LIMIT>")]
    pub max_bytes: i64,
    /// How many seconds the server recognises a resend.
    #[serde(deserialize_with = "values::within::<_, _, 1, 86_400>")]
    pub duplicate_window_seconds: u64,
    /// Percent of `max_bytes` from which a warning is given, 1 to 100.
    #[serde(deserialize_with = "values::within::<_, _, 1, 100>")]
    pub warn_percent: u8,
}

impl Stream {
    /// `keep_days` as a duration.
    #[must_use]
    pub fn keep(&self) -> Duration {
        const DAY: u64 = 86_400;
        Duration::from_secs(u64::from(self.keep_days) * DAY)
    }

    /// `duplicate_window_seconds` as a duration.
    #[must_use]
    pub fn duplicate_window(&self) -> Duration {
        Duration::from_secs(self.duplicate_window_seconds)
    }
}

/// `[privacy]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Privacy {
    /// Whether what a person unsent is kept.
    pub keep_unsent: bool,
}

/// `[retention]`: days that rows of the generic log stay; 0 keeps for ever.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Days of a processed event.
    #[serde(deserialize_with = "values::within::<_, _, 0, 36_500>")]
    pub processed_days: u32,
    /// Days of a duplicate.
    #[serde(deserialize_with = "values::within::<_, _, 0, 36_500>")]
    pub duplicates_days: u32,
    /// Days of a dead letter.
    #[serde(deserialize_with = "values::within::<_, _, 0, 36_500>")]
    pub dead_letters_days: u32,
    /// Where rows are written before they are deleted.
    #[serde(deserialize_with = "values::optional")]
    pub archive_dir: Option<PathBuf>,
}

/// `[log]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Text or JSON.
    #[serde(deserialize_with = "values::choice")]
    pub format: LogFormat,
    /// Directives of the filter, in the syntax of `tracing_subscriber::EnvFilter`.
    #[serde(deserialize_with = "values::log_level")]
    pub level: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For a person.
    Text,
    /// For a log collector.
    Json,
}
