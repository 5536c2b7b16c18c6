//! Samples once a second how much waits for whom, how old it is, and how full
//! the streams are.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{self, ErrorCode};
use chrono::{DateTime, Utc};
use ractor::ActorProcessingErr;
use serde::Deserialize;
use tracing::warn;

use crate::instagram::types;
use crate::receiver::FRAME_BYTES;
use crate::stream::Connection;
use crate::stream::names::{DEAD_LETTERS, DELIVERIES, EVENTS, REPROCESS, STORED};
use crate::stream::topology::{ConsumerNames, Topology, TopologyError};
use crate::supervisor::{Board, Child, Turn, Worker, worker};
use crate::telemetry::metrics::{JOURNAL, QueueMetrics, StreamMetrics};

/// The actor's name.
pub const NAME: &str = "sampler";

const EVERY: Duration = Duration::from_secs(1);
/// A journal that has no room for one more full message is full.
const JOURNAL_ROOM_BYTES: u64 = FRAME_BYTES as u64;
const STREAMS: [&str; 5] = [DELIVERIES, EVENTS, STORED, DEAD_LETTERS, REPROCESS];

/// What the last sample said of the journal; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sampled {
    all: Arc<AtomicBool>,
    journal_full: Arc<AtomicBool>,
}

impl Sampled {
    /// Whether every series has been there once.
    #[must_use]
    pub fn once(&self) -> bool {
        self.all.load(Ordering::Relaxed)
    }

    /// Whether the journal takes nothing more.
    #[must_use]
    pub fn journal_is_full(&self) -> bool {
        self.journal_full.load(Ordering::Relaxed)
    }
}

/// The sampler as a supervised child; warns when a stream is `warn_percent` full.
pub fn child(
    connection: &Connection,
    topology: &Topology,
    board: &Board,
    sampled: &Sampled,
    warn_percent: u8,
) -> Result<Child, TopologyError> {
    let (connection, board, sampled) = (connection.clone(), board.clone(), sampled.clone());
    let queues = Arc::new(queues(topology)?);
    Ok(worker(NAME, move || Sampler {
        connection: connection.clone(),
        board: board.clone(),
        sampled: sampled.clone(),
        warn_percent: u64::from(warn_percent),
        queues: queues.clone(),
        warned: HashMap::new(),
    }))
}

/// A consumer of the service's own, under the label by which it is sampled.
struct Queue {
    label: &'static str,
    consumer: ConsumerNames,
}

/// The journal first: what leaves it between two samples is counted twice
/// rather than not at all.
fn queues(topology: &Topology) -> Result<Vec<Queue>, TopologyError> {
    let mut queues = vec![Queue {
        label: JOURNAL,
        consumer: topology.consumer_names("publisher", "")?,
    }];
    for event_type in types::with_unknown() {
        queues.push(Queue {
            label: event_type.name,
            consumer: topology.consumer_names("handler", event_type.name)?,
        });
    }
    Ok(queues)
}

struct Sampler {
    connection: Connection,
    board: Board,
    sampled: Sampled,
    warn_percent: u64,
    queues: Arc<Vec<Queue>>,
    warned: HashMap<&'static str, bool>,
}

impl Worker for Sampler {
    async fn turn(&mut self) -> Result<Turn, ActorProcessingErr> {
        match self.sample().await {
            Ok(()) => {
                self.sampled.all.store(true, Ordering::Relaxed);
                self.board.running(NAME);
            }
            Err(error) => self.board.paused(NAME, &error.to_string()),
        }
        tokio::time::sleep(EVERY).await;
        Ok(Turn::Again)
    }
}

impl Sampler {
    async fn sample(&mut self) -> Result<(), ActorProcessingErr> {
        let context = &self.connection.consume;
        for queue in self.queues.iter() {
            let (depth, oldest) = waiting(context, &queue.consumer).await?;
            QueueMetrics::new(queue.label).sampled(depth, oldest);
        }
        for stream in STREAMS {
            self.sample_stream(stream).await?;
        }
        Ok(())
    }

    async fn sample_stream(&mut self, name: &'static str) -> Result<(), ActorProcessingErr> {
        let stream = match self.connection.consume.get_stream(name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let info = stream.cached_info();
        let bytes = info.state.bytes;
        let max_bytes = u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX);
        StreamMetrics::new(name).sampled(bytes, max_bytes);
        let discards_new = info.config.discard == jetstream::stream::DiscardPolicy::New;
        if name == DELIVERIES {
            // A stream that discards nothing never reaches its limit: it refuses
            // what would.
            let is_full = bytes.saturating_add(JOURNAL_ROOM_BYTES) >= max_bytes;
            self.sampled.journal_full.store(is_full, Ordering::Relaxed);
        }
        let is_filling = discards_new
            && bytes.saturating_mul(100) >= max_bytes.saturating_mul(self.warn_percent);
        if is_filling {
            let how = format!("{bytes} of {max_bytes} bytes are taken");
            self.board.filling(name, &how);
        } else {
            self.board.ended(name);
        }
        let warned = self.warned.insert(name, is_filling).unwrap_or(false);
        if is_filling && !warned {
            warn!(
                stream = name,
                bytes,
                max_bytes,
                "a stream is filling up: raise `stream.max_bytes` or lower `stream.keep_days`"
            );
        }
        Ok(())
    }
}

fn is_missing(error: &jetstream::context::GetStreamError) -> bool {
    use jetstream::context::GetStreamErrorKind::JetStream;
    matches!(error.kind(), JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// How many messages the consumer has not acknowledged, delivered or not, and
/// how old the oldest is. A consumer that is not there yet waits for nothing.
async fn waiting(
    context: &jetstream::Context,
    consumer: &ConsumerNames,
) -> Result<(u64, Duration), ActorProcessingErr> {
    let Some(info) = consumer.info(context).await? else {
        return Ok((0, Duration::ZERO));
    };
    let depth = info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0);
    if depth == 0 {
        return Ok((0, Duration::ZERO));
    }
    let oldest = oldest(context, consumer, info.ack_floor.stream_sequence).await?;
    let age = oldest.and_then(|since| (Utc::now() - since).to_std().ok());
    Ok((depth, age.unwrap_or_default()))
}

/// When the first message after `floor` was received; it may be gone already.
async fn oldest(
    context: &jetstream::Context,
    consumer: &ConsumerNames,
    floor: u64,
) -> Result<Option<DateTime<Utc>>, ActorProcessingErr> {
    #[derive(Deserialize)]
    struct Received {
        received_at: DateTime<Utc>,
    }
    let stream = context.get_stream_no_info(&consumer.stream).await?;
    let Ok(message) = stream
        .get_first_raw_message_by_subject(&consumer.filter, floor + 1)
        .await
    else {
        return Ok(None);
    };
    let received = serde_json::from_slice::<Received>(&message.payload);
    Ok(Some(
        received.map_or(message.time, |event| event.received_at),
    ))
}
