//! The streams and consumers, made and brought up to date from the data in
//! `nats/streams.toml`.

mod changes;
mod consumer;
mod definitions;
pub mod drift;
mod error;

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};

use self::changes::{create, found, update};
use self::definitions::{
    Definitions, Discard, MaxAge, MaxBytes, Retention, StreamDefinition, ToldMaxBytes,
};
use self::drift::Look;
use super::room::{Allotment, SMALLEST_STREAM_BYTES, Standing};

pub use self::consumer::ConsumerNames;
pub use self::error::TopologyError;

const DAY: Duration = Duration::from_hours(24);

/// What the configuration says of streams (`stream.*`).
#[derive(Debug, Clone)]
pub struct StreamSettings {
    /// How many servers hold each stream.
    pub replicas: usize,
    /// How long messages are kept.
    pub keep_days: u32,
    /// How large each stream may grow, in bytes.
    pub max_bytes: i64,
    /// How long a `Nats-Msg-Id` is remembered.
    pub duplicate_window: Duration,
}

/// The definitions with the configuration's settings.
pub struct Topology {
    definitions: Definitions,
    settings: StreamSettings,
    allotment: Allotment,
}

impl Topology {
    /// Reads the built-in definitions.
    pub fn new(settings: StreamSettings) -> Result<Self, TopologyError> {
        Ok(Self {
            definitions: Definitions::built_in()?,
            settings,
            allotment: Allotment::UNBOUND,
        })
    }

    /// Gives no stream more than `allotment` from now on.
    pub fn allot(&mut self, allotment: Allotment) {
        self.allotment = allotment;
    }

    /// The streams that share the room there is, as they stand.
    pub async fn standing(&self, context: &jetstream::Context) -> Result<Standing, TopologyError> {
        let mut standing = Standing::default();
        for stream in self.sharing_names() {
            let Some(Info { config, state, .. }) = found(context, stream).await? else {
                standing.absent += 1;
                continue;
            };
            let bytes = i64::try_from(state.bytes).unwrap_or(i64::MAX);
            standing.present += 1;
            standing.held = standing.held.saturating_add(bytes);
            let growth = config.max_bytes.saturating_sub(bytes).max(0);
            standing.growth = standing.growth.saturating_add(growth);
            let smallest = standing.smallest.unwrap_or(i64::MAX);
            standing.smallest = Some(smallest.min(config.max_bytes));
        }
        Ok(standing)
    }

    /// The names of the streams.
    pub fn stream_names(&self) -> impl Iterator<Item = &str> {
        self.definitions
            .stream
            .iter()
            .map(|stream| stream.name.as_str())
    }

    /// The names of those whose size the configuration says; another's is small, and its own.
    pub fn sharing_names(&self) -> impl Iterator<Item = &str> {
        let sharing =
            self.definitions.stream.iter().filter(|stream| {
                matches!(stream.max_bytes, MaxBytes::Told(ToldMaxBytes::Configured))
            });
        sharing.map(|stream| stream.name.as_str())
    }

    /// Whether the stream must start above what the database holds, so that the
    /// database has to be read before it is made.
    pub fn needs_database(&self, stream: &str) -> Result<bool, TopologyError> {
        Ok(self.definitions.stream(stream)?.first_sequence.is_some())
    }

    /// Whether the stream is there.
    pub async fn exists(
        &self,
        context: &jetstream::Context,
        stream: &str,
    ) -> Result<bool, TopologyError> {
        Ok(found(context, stream).await?.is_some())
    }

    /// What of the stream differs from what it must be. Changes nothing.
    pub async fn look(
        &self,
        context: &jetstream::Context,
        stream: &str,
    ) -> Result<Look, TopologyError> {
        let definition = self.definitions.stream(stream)?;
        let existing = found(context, stream).await?.map(|info| info.config);
        let wanted = self.config(definition, existing.as_ref());
        Ok(drift::look(existing, wanted))
    }

