//! The metrics: every name, label and bucket in one place.
//!
//! Labels come from closed lists; none ever carries the id of an account, a person or a message.
//! Hot paths take their handles once ([`AcceptMetrics`], [`TypeMetrics`], …): a look-up hashes the labels each time.

mod handles;
mod labels;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use metrics::{Unit, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use self::handles::{
    AcceptMetrics, QueueMetrics, StreamMetrics, TypeMetrics, actor_restarts, archive_failures,
    retention_deleted, set_durability,
};
pub use self::labels::{ErrorType, Outcome, Retained};

/// Deliveries by [`Outcome`].
pub const DELIVERIES: &str = "instagram_webhook_deliveries_total";
/// Events received, by type.
pub const EVENTS_RECEIVED: &str = "instagram_webhook_events_received_total";
/// Events that were told before, by type.
pub const DUPLICATES: &str = "instagram_webhook_duplicates_total";
/// Time a handler takes to store an event, by type.
pub const PROCESSING_DURATION: &str = "instagram_webhook_processing_duration_seconds";
/// Time from received to committed, by type.
pub const END_TO_END_DURATION: &str = "instagram_webhook_end_to_end_duration_seconds";
/// Time from the arrival of a delivery to its 200.
pub const ACCEPT_DURATION: &str = "instagram_webhook_accept_duration_seconds";
/// Events processed, by type.
pub const EVENTS_PROCESSED: &str = "instagram_webhook_events_processed_total";
/// Failed attempts, by type and [`ErrorType`].
pub const PROCESSING_FAILURES: &str = "instagram_webhook_processing_failures_total";
/// Further attempts at events that failed, by type.
pub const RETRIES: &str = "instagram_webhook_retries_total";
/// Events that failed for good, by type.
pub const DEAD_LETTERS: &str = "instagram_webhook_dead_letters_total";
/// Messages not yet delivered plus not yet acknowledged, by type and for the journal.
pub const QUEUE_DEPTH: &str = "instagram_webhook_queue_depth";
/// Age of the oldest event not yet stored, by type and for the journal.
pub const OLDEST_PENDING: &str = "instagram_webhook_oldest_pending_seconds";
/// The durability that a 200 means, as label `level`.
pub const DURABILITY_INFO: &str = "instagram_ingest_durability_info";
/// Bytes in a stream.
pub const STREAM_BYTES: &str = "instagram_stream_bytes";
/// Size limit of a stream in bytes.
pub const STREAM_MAX_BYTES: &str = "instagram_stream_max_bytes";
/// Restarts of an actor after it failed.
pub const ACTOR_RESTARTS: &str = "instagram_actor_restarts_total";
/// Rows of the generic log that retention deleted, by [`Retained`].
pub const RETENTION_DELETED: &str = "instagram_retention_deleted_total";
/// How often retention stopped since the archive could not be written.
pub const ARCHIVE_FAILURES: &str = "instagram_retention_archive_failures_total";
/// The version of the program, as label `version`.
pub const BUILD_INFO: &str = "instagram_build_info";

/// The value of the label `event_type` for the journal, beside the event types (queue depth and oldest pending).
pub const JOURNAL: &str = "journal";

const EVENT_TYPE: &str = "event_type";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

use Kind::{Counter as C, Gauge as G, Histogram as H};

/// Every metric of the service: name, kind, unit, and what Prometheus shows as its help.
const ALL: &[(&str, Kind, Unit, &str)] = &[
    (
        DELIVERIES,
        C,
        Unit::Count,
        "Deliveries that Instagram posted, by how they ended",
    ),
    (
        EVENTS_RECEIVED,
        C,
        Unit::Count,
        "Events received, duplicates among them",
    ),
    (
        DUPLICATES,
        C,
        Unit::Count,
        "Events that Instagram had told before",
    ),
    (
        PROCESSING_DURATION,
        H,
        Unit::Seconds,
        "Time from the fetch of an event to the commit of its rows",
    ),
    (
        END_TO_END_DURATION,
        H,
        Unit::Seconds,
        "Time from the arrival of an event to the commit of its rows",
    ),
    (
        ACCEPT_DURATION,
        H,
        Unit::Seconds,
        "Time from the arrival of a delivery to its 200, durable in the journal",
    ),
    (
        EVENTS_PROCESSED,
        C,
        Unit::Count,
        "Events whose rows are committed",
    ),
    (
        PROCESSING_FAILURES,
        C,
        Unit::Count,
        "Attempts at an event that failed, by what failed",
    ),
    (
        RETRIES,
        C,
        Unit::Count,
        "Attempts at an event after one that failed",
    ),
    (DEAD_LETTERS, C, Unit::Count, "Events that failed for good"),
    (
        QUEUE_DEPTH,
        G,
        Unit::Count,
        "Messages not yet delivered plus not yet acknowledged",
    ),
    (
        OLDEST_PENDING,
        G,
        Unit::Seconds,
        "Age of the oldest event not yet stored",
    ),
    (
        DURABILITY_INFO,
        G,
        Unit::Count,
        "What a 200 means on each server, as a label",
    ),
    (STREAM_BYTES, G, Unit::Bytes, "Bytes in the stream"),
    (
        STREAM_MAX_BYTES,
        G,
        Unit::Bytes,
        "Size limit of the stream; when it is reached deliveries get 503",
    ),
    (
        ACTOR_RESTARTS,
        C,
        Unit::Count,
        "Restarts of an actor after a failure",
    ),
    (
        RETENTION_DELETED,
        C,
        Unit::Count,
        "Rows of the generic log deleted by retention",
    ),
    (
        ARCHIVE_FAILURES,
        C,
        Unit::Count,
        "How often rows were not deleted since the archive could not be written",
    ),
    (
        BUILD_INFO,
        G,
        Unit::Count,
        "The running version, as a label",
    ),
];

const ACCEPT_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];
const PROCESSING_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];
/// Up to an hour, which is how late a long outage of the database makes an event.
const END_TO_END_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 3600.0,
];

/// The recorder of the metrics could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("cannot install the recorder of the metrics: {0}")]
pub struct InstallError(#[from] BuildError);

/// Installs the recorder of the process and describes every metric.
///
/// Called again it gives the same recorder: services that share a process share their metrics.
/// [`server::serve`](super::server::serve) renders it, and runs its upkeep.
pub fn install() -> Result<PrometheusHandle, InstallError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = installed.as_ref() {
        return Ok(handle.clone());
    }
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(installed.insert(handle).clone())
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    [
        (ACCEPT_DURATION, ACCEPT_BUCKETS),
        (PROCESSING_DURATION, PROCESSING_BUCKETS),
        (END_TO_END_DURATION, END_TO_END_BUCKETS),
    ]
    .into_iter()
    .try_fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets)
    })
}

fn describe() {
    for &(name, kind, unit, help) in ALL {
        match kind {
            Kind::Counter => metrics::describe_counter!(name, unit, help),
            Kind::Gauge => metrics::describe_gauge!(name, unit, help),
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// Makes every series whose labels are known from the start, so that a rate can be told from its first event on.
///
/// Not those that are measured ([`QueueMetrics`], [`StreamMetrics`], [`set_durability`]): a zero that nobody
/// measured would say that all is done. They appear with their first sample.
pub fn register(event_types: &[&'static str]) {
    let _ = AcceptMetrics::new();
    for event_type in event_types {
        let _ = TypeMetrics::new(event_type);
    }
    for kind in Retained::ALL {
        let _ = retention_deleted(*kind);
    }
    let _ = archive_failures();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}
