//! The streams and consumers, made and brought up to date from the data in
//! `nats/streams.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::CreateStreamErrorKind;
use async_nats::jetstream::stream::{
    Config, ConsumerError, ConsumerErrorKind, DiscardPolicy, Info, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, ErrorCode};
use serde::Deserialize;
use tracing::{info, warn};

use super::drift::{self, Look};
use super::room::{Allotment, SMALLEST_STREAM_BYTES, Standing};

const DEFINITIONS: &str = include_str!("../../nats/streams.toml");
const DAY: Duration = Duration::from_hours(24);
/// `JetStream`'s code for a stream that is not there.
const STREAM_NOT_FOUND: ErrorCode = ErrorCode::STREAM_NOT_FOUND;
/// `JetStream`'s codes for more than the server or the account can reserve.
const NO_ROOM: [ErrorCode; 3] = [
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
];

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

/// Why the topology is not as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The built-in definitions do not parse.
    #[error("nats/streams.toml: {0}")]
    Definitions(#[from] toml::de::Error),
    /// The definitions have nothing of that name.
    #[error("nats/streams.toml defines no {0}")]
    Undefined(String),
    /// A stream differs in what cannot be changed.
    #[error(
        "the stream {stream} has {field} {found}, and igstream needs {wanted}: it cannot be changed; remove or rename the stream, or connect to another server"
    )]
    Drift {
        /// The stream.
        stream: String,
        /// What differs.
        field: &'static str,
        /// As it is.
        found: String,
        /// As it must be.
        wanted: String,
    },
    /// The server has no room for the stream.
    #[error(
        "the server has no room for the stream {stream}, not even {bytes} bytes: free its disk or raise its limits ({reason})"
    )]
    NoRoom {
        /// The stream.
        stream: String,
        /// What was asked for last.
        bytes: i64,
        /// What the server says.
        reason: String,
    },
    /// The server refused.
    #[error("the NATS server refused {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// What it says.
        reason: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Definitions {
    stream: Vec<StreamDefinition>,
    consumer: BTreeMap<String, ConsumerDefinition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamDefinition {
    name: String,
    description: String,
    subjects: Vec<String>,
    retention: Retention,
    discard: Discard,
    max_bytes: MaxBytes,
    max_age: Option<MaxAge>,
    first_sequence: Option<FirstSequence>,
    #[serde(default)]
    atomic_batches: bool,
    /// Whether only the last message of each subject is kept.
    #[serde(default)]
    last_of_subject: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Retention {
    Limits,
    Workqueue,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Discard {
    Old,
    New,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum MaxBytes {
    Fixed(i64),
    Told(ToldMaxBytes),
}

#[derive(Deserialize)]
enum ToldMaxBytes {
    #[serde(rename = "stream.max_bytes")]
    Configured,
}

#[derive(Deserialize)]
enum MaxAge {
    #[serde(rename = "stream.keep_days")]
    Configured,
}

#[derive(Deserialize)]
enum FirstSequence {
    #[serde(rename = "database")]
    Database,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct ConsumerDefinition {
    stream: String,
    name: String,
    filter: String,
    ack_wait_seconds: u64,
    max_ack_pending: i64,
}

/// What a consumer is called, and what it takes.
#[derive(Debug, Clone)]
pub struct ConsumerNames {
    /// Its stream.
    pub stream: String,
    /// Its durable name.
    pub name: String,
    /// The subjects it takes.
    pub filter: String,
}

impl ConsumerNames {
    /// How far the consumer has got; `None` where it is not there, or its stream is not.
    pub async fn info(
        &self,
        context: &jetstream::Context,
    ) -> Result<Option<jetstream::consumer::Info>, ConsumerError> {
        const NOT_THERE: [ErrorCode; 2] =
            [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
        let found =
            context.get_consumer_from_stream::<pull::Config, _, _>(&self.name, &self.stream);
        match found.await {
            Ok(found) => Ok(Some(found.cached_info().clone())),
            Err(error) => match error.kind() {
                ConsumerErrorKind::JetStream(reason)
                    if NOT_THERE.contains(&reason.error_code()) =>
                {
                    Ok(None)
                }
                _ => Err(error),
            },
        }
    }
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
            definitions: toml::from_str(DEFINITIONS)?,
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
        Ok(self.stream(stream)?.first_sequence.is_some())
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
        let definition = self.stream(stream)?;
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
        let definition = self.stream(stream)?;
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
        let definition = self.consumer(kind)?;
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
        let definition = self.consumer(kind)?;
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

    fn consumer(&self, kind: &str) -> Result<&ConsumerDefinition, TopologyError> {
        let definition = self.definitions.consumer.get(kind);
        definition.ok_or_else(|| TopologyError::Undefined(format!("consumer.{kind}")))
    }

    fn stream(&self, name: &str) -> Result<&StreamDefinition, TopologyError> {
        let definition = self
            .definitions
            .stream
            .iter()
            .find(|stream| stream.name == name);
        definition.ok_or_else(|| TopologyError::Undefined(format!("stream {name}")))
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

async fn found(context: &jetstream::Context, stream: &str) -> Result<Option<Info>, TopologyError> {
    match context.get_stream(stream).await {
        Ok(found) => Ok(Some(found.cached_info().clone())),
        Err(error) => match error.kind() {
            jetstream::context::GetStreamErrorKind::JetStream(ref reason)
                if reason.error_code() == STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(TopologyError::Refused {
                what: format!("to tell of the stream {stream}"),
                reason: error.to_string(),
            }),
        },
    }
}

/// Asks for less and less where the server cannot reserve all that is configured.
async fn create(context: &jetstream::Context, mut wanted: Config) -> Result<(), TopologyError> {
    loop {
        match context.create_stream(&wanted).await {
            Ok(_) => {
                info!(
                    stream = wanted.name,
                    max_bytes = wanted.max_bytes,
                    "stream made"
                );
                return Ok(());
            }
            Err(error) => {
                if !is_no_room(&error) {
                    return Err(TopologyError::Refused {
                        what: format!("the stream {}", wanted.name),
                        reason: error.to_string(),
                    });
                }
                if wanted.max_bytes / 2 < SMALLEST_STREAM_BYTES {
                    return Err(TopologyError::NoRoom {
                        stream: wanted.name,
                        bytes: wanted.max_bytes,
                        reason: error.to_string(),
                    });
                }
                wanted.max_bytes /= 2;
                warn!(
                    stream = wanted.name,
                    max_bytes = wanted.max_bytes,
                    "the server cannot reserve `stream.max_bytes`: trying with less"
                );
            }
        }
    }
}

async fn update(
    context: &jetstream::Context,
    existing: Config,
    wanted: Config,
) -> Result<(), TopologyError> {
    drift::check_unchangeable(&existing, &wanted)?;
    let updated = drift::updated(&existing, wanted);
    if updated == existing {
        return Ok(());
    }
    let Err(error) = context.update_stream(&updated).await else {
        info!(stream = updated.name, "stream brought up to date");
        return Ok(());
    };
    if is_no_room(&error) && updated.max_bytes != existing.max_bytes {
        warn!(
            stream = updated.name,
            max_bytes = existing.max_bytes,
            "the server cannot reserve `stream.max_bytes`: the stream stays as large as it is"
        );
        let wanted = Config {
            max_bytes: existing.max_bytes,
            ..updated
        };
        return Box::pin(update(context, existing, wanted)).await;
    }
    if is_no_room(&error) {
        // A server over its limit takes no change at all, as little as it may be.
        warn!(
            stream = updated.name,
            reason = %error,
            "the server has no room to bring the stream up to date: it stays as it is"
        );
        return Ok(());
    }
    Err(TopologyError::Refused {
        what: format!("to bring the stream {} up to date", updated.name),
        reason: error.to_string(),
    })
}

fn is_no_room(error: &jetstream::context::CreateStreamError) -> bool {
    let kind = error.kind();
    matches!(kind, CreateStreamErrorKind::JetStream(ref reason) if NO_ROOM.contains(&reason.error_code()))
}
