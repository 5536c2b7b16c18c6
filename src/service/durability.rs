//! What a 200 means, against what it must mean (`nats.durability`).

use async_nats::jetstream::stream::StorageType;

use crate::config::{Config, Durability, NatsMode};
use crate::stream::managed;
use crate::stream::monitor::{self, ServerSettings, Sync};

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
#[error("nats.durability is {asked}, but {why}, so a 200 would mean {found}: {mend}")]
pub struct TooLittle {
    asked: Durability,
    found: Durability,
    why: String,
    mend: &'static str,
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
        return Err(TooLittle {
            asked,
            found: Durability::Memory,
            why: format!("the storage of the stream {stream} is memory"),
            mend: "remove or rename that stream, so that it is made anew",
        });
    }
    match known {
        Known::Sync(Sync::Every(interval)) if asked > Durability::File => Err(TooLittle {
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