    /// Makes the stream, or brings it up to date. One that is made anew starts at
    /// `first_sequence` if its definition says so.
    pub async fn ensure_stream(
        &self,
        context: &jetstream::Context,
        stream: &str,
        first_sequence: u64,
    ) -> Result<(), TopologyError> {
        let definition = self.definitions.stream(stream)?;
        let existing = found(context, stream).await?.map(|info| info.config);
        let mut wanted = self.config(definition, existing.as_ref());
        if let Some(existing) = existing {
            return update(context, existing, wanted).await;
        }
        let least = SMALLEST_STREAM_BYTES.min(self.max_bytes_of(definition));
        if wanted.max_bytes < least {
            return Err(TopologyError::NoRoom {
                stream: wanted.name,
                bytes: least,
                reason: format!("there is room for {} bytes a stream", wanted.max_bytes),
            });
        }
        if definition.first_sequence.is_some() && first_sequence > 1 {
            wanted.first_sequence = Some(first_sequence);
        }
        create(context, wanted).await
    }

    /// Makes the consumer, or brings it up to date, and returns it. `kind` is the
    /// key in the definitions, `event_type` stands for `{type}` in them.
    pub async fn ensure_consumer(
        &self,
        context: &jetstream::Context,
        kind: &str,
        event_type: &str,
    ) -> Result<jetstream::consumer::PullConsumer, TopologyError> {
        let definition = self.definitions.consumer(kind)?;
        let names = self.consumer_names(kind, event_type)?;
        let config = pull::Config {
            durable_name: Some(names.name.clone()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(definition.ack_wait_seconds),
            max_deliver: -1,
            filter_subject: names.filter,
            max_ack_pending: definition.max_ack_pending,
            ..Default::default()
        };
        // The server's "create" brings an existing durable up to date.
        context
            .create_consumer_on_stream(config, &names.stream)
            .await
            .map_err(|error| TopologyError::Refused {
                what: format!("the consumer {} on {}", names.name, names.stream),
                reason: error.to_string(),
            })
    }

    /// The names of a consumer; `kind` and `event_type` as in
    /// [`Self::ensure_consumer`].
    pub fn consumer_names(
        &self,
        kind: &str,
        event_type: &str,
    ) -> Result<ConsumerNames, TopologyError> {
        let definition = self.definitions.consumer(kind)?;
        Ok(ConsumerNames {
            stream: definition.stream.clone(),
            name: definition.name.replace("{type}", event_type),
            filter: definition.filter.replace("{type}", event_type),
        })
    }

    fn max_bytes_of(&self, definition: &StreamDefinition) -> i64 {
        match definition.max_bytes {
            MaxBytes::Fixed(bytes) => bytes.min(self.settings.max_bytes),
            MaxBytes::Told(ToldMaxBytes::Configured) => self.settings.max_bytes,
        }
    }

    fn config(&self, definition: &StreamDefinition, existing: Option<&Config>) -> Config {
        let most = match existing {
            Some(existing) => self.allotment.grown.max(existing.max_bytes),
            None => self.allotment.new,
        };
        let max_age = definition
            .max_age
            .as_ref()
            .map(|MaxAge::Configured| DAY * self.settings.keep_days);
        let max_age = max_age.unwrap_or_default();
        Config {
            name: definition.name.clone(),
            description: Some(definition.description.clone()),
            subjects: definition.subjects.clone(),
            retention: match definition.retention {
                Retention::Limits => RetentionPolicy::Limits,
                Retention::Workqueue => RetentionPolicy::WorkQueue,
            },
            discard: match definition.discard {
                Discard::Old => DiscardPolicy::Old,
                Discard::New => DiscardPolicy::New,
            },
            storage: StorageType::File,
            num_replicas: self.settings.replicas,
            max_bytes: self.max_bytes_of(definition).min(most),
            max_messages_per_subject: if definition.last_of_subject { 1 } else { -1 },
            max_age,
            duplicate_window: window_within(self.settings.duplicate_window, max_age),
            allow_direct: true,
            allow_atomic_publish: definition.atomic_batches,
            ..Default::default()
        }
    }
}

/// `JetStream` refuses a window that is longer than the messages are kept.
fn window_within(window: Duration, max_age: Duration) -> Duration {
    if max_age.is_zero() {
        window
    } else {
        window.min(max_age)
    }
}
