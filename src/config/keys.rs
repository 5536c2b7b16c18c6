//! Every key of the configuration: whether its value may be shown, and what is allowed.
//!
//! The defaults and the meaning of each stand in `config/default.toml`; a test keeps both lists alike. Each event
//! type has a key of its own, so that a new type needs no line here.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::instagram::types;

/// One key of the configuration.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// Section and name, as in `server.bind`.
    pub name: Cow<'static, str>,
    /// Whether its value must never be shown.
    pub secret: bool,
    /// What is allowed, to follow "it must be".
    pub allowed: &'static str,
}

const ADDRESS: &str = "an IP address with a port, such as 127.0.0.1:8080";
const DURATION: &str =
    "a duration with its unit, above zero and at most 1h, such as 500ms, 4s or 2m";
const FLAG: &str = "true or false";
const PATH: &str = "the path of a file that can be read";
const SECRET_FILE: &str = "the path of a file, as text";
const ENCRYPTION_KEY: &str =
    "32 bytes as 64 hexadecimal digits or as base64, such as `openssl rand -hex 32` prints";
const COUNT: &str = "a whole number from 1 to 1000000000";
const DAYS: &str = "a whole number of days from 0 (0 keeps for ever) to 36500";

const fn key(name: &'static str, allowed: &'static str) -> Key {
    Key {
        name: Cow::Borrowed(name),
        secret: false,
        allowed,
    }
}

const fn secret(name: &'static str, allowed: &'static str) -> Key {
    Key {
        name: Cow::Borrowed(name),
        secret: true,
        allowed,
    }
}

/// The keys that do not depend on the event types, in the order of `config/default.toml`.
pub(super) const PLAIN: &[Key] = &[
    key("server.bind", ADDRESS),
    key("server.public_url", "an http:// or https:// URL, or empty"),
    key(
        "server.body_limit_bytes",
        "a whole number of bytes from 1024 to 67108864",
    ),
    key("server.accept_timeout", DURATION),
    key("server.shutdown_timeout", DURATION),
    key(
        "server.max_waiting_bytes",
        "a whole number of bytes from 1024 to 1099511627776",
    ),
    key("server.max_waiting_deliveries", COUNT),
    key("server.max_connections", COUNT),
    key("metrics.bind", ADDRESS),
    secret(
        "instagram.app_secrets",
        "a list of texts, none of them empty",
    ),
    key("instagram.app_secrets_file", SECRET_FILE),
    secret("instagram.verify_token", "a text"),
    key("instagram.verify_token_file", SECRET_FILE),
    key("instagram.graph_url", "an http:// or https:// URL"),
    key(
        "instagram.graph_version",
        "v, a number, a dot and a number, such as v25.0",
    ),
    key("instagram.app_id", "a number of digits, as text, or empty"),
    key("instagram.app_graph_url", "an http:// or https:// URL"),
    key("instagram.graph_timeout", DURATION),
    key("instagram.graph_patience", DURATION),
    key("nats.mode", "managed or external"),
    secret(
        "nats.url",
        "one or more URLs that begin with nats://, tls://, ws:// or wss://",
    ),
    key("nats.url_file", SECRET_FILE),
    key("nats.credentials_file", PATH),
    key("nats.tls_ca_file", PATH),
    key("nats.tls_cert_file", PATH),
    key("nats.tls_key_file", PATH),
    key(
        "nats.server_binary",
        "the path of a nats-server, as text, or empty",
    ),
    key("nats.data_dir", "the path of a directory, not empty"),
    key(
        "nats.listen",
        "an IP address with a port, such as 127.0.0.1:4222",
    ),
    key("nats.durability", "memory, file or fsync, or empty"),
    key("nats.monitor_url", "an http:// or https:// URL, or empty"),
    secret(
        "database.url",
        "a URL that begins with sqlite:, postgres:// or postgresql://",
    ),
    key("database.url_file", SECRET_FILE),
    key("database.migrate_on_start", FLAG),
    key("database.max_connections", "a whole number from 1 to 1000"),
    key("database.acquire_timeout", DURATION),
    secret("auth.jwt_secret", "a text"),
    key("auth.jwt_secret_file", SECRET_FILE),
    key("auth.jwt_public_key_file", PATH),
    key("auth.jwks_url", "an http:// or https:// URL, or empty"),
    key("auth.issuer", "a text"),
    key("auth.audience", "a text"),
    key(
        "api.rate_limit_per_second",
        "a whole number from 1 to 100000",
    ),
    key("api.rate_limit_burst", "a whole number from 1 to 100000"),
    key(
        "api.cors_origins",
        "a list of origins such as https://console.example.com, or *",
    ),
    key("api.database_connections", "a whole number from 1 to 1000"),
    key("api.max_streams", "a whole number from 1 to 100000"),
    key(
        "api.max_streams_per_token",
        "a whole number from 1 to 100000",
    ),
    key("accounts.auto_register", FLAG),
    secret("accounts.encryption_key", ENCRYPTION_KEY),
    key("accounts.encryption_key_file", SECRET_FILE),
    secret(
        "accounts.previous_encryption_keys",
        "a list of keys, each of 32 bytes as 64 hexadecimal digits or as base64",
    ),
    key("accounts.previous_encryption_keys_file", SECRET_FILE),
    key("handlers.max_attempts", "a whole number from 1 to 1000"),
    key(
        "handlers.backoff_seconds",
        "one or more whole numbers of seconds from 0 to 86400, such as 2,4",
    ),
    key("handlers.batch_size", "a whole number from 1 to 1000"),
    key("handlers.at_once", "a whole number from 1 to 100"),
    key("stream.replicas", "a whole number from 1 to 5"),
    key("stream.keep_days", "a whole number of days from 1 to 36500"),
    key("stream.max_bytes", "a whole number of bytes from 1048576"),
    key(
        "stream.duplicate_window_seconds",
        "a whole number of seconds from 1 to 86400",
    ),
    key("stream.warn_percent", "a whole number from 1 to 100"),
    key("privacy.keep_unsent", FLAG),
    key("retention.processed_days", DAYS),
    key("retention.duplicates_days", DAYS),
    key("retention.dead_letters_days", DAYS),
    key(
        "retention.archive_dir",
        "the path of a directory, as text, or empty",
    ),
    key("log.format", "auto, text or json"),
    key(
        "log.level",
        "a level (error, warn, info, debug, trace) or directives such as info,igstream=debug",
    ),
];

/// All keys.
pub(super) static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let priorities = types::with_unknown().map(|event_type| Key {
        name: Cow::Owned(priority_of(event_type.name)),
        secret: false,
        allowed: "a whole number from 1 (first) to 10 (last)",
    });
    PLAIN.iter().cloned().chain(priorities).collect()
});

/// The key that says who goes first.
pub(super) fn priority_of(event_type: &str) -> String {
    format!("handlers.priority.{event_type}")
}

/// What the environment calls a variable of ours begins with.
pub(super) const PREFIX: &str = "IGSTREAM__";

/// The key of this name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The environment variable of a key: `server.bind` is `IGSTREAM__SERVER__BIND`.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('.', "__").to_uppercase())
}

/// The name most like a mistyped one, if one is like it at all.
pub(super) fn nearest(typed: &str, names: impl Iterator<Item = String>) -> Option<String> {
    const ALIKE: f64 = 0.85;
    names
        .map(|name| (strsim::jaro_winkler(typed, &name), name))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
