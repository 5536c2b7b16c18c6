//! Purges from the journal and the stream of events what is older than
//! `stream.keep_days` and done with: these two discard nothing by themselves,
//! since that could be what a handler has not had yet.
//!
//! Subject by subject, since each has a consumer of its own with a floor of its
//! own; subscribers do not hold it up.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::{self, stream};
use chrono::{DateTime, TimeDelta, Utc};
use ractor::ActorProcessingErr;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::instagram::types;
use crate::stream::Connection;
use crate::stream::topology::{ConsumerNames, Topology, TopologyError};
use crate::supervisor::{Board, Child, Turn, Worker, worker};

/// The actor's name.
pub const NAME: &str = "purger";

const LOOK_EVERY: Duration = Duration::from_mins(1);
/// The consumer that finds a sequence by its time goes by itself.
const PROBE_LIFETIME: Duration = Duration::from_secs(5);

/// The purger as a supervised child.
pub fn child(
    connection: &Connection,
    topology: &Topology,
    board: &Board,
    keep: Duration,
    stopping: &CancellationToken,
) -> Result<Child, TopologyError> {
    let mut consumers = vec![topology.consumer_names("publisher", "")?];
    for event_type in types::with_unknown() {
        consumers.push(topology.consumer_names("handler", event_type.name)?);
    }
    let (connection, board) = (connection.clone(), board.clone());
    let (consumers, stopping) = (Arc::new(consumers), stopping.clone());
    Ok(worker(NAME, move || Purger {
        connection: connection.clone(),
        board: board.clone(),
        consumers: consumers.clone(),
        keep,
        stopping: stopping.clone(),
    }))
}

struct Purger {
    connection: Connection,
    board: Board,
    consumers: Arc<Vec<ConsumerNames>>,
    keep: Duration,
    stopping: CancellationToken,
}

impl Worker for Purger {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        let looked = async {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        };
        // What it leaves half done, the next look does.
        tokio::select! {
            () = looked => Ok(Turn::Again),
            () = self.stopping.cancelled() => Ok(Turn::Done),
        }
    }
}

impl Purger {
    async fn look(&self) {
        let keep = TimeDelta::from_std(self.keep).unwrap_or(TimeDelta::MAX);
        let Some(cutoff) = Utc::now().checked_sub_signed(keep) else {
            return;
        };
        let context = &self.connection.consume;
        for consumer in self.consumers.iter() {
            match purge_done(context, consumer, cutoff).await {
                Ok(0) => {}
                Ok(messages) => {
                    info!(
                        subject = consumer.filter,
                        messages, "purged what is old and done with"
                    );
                }
                // The next would fail of the same.
                Err(error) => {
                    warn!(subject = consumer.filter, %error, "old messages could not be purged");
                    return self.board.paused(NAME, &error.to_string());
                }
            }
        }
        self.board.running(NAME);
    }
}

/// Purges the messages that `consumer` takes, older than `cutoff` and at or below
/// its acknowledgement floor. Returns how many.
pub async fn purge_done(
    context: &jetstream::Context,
    consumer: &ConsumerNames,
    cutoff: DateTime<Utc>,
) -> Result<u64, ActorProcessingErr> {
    let own =
        context.get_consumer_from_stream::<pull::Config, _, _>(&consumer.name, &consumer.stream);
    let floor = own.await?.cached_info().ack_floor.stream_sequence;
    let last_old = last_before(context, consumer, cutoff).await?;
    let last = floor.min(last_old);
    if last == 0 {
        return Ok(0);
    }
    let stream: stream::Stream<()> = context.get_stream_no_info(&consumer.stream).await?;
    let purged = stream
        .purge()
        .filter(&consumer.filter)
        .sequence(last + 1)
        .await?;
    Ok(purged.purged)
}

/// The last sequence before `cutoff`: where a consumer that starts there has
/// got to before it starts.
async fn last_before(
    context: &jetstream::Context,
    consumer: &ConsumerNames,
    cutoff: DateTime<Utc>,
) -> Result<u64, ActorProcessingErr> {
    let probe = pull::Config {
        deliver_policy: DeliverPolicy::ByStartTime { start_time: cutoff },
        ack_policy: AckPolicy::None,
        headers_only: true,
        inactive_threshold: PROBE_LIFETIME,
        ..Default::default()
    };
    let probe = context
        .create_consumer_on_stream(probe, &consumer.stream)
        .await?;
    let before = probe.cached_info().delivered.stream_sequence;
    context
        .delete_consumer_from_stream(&probe.cached_info().name, &consumer.stream)
        .await?;
    Ok(before)
}
