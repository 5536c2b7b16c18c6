//! How far the service has got: what is still under way in it is no loss.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::{Info, pull};
use tracing::info;

use super::ReplayError;
use crate::stream::Connection;
use crate::stream::names::{DELIVERIES, EVENTS};
use crate::stream::topology::{ConsumerNames, Topology, TopologyError};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a handler may stand still before what it has not stored is left to it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the publisher was when the replay began: the deliveries up to there have
/// their events in `INSTAGRAM_EVENTS`.
pub(super) async fn published_up_to(
    connection: &Connection,
    topology: &Topology,
) -> Result<u64, ReplayError> {
    let publisher = names(topology, "publisher", "")?;
    // First: what comes meanwhile is the publisher's.
    let last = last_sequence(connection, DELIVERIES, &publisher).await?;
    let info = info(connection, &publisher).await?;
    Ok(if is_idle(&info) {
        last
    } else {
        info.ack_floor.stream_sequence
    })
}

/// The handlers, as seen from the end that `INSTAGRAM_EVENTS` had when the replay
/// began.
pub(super) struct Handlers<'a> {
    connection: &'a Connection,
    topology: &'a Topology,
    last: u64,
    /// Of each type, whether its handler has had all up to there.
    through: HashMap<String, bool>,
}

impl<'a> Handlers<'a> {
    pub(super) async fn new(
        connection: &'a Connection,
        topology: &'a Topology,
    ) -> Result<Self, ReplayError> {
        let names = names(topology, "handler", crate::instagram::event::UNKNOWN)?;
        let last = last_sequence(connection, EVENTS, &names).await?;
        Ok(Self {
            connection,
            topology,
            last,
            through: HashMap::new(),
        })
    }

    /// Whether the handler of the type has had all that there was; waits for it as
    /// long as it gets on.
    pub(super) async fn are_through(&mut self, event_type: &str) -> Result<bool, ReplayError> {
        if let Some(through) = self.through.get(event_type) {
            return Ok(*through);
        }
        let through = self.wait_for(event_type).await?;
        self.through.insert(event_type.to_owned(), through);
        Ok(through)
    }

    async fn wait_for(&self, event_type: &str) -> Result<bool, ReplayError> {
        let names = names(self.topology, "handler", event_type)?;
        let (mut floor, mut since) = (0, Instant::now());
        loop {
            let info = info(self.connection, &names).await?;
            if is_idle(&info) || info.ack_floor.stream_sequence >= self.last {
                return Ok(true);
            }
            if info.ack_floor.stream_sequence > floor {
                (floor, since) = (info.ack_floor.stream_sequence, Instant::now());
                info!(
                    event_type,
                    floor,
                    up_to = self.last,
                    "waiting for the handler, which is behind"
                );
            }
            if since.elapsed() >= PATIENCE {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// An idle consumer's floor can be 0.
fn is_idle(info: &Info) -> bool {
    info.num_pending == 0 && info.num_ack_pending == 0
}

fn names(topology: &Topology, kind: &str, event_type: &str) -> Result<ConsumerNames, ReplayError> {
    let names = topology.consumer_names(kind, event_type);
    names.map_err(|error: TopologyError| ReplayError::Progress {
        consumer: kind.to_owned(),
        stream: String::new(),
        reason: error.to_string(),
    })
}

async fn last_sequence(
    connection: &Connection,
    stream: &str,
    of: &ConsumerNames,
) -> Result<u64, ReplayError> {
    let found = connection.consume.get_stream(stream).await;
    let found = found.map_err(|error| unseen(of, &error))?;
    Ok(found.cached_info().state.last_sequence)
}

async fn info(connection: &Connection, names: &ConsumerNames) -> Result<Info, ReplayError> {
    let consumer = connection
        .consume
        .get_consumer_from_stream::<pull::Config, _, _>(&names.name, &names.stream)
        .await
        .map_err(|error| unseen(names, &error))?;
    Ok(consumer.cached_info().clone())
}

fn unseen(names: &ConsumerNames, reason: &dyn std::fmt::Display) -> ReplayError {
    ReplayError::Progress {
        consumer: names.name.clone(),
        stream: names.stream.clone(),
        reason: reason.to_string(),
    }
}
