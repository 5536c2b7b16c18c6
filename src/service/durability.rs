//! What a 200 means, against what it must mean (`nats.durability`).

use async_nats::jetstream::stream::StorageType;
use tracing::warn;

use super::ServiceError;
use crate::config::{Config, Durability, NatsMode};
use crate::stream::monitor::{self, ServerSettings, Sync};
use crate::stream::topology::Topology;
use crate::stream::topology::drift::Look;
use crate::stream::{Connection, managed};

/// What is known of a server's sync setting.
#[derive(Debug, Clone)]
pub enum Known {
    /// It is a server of the service's own, or its monitor told.
    Sync(Sync),
    /// It cannot be seen, and why.
    Unseen(String),
}

/// A 200 would mean less than it must.
#[derive(Debug, thiserror::Error)]
pub enum TooLittle {
    /// On each server.
    #[error("nats.durability is {asked}, but {why}, so a 200 would mean {found}: {mend}")]
    Level {
        /// What it must mean.
        asked: Durability,
        /// What it would mean.
        found: Durability,
        /// Why.
        why: String,
        /// What to do about it.
        mend: &'static str,
    },
    /// On too few servers.
    #[error(
        "stream.replicas is {0}, but the NATS server is in no cluster, so that one server alone would hold what was answered 200: connect to a cluster of at least as many, or set stream.replicas to 1"
    )]
    Servers(usize),
}

/// What can be learned of the server over HTTP; `None` where no `nats.monitor_url` is set, and where no server of
/// the service's own runs.
pub async fn ask_monitor(config: &Config) -> Option<Result<ServerSettings, String>> {
    let url = match config.nats.mode {
        NatsMode::External => config.nats.monitor_url.clone(),
        NatsMode::Managed => managed::monitor_of(&config.nats.data_dir),
    };
    let asked = monitor::ask(&url?).await;
    Some(asked.map_err(|error| error.to_string()))
}

/// When the server syncs; `monitor` is what [`ask_monitor`] has learned.
#[must_use]
pub fn known(config: &Config, monitor: Option<&Result<ServerSettings, String>>) -> Known {
    match (config.nats.mode, monitor) {
        (_, Some(Ok(settings))) => Known::Sync(settings.sync),
        (NatsMode::Managed, _) => Known::Sync(managed::sync()),
        (NatsMode::External, Some(Err(reason))) => Known::Unseen(reason.clone()),
        (NatsMode::External, None) => Known::Unseen("nats.monitor_url is not set".to_owned()),
    }
}

/// Whether a 200 means `asked`, as far as it can be seen, where the streams with their names have this
/// storage.
pub fn ensure<'a>(
    asked: Durability,
    known: &Known,
    storage: impl IntoIterator<Item = (&'a str, StorageType)>,
) -> Result<(), TooLittle> {
    let mut streams = storage.into_iter();
    let in_memory = streams.find(|(_, storage)| *storage == StorageType::Memory);
    if let Some((stream, _)) = in_memory
        && asked > Durability::Memory
    {
        return Err(TooLittle::Level {
            asked,
            found: Durability::Memory,
            why: format!("the storage of the stream {stream} is memory"),
            mend: "remove or rename that stream, so that it is made anew",
        });
    }
    match known {
        Known::Sync(Sync::Every(interval)) if asked > Durability::File => Err(TooLittle::Level {
            asked,
            found: Durability::File,
            why: format!(
                "the NATS server syncs what it has acknowledged every {}",
                humantime::format_duration(*interval)
            ),
            mend: "set `jetstream { sync_interval: always }` at every server, or nats.durability to file",
        }),
        _ => Ok(()),
    }
}

/// Whether there can be as many servers as are to hold each message.
pub fn ensure_enough_servers(config: &Config, connection: &Connection) -> Result<(), TooLittle> {
    let replicas = config.stream.replicas;
    if replicas > 1 && !connection.is_clustered() {
        return Err(TooLittle::Servers(replicas));
    }
    Ok(())
}

/// Before a stream is touched: an asker of `fsync` must not be answered with less for a moment.
pub(super) async fn ensure_durable(
    config: &Config,
    topology: &Topology,
    connection: &Connection,
    monitor: Option<&Result<ServerSettings, String>>,
) -> Result<(), ServiceError> {
    let asked = config.nats.durability();
    let known = known(config, monitor);
    if let (Durability::Fsync, Known::Unseen(reason)) = (asked, &known) {
        warn!(
            reason,
            "nats.durability is fsync, but it cannot be seen whether the server syncs always"
        );
    }
    ensure_enough_servers(config, connection)?;
    let mut storage = Vec::new();
    for stream in topology.stream_names() {
        match topology.look(&connection.consume, stream).await? {
            Look::Absent => {}
            Look::Present { config, .. } | Look::Unusable { config, .. } => {
                storage.push((stream, config.storage));
            }
        }
    }
    Ok(ensure(asked, &known, storage)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    const FILE: [(&str, StorageType); 1] = [("S", StorageType::File)];
    const MEMORY: [(&str, StorageType); 1] = [("S", StorageType::Memory)];

    #[test]
    fn less_than_asked_for_is_an_error_that_says_how_to_mend_it() {
        let rarely = Known::Sync(Sync::Every(Duration::from_mins(2)));
        let error = ensure(Durability::Fsync, &rarely, FILE).unwrap_err();
        let error = error.to_string();
        for part in [
            "nats.durability is fsync",
            "every 2m",
            "sync_interval: always",
            "mean file",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(ensure(Durability::File, &rarely, FILE).is_ok());
        let always = Known::Sync(Sync::Always);
        assert!(ensure(Durability::Fsync, &always, FILE).is_ok());
        assert!(ensure(Durability::File, &always, MEMORY).is_err());
        assert!(ensure(Durability::Memory, &always, MEMORY).is_ok());
    }

    #[test]
    fn what_cannot_be_seen_is_believed() {
        let unseen = Known::Unseen("no monitor".to_owned());
        assert!(ensure(Durability::Fsync, &unseen, FILE).is_ok());
        assert!(ensure(Durability::Fsync, &unseen, MEMORY).is_err());
    }

    #[test]
    fn a_server_of_our_own_syncs_always() {
        assert_eq!(managed::sync(), Sync::Always);
    }
}
