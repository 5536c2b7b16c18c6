//! What `nats/streams.toml` says.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::TopologyError;

const DEFINITIONS: &str = include_str!("../../../nats/streams.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definitions {
    pub(super) stream: Vec<StreamDefinition>,
    pub(super) consumer: BTreeMap<String, ConsumerDefinition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamDefinition {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) subjects: Vec<String>,
    pub(super) retention: Retention,
    pub(super) discard: Discard,
    pub(super) max_bytes: MaxBytes,
    pub(super) max_age: Option<MaxAge>,
    pub(super) first_sequence: Option<FirstSequence>,
    #[serde(default)]
    pub(super) atomic_batches: bool,
    /// Whether only the last message of each subject is kept.
    #[serde(default)]
    pub(super) last_of_subject: bool,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Retention {
    Limits,
    Workqueue,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(super) enum Discard {
    Old,
    New,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum MaxBytes {
    Fixed(i64),
    Told(ToldMaxBytes),
}

#[derive(Deserialize)]
pub(super) enum ToldMaxBytes {
    #[serde(rename = "stream.max_bytes")]
    Configured,
}

#[derive(Deserialize)]
pub(super) enum MaxAge {
    #[serde(rename = "stream.keep_days")]
    Configured,
}

#[derive(Deserialize)]
pub(super) enum FirstSequence {
    #[serde(rename = "database")]
    Database,
}

#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsumerDefinition {
    pub(super) stream: String,
    pub(super) name: String,
    pub(super) filter: String,
    pub(super) ack_wait_seconds: u64,
    pub(super) max_ack_pending: i64,
}

impl Definitions {
    /// Those that are built in.
    pub(super) fn built_in() -> Result<Self, TopologyError> {
        Ok(toml::from_str(DEFINITIONS)?)
    }

    pub(super) fn stream(&self, name: &str) -> Result<&StreamDefinition, TopologyError> {
        let definition = self.stream.iter().find(|stream| stream.name == name);
        definition.ok_or_else(|| TopologyError::Undefined(format!("stream {name}")))
    }

    pub(super) fn consumer(&self, kind: &str) -> Result<&ConsumerDefinition, TopologyError> {
        let definition = self.consumer.get(kind);
        definition.ok_or_else(|| TopologyError::Undefined(format!("consumer.{kind}")))
    }
}
