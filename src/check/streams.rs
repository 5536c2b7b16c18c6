//! The streams: as they must be, room for them, and what a 200 means with them.

use async_nats::jetstream::stream::StorageType;

use super::{Finding, State, disk};
use crate::config::{Config, Durability};
use crate::service::durability::{self, Known};
use crate::service::{managed_options, stream_settings};
use crate::stream::Connection;
use crate::stream::drift::Look;
use crate::stream::monitor::Sync;
use crate::stream::topology::{SMALLEST_STREAM_BYTES, Topology};

const STREAM: &str = "stream";
const ROOM: &str = "stream.max_bytes";
const DURABILITY: &str = "nats.durability";

/// `room` is how many bytes the server says that it can still reserve.
pub(super) async fn check(
    config: &Config,
    topology: &Topology,
    connection: &Connection,
    known: &Known,
    room: Option<i64>,
) -> Vec<Finding> {
    let (mut findings, mut storage) = (Vec::new(), Vec::new());
    let (mut absent, mut smaller) = (Vec::new(), Vec::new());
    for name in topology.stream_names() {
        let wanted = topology.max_bytes(name).unwrap_or_default();
        match topology.look(&connection.consume, name).await {
            Ok(look) => {
                findings.push(stream(name, &look));
                match look {
                    Look::Absent => absent.push(wanted),
                    Look::Present { config, .. } | Look::Unusable { config, .. } => {
                        storage.push((name, config.storage));
                        if config.max_bytes < wanted {
                            smaller.push((name, config.max_bytes, wanted));
                        }
                    }
                }
            }
            Err(error) => findings.push(Finding::wrong(STREAM, error.to_string())),
        }
    }
    let account = account_room(connection).await;
    let room = [room, account].into_iter().flatten().min();
    let wanted = config.stream.max_bytes;
    findings.push(room_for(wanted, &absent, &smaller, room));
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

/// What the account may still reserve; `None` where it has no limit.
async fn account_room(connection: &Connection) -> Option<i64> {
    let account = connection.consume.query_account().await.ok()?;
    let limit = account.limits.max_storage?;
    let used = account.reserved_storage.max(account.storage);
    Some(limit.saturating_sub(i64::try_from(used).unwrap_or(i64::MAX)))
}

/// `wanted` is `stream.max_bytes`; `absent` what each stream wants that is not there, `smaller` the name of each
/// that is smaller than it should be, what it has and what it wants.
fn room_for(
    wanted: i64,
    absent: &[i64],
    smaller: &[(&str, i64, i64)],
    room: Option<i64>,
) -> Finding {
    let sum = |bytes: &mut dyn Iterator<Item = i64>| bytes.fold(0, i64::saturating_add);
    let missing = smaller.iter().map(|(_, has, wants)| wants - has);
    let needed = sum(&mut absent.iter().copied().chain(missing));
    let least = sum(&mut absent.iter().map(|wants| SMALLEST_STREAM_BYTES.min(*wants)));
    match room {
        Some(room) if room < least => {
            let absent = absent.len();
            let found = format!(
                "the server can reserve {room} bytes more, and {absent} stream(s) need {least} at least: free its disk or raise its limits"
            );
            Finding::wrong(ROOM, found)
        }
        Some(room) if room < needed => {
            let found = format!(
                "the server can reserve {room} bytes more, and stream.max_bytes needs {needed}: the streams stay smaller; free its disk, or lower stream.max_bytes"
            );
            Finding::note(ROOM, found)
        }
        None if !smaller.is_empty() => {
            let streams: Vec<_> = smaller
                .iter()
                .map(|(name, bytes, _)| format!("{name} has {bytes} bytes"))
                .collect();
            let found = format!(
                "{} of {wanted}: the server had no room for more; free its disk, or lower stream.max_bytes",
                streams.join(", ")
            );
            Finding::note(ROOM, found)
        }
        Some(room) => Finding::good(
            ROOM,
            format!("{wanted} bytes a stream; {room} can be reserved"),
        ),
        None => Finding::good(ROOM, format!("{wanted} bytes a stream")),
    }
}

/// Before a server of the service's own has ever run, or while it does not. Such a server lets its streams
/// reserve three quarters of what is free on its disk.
pub(super) fn room_for_a_new_server(config: &Config) -> Finding {
    let data_dir = managed_options(config).data_dir;
    let streams = Topology::new(stream_settings(config)).map_or(Vec::new(), |topology| {
        let names = topology.stream_names();
        names
            .filter_map(|name| topology.max_bytes(name).ok())
            .collect()
    });
    let free =
        disk::free_bytes(&data_dir).map(|free| i64::try_from(free / 4 * 3).unwrap_or(i64::MAX));
    if data_dir.join("jetstream").exists() {
        // What its streams hold is in no figure of ours.
        return room_for(config.stream.max_bytes, &[], &[], free);
    }
    room_for(config.stream.max_bytes, &streams, &[], free)
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

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: i64 = 1 << 30;

    #[test]
    fn room_is_judged_by_what_is_still_to_be_reserved() {
        for (absent, smaller, room, state) in [
            (5, &[][..], Some(60 * GIB), State::Good),
            (5, &[], Some(20 * GIB), State::Note),
            (5, &[], Some(GIB / 8), State::Wrong),
            (0, &[], Some(0), State::Good),
            (0, &[("S", GIB, 10 * GIB)], Some(GIB), State::Note),
            (0, &[("S", GIB, 10 * GIB)], None, State::Note),
            (0, &[("S", GIB, 10 * GIB)], Some(20 * GIB), State::Good),
            (5, &[], None, State::Good),
        ] {
            let finding = room_for(10 * GIB, &vec![10 * GIB; absent], smaller, room);
            assert_eq!(finding.state, state, "{finding:?}");
        }
    }
}
