//! What the two streams have lost for good.
//!
//! A message has left `INSTAGRAM_EVENTS` if its sequence lies below the first one of its type: the purger goes from
//! the front. An event can have a later copy there, after a crash, which its row does not know before its handler
//! has had it: so a type counts only once its handler has had all that the stream held after the journal was looked
//! at. No copy comes of a delivery that had left the journal by then.
//!
//! A row does not say where in the journal its delivery is; but it was written after its delivery had got there. So
//! one that was written before the first message that is left came has its delivery below that one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::State;
use chrono::{DateTime, TimeDelta, Utc};
use tracing::debug;

use super::rules::{Before, Events, Streams};
use crate::instagram::types;
use crate::stream::names::{DELIVERIES, EVENTS};
use crate::stream::pages::{End, PagesError, sequence_of, state};
use crate::stream::topology::ConsumerNames;
use crate::watch::erasure::Tools;

/// What clocks of several machines may differ by.
const CLOCKS: TimeDelta = TimeDelta::hours(1);
/// How long the handlers are waited for. Who is further behind has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why the streams could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamsError {
    /// A stream cannot be read.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// A stream is not there.
    #[error("the stream {0} is not there: what it holds is not known")]
    Missing(&'static str),
    /// A consumer cannot be looked at.
    #[error("how far {name} has got cannot be seen: {reason}")]
    Consumer {
        /// The consumer.
        name: String,
        /// What the server says.
        reason: String,
    },
    /// The definitions of consumers are wrong.
    #[error(transparent)]
    Topology(#[from] crate::stream::topology::TopologyError),
}

/// Looks at both streams; `now` is a time of the database's clock before this.
pub(super) async fn look(tools: &Tools, now: DateTime<Utc>) -> Result<Streams, StreamsError> {
    let journal = there(tools, DELIVERIES).await?;
    // After the journal: see above.
    let events = there(tools, EVENTS).await?;
    let mut waiting = Vec::new();
    for event_type in types::with_unknown() {
        let names = tools.topology.consumer_names("handler", event_type.name)?;
        waiting.push((event_type.name, names));
    }
    let mut lost = HashMap::new();
    let began = Instant::now();
    loop {
        let mut behind = Vec::new();
        for (event_type, names) in waiting {
            if has_had(tools, &names, events.last_sequence).await? {
                lost.insert(event_type, lost_of(tools, &names, &events, now).await?);
            } else {
                behind.push((event_type, names));
            }
        }
        if behind.is_empty() || began.elapsed() >= PATIENCE {
            let behind: Vec<&str> = behind.iter().map(|(event_type, _)| *event_type).collect();
            debug!(?behind, "what the streams hold is known");
            break;
        }
        waiting = behind;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(Streams {
        journal: before(&journal, now),
        events: lost,
    })
}

async fn there(tools: &Tools, stream: &'static str) -> Result<State, StreamsError> {
    let state = state(&tools.connection.consume, stream).await?;
    state.ok_or(StreamsError::Missing(stream))
}

/// Whether the handler has done with all up to `last`.
async fn has_had(tools: &Tools, names: &ConsumerNames, last: u64) -> Result<bool, StreamsError> {
    let info = names.info(&tools.connection.consume).await;
    let info = info.map_err(|error| StreamsError::Consumer {
        name: names.name.clone(),
        reason: error.to_string(),
    })?;
    Ok(info.is_some_and(|info| {
        let is_idle = info.num_pending == 0 && info.num_ack_pending == 0;
        is_idle || info.ack_floor.stream_sequence >= last
    }))
}

async fn lost_of(
    tools: &Tools,
    names: &ConsumerNames,
    events: &State,
    now: DateTime<Utc>,
) -> Result<Events, StreamsError> {
    let context = &tools.connection.consume;
    let first = sequence_of(context, &names.stream, &names.filter, End::First).await?;
    Ok(match first {
        Some(first) => Events {
            first,
            unknown: before(events, now),
        },
        None => Events {
            first: events.last_sequence + 1,
            unknown: nothing_left(now),
        },
    })
}

fn before(state: &State, now: DateTime<Utc>) -> Before {
    if state.messages == 0 {
        return nothing_left(now);
    }
    let first: DateTime<Utc> = state.first_timestamp;
    let first = first - CLOCKS;
    Before {
        written: first,
        received: Some(first),
    }
}

/// What has a row by `now` has left a stream that holds nothing afterwards.
fn nothing_left(now: DateTime<Utc>) -> Before {
    Before {
        written: now,
        received: None,
    }
}
