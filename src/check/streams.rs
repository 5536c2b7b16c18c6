//! The streams: as they must be, room for them, and what a 200 means with them.

use async_nats::jetstream::stream::StorageType;

use super::{Finding, State};
use crate::config::{Config, Durability};
use crate::service::durability::{self, Known};
use crate::service::room::{disk, ground};
use crate::service::{managed_options, stream_settings};
use crate::stream::Connection;
use crate::stream::monitor::{ServerSettings, Sync};
use crate::stream::room::{Ground, Room, Standing};
use crate::stream::topology::Topology;
use crate::stream::topology::drift::Look;

const STREAM: &str = "stream";
const ROOM: &str = "stream.max_bytes";
const DURABILITY: &str = "nats.durability";

/// `monitor` is what the server told of itself, if it was asked.
pub(super) async fn check(
    config: &Config,
    topology: &mut Topology,
    connection: &Connection,
    known: &Known,
    monitor: Option<&ServerSettings>,
) -> Vec<Finding> {
    let ground = ground(config, connection, monitor).await;
    let standing = match topology.standing(&connection.consume).await {
        Ok(standing) => standing,
        Err(error) => return vec![Finding::wrong(STREAM, error.to_string())],
    };
    topology.allot(ground.allot(&standing));
    let (mut findings, mut storage) = (Vec::new(), Vec::new());
    for name in topology.stream_names() {
        match topology.look(&connection.consume, name).await {
            Ok(look) => {
                findings.push(stream(name, &look));
                if let Look::Present { config, .. } | Look::Unusable { config, .. } = look {
                    storage.push((name, config.storage));
                }
            }
            Err(error) => findings.push(Finding::wrong(STREAM, error.to_string())),
        }
    }
    findings.push(room(ground, &standing, config.stream.max_bytes));
    findings.push(durability(config, known, storage));
    findings
}

fn stream(name: &str, look: &Look) -> Finding {
    match look {
        Look::Absent => Finding::good(STREAM, format!("{name} is not there; the start makes it")),
        Look::Present { config, stale } if stale.is_empty() => {
            let found = format!(
                "{name} is as it must be, on {} server(s)",
                config.num_replicas
            );
            Finding::good(STREAM, found)
        }
        Look::Present { stale, .. } => {
            let stale = stale.join(", ");
            Finding::note(
                STREAM,
                format!("{name} differs in {stale}; the start brings it up to date"),
            )
        }
        Look::Unusable { reason, .. } => Finding::wrong(STREAM, reason.to_string()),
    }
}

fn room(ground: Ground, standing: &Standing, max_bytes: i64) -> Finding {
    match ground.judge(standing, max_bytes) {
        Room::Enough => Finding::good(ROOM, format!("{max_bytes} bytes a stream")),
        Room::Less(found) => Finding::note(ROOM, found),
        Room::None(found) => Finding::wrong(ROOM, found),
    }
}

/// Before a server of the service's own has ever run, or while it does not.
pub(super) fn room_for_a_new_server(config: &Config) -> Finding {
    let streams = Topology::new(stream_settings(config)).map_or(0, |topology| {
        i64::try_from(topology.sharing_names().count()).unwrap_or(0)
    });
    // What streams hold that are there already cannot be seen now.
    let is_new = !managed_options(config).data_dir.join("jetstream").exists();
    let standing = Standing {
        absent: if is_new { streams } else { 0 },
        ..Standing::default()
    };
    room(disk(config), &standing, config.stream.max_bytes)
}

/// What a 200 means, against what it must mean.
pub(super) fn durability<'a>(
    config: &Config,
    known: &Known,
    storage: impl IntoIterator<Item = (&'a str, StorageType)>,
) -> Finding {
    let asked = config.nats.durability();
    if let Err(error) = durability::ensure(asked, known, storage) {
        return Finding::new(DURABILITY, State::Misconfigured, error.to_string());
    }
    let sync = match known {
        Known::Sync(Sync::Always) => "the server syncs before it acknowledges".to_owned(),
        Known::Sync(Sync::Every(interval)) => {
            format!(
                "the server syncs every {}",
                humantime::format_duration(*interval)
            )
        }
        Known::Unseen(reason) => format!("when the server syncs cannot be seen: {reason}"),
    };
    let found = format!("{asked}, on {} server(s); {sync}", config.stream.replicas);
    match known {
        Known::Unseen(_) if asked == Durability::Fsync => {
            let mend = "set nats.monitor_url to have it checked";
            Finding::note(DURABILITY, format!("{found}; {mend}"))
        }
        _ => Finding::good(DURABILITY, found),
    }
}
