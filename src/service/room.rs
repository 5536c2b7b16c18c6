//! What there is for the streams, as far as it can be seen.

use tracing::warn;

use crate::config::{Config, NatsMode};
use crate::stream::monitor::ServerSettings;
use crate::stream::room::{Ground, Room};
use crate::stream::topology::{Topology, TopologyError};
use crate::stream::{Connection, managed};

/// `monitor` is what the server told of itself, if it was asked.
pub(crate) async fn ground(
    config: &Config,
    connection: &Connection,
    monitor: Option<&ServerSettings>,
) -> Ground {
    match config.nats.mode {
        NatsMode::Managed => disk(config),
        NatsMode::External => {
            let server = monitor.map(|settings| settings.reservable_bytes);
            let account = account_room(connection).await;
            let least = [server, account].into_iter().flatten().min();
            least.map_or(Ground::Unseen, |reservable| Ground::Server { reservable })
        }
    }
}

/// Of a server of the service's own, whether it runs or not.
pub(crate) fn disk(config: &Config) -> Ground {
    match managed::free_bytes(&config.nats.data_dir) {
        Some(free) => Ground::Disk {
            free: i64::try_from(free).unwrap_or(i64::MAX),
        },
        None => Ground::Unseen,
    }
}

/// What the account may still reserve; `None` where it has no limit.
async fn account_room(connection: &Connection) -> Option<i64> {
    let account = connection.consume.query_account().await.ok()?;
    let limit = account.limits.max_storage.filter(|limit| *limit >= 0)?;
    let used = account.reserved_storage.max(account.storage);
    Some(limit.saturating_sub(i64::try_from(used).unwrap_or(i64::MAX)))
}

/// Where there is less room than `stream.max_bytes` each, the streams share it.
pub(super) async fn allot(
    config: &Config,
    topology: &mut Topology,
    connection: &Connection,
    monitor: Option<&ServerSettings>,
) -> Result<(), TopologyError> {
    let ground = ground(config, connection, monitor).await;
    let standing = topology.standing(&connection.consume).await?;
    // Where there is none the stream that cannot be made says so.
    if let Room::Less(reason) = ground.judge(&standing, config.stream.max_bytes) {
        warn!(reason, "the server has less room than is configured");
    }
    topology.allot(ground.allot(&standing));
    Ok(())
}
