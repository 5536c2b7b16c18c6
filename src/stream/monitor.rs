//! What a nats-server tells of itself over HTTP, which it tells no client: how often it syncs.
//!
//! Source: the server's monitoring endpoint `/varz`; `sync_interval` is in nanoseconds, and not used where
//! `sync_always` is there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Why nothing can be learned of the server.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// It does not answer.
    #[error("`nats.monitor_url` ({url}) does not answer: {reason}")]
    NoAnswer {
        /// What was asked for.
        url: String,
        /// Why.
        reason: String,
    },
    /// It answers something else.
    #[error(
        "`nats.monitor_url` ({url}) is no monitor of a nats-server with JetStream: {reason}; it is the address of the server's `http_port`, such as http://127.0.0.1:8222"
    )]
    NoMonitor {
        /// What was asked for.
        url: String,
        /// Why.
        reason: String,
    },
}

/// What a server says of itself.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// When it syncs what it stores.
    pub sync: Sync,
    /// How many bytes its streams may still reserve.
    pub reservable_bytes: i64,
    /// Its clock.
    pub now: DateTime<Utc>,
}

/// When a server syncs what it has written to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it acknowledges.
    Always,
    /// From time to time: a power cut loses what was acknowledged since.
    Every(Duration),
}

/// Asks the monitor at `url`.
pub async fn ask(url: &str) -> Result<ServerSettings, MonitorError> {
    let url = format!("{}/varz", url.trim_end_matches('/'));
    let no_answer = |error: reqwest::Error| MonitorError::NoAnswer {
        url: url.clone(),
        reason: root_cause(&error),
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(no_answer)?;
    let answer = client.get(&url).send().await.map_err(no_answer)?;
    let body = answer.bytes().await.map_err(no_answer)?;
    read(&body).map_err(|error| MonitorError::NoMonitor {
        url,
        reason: error.to_string(),
    })
}

#[derive(Deserialize)]
struct Varz {
    now: DateTime<Utc>,
    jetstream: JetStream,
}

#[derive(Deserialize)]
struct JetStream {
    config: Settings,
    stats: Statistics,
}

#[derive(Deserialize)]
struct Settings {
    max_storage: i64,
    /// In nanoseconds.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

#[derive(Deserialize)]
struct Statistics {
    reserved_storage: i64,
}

fn read(body: &[u8]) -> Result<ServerSettings, serde_json::Error> {
    let Varz { now, jetstream } = serde_json::from_slice(body)?;
    let JetStream { config, stats } = jetstream;
    let sync = if config.sync_always {
        Sync::Always
    } else {
        Sync::Every(Duration::from_nanos(config.sync_interval))
    };
    Ok(ServerSettings {
        sync,
        reservable_bytes: config.max_storage.saturating_sub(stats.reserved_storage),
        now,
    })
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Shortened from nats-server 2.15.1.
    fn varz(settings: &str) -> String {
        format!(
            r#"{{"now":"2026-11-24T19:05:26.282730924Z","version":"2.15.1","jetstream":{{
                "config":{{"max_storage":50317971456,{settings}}},"stats":{{"reserved_storage":1000}}}}}}"#
        )
    }

    #[test]
    fn the_sync_setting_is_read() {
        let always = varz(r#""sync_interval":120000000000,"sync_always":true"#);
        let always = read(always.as_bytes()).unwrap();
        assert_eq!(always.sync, Sync::Always);
        assert_eq!(always.reservable_bytes, 50_317_970_456);
        let two_minutes = read(varz(r#""sync_interval":120000000000"#).as_bytes()).unwrap();
        assert_eq!(two_minutes.sync, Sync::Every(Duration::from_mins(2)));
    }

    #[test]
    fn a_server_without_jetstream_is_refused() {
        assert!(read(br#"{"now":"2026-11-24T19:05:26Z","jetstream":{}}"#).is_err());
        assert!(read(b"<html>").is_err());
    }
}
