//! A stream as it is, against as it must be.

use async_nats::jetstream::stream::Config;

use super::error::TopologyError;

/// What of a stream differs, or that it is not there.
#[derive(Debug)]
pub enum Look {
    /// It is made at the next start.
    Absent,
    /// It is there, and usable.
    Present {
        /// As it is.
        config: Box<Config>,
        /// The settings that the next start brings up to date.
        stale: Vec<&'static str>,
    },
    /// It is there, and cannot be brought up to date.
    Unusable {
        /// As it is.
        config: Box<Config>,
        /// Why not.
        reason: TopologyError,
    },
}

/// What becomes of the `existing` stream at a start.
pub(super) fn look(existing: Option<Config>, wanted: Config) -> Look {
    let Some(existing) = existing else {
        return Look::Absent;
    };
    if let Err(reason) = check_unchangeable(&existing, &wanted) {
        return Look::Unusable {
            config: Box::new(existing),
            reason,
        };
    }
    let updated = updated(&existing, wanted);
    Look::Present {
        stale: differences(&existing, &updated),
        config: Box::new(existing),
    }
}

/// The existing stream as it must be. What the program does not set stays as an operator has set it.
pub(super) fn updated(existing: &Config, wanted: Config) -> Config {
    Config {
        description: wanted.description,
        subjects: wanted.subjects,
        discard: wanted.discard,
        num_replicas: wanted.num_replicas,
        max_bytes: wanted.max_bytes,
        max_age: wanted.max_age,
        duplicate_window: wanted.duplicate_window,
        allow_direct: wanted.allow_direct,
        allow_atomic_publish: wanted.allow_atomic_publish || existing.allow_atomic_publish,
        ..existing.clone()
    }
}

fn differences(existing: &Config, updated: &Config) -> Vec<&'static str> {
    let (a, b) = (existing, updated);
    let settings = [
        ("description", a.description != b.description),
        ("subjects", a.subjects != b.subjects),
        ("discard", a.discard != b.discard),
        ("num_replicas", a.num_replicas != b.num_replicas),
        ("max_bytes", a.max_bytes != b.max_bytes),
        ("max_age", a.max_age != b.max_age),
        ("duplicate_window", a.duplicate_window != b.duplicate_window),
        ("allow_direct", a.allow_direct != b.allow_direct),
        (
            "allow_atomic",
            a.allow_atomic_publish != b.allow_atomic_publish,
        ),
    ];
    settings
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
}

pub(super) fn check_unchangeable(existing: &Config, wanted: &Config) -> Result<(), TopologyError> {
    let drift = |field, found: &dyn std::fmt::Debug, wanted_value: &dyn std::fmt::Debug| {
        TopologyError::Drift {
            stream: wanted.name.clone(),
            field,
            found: format!("{found:?}"),
            wanted: format!("{wanted_value:?}"),
        }
    };
    if existing.retention != wanted.retention {
        return Err(drift("retention", &existing.retention, &wanted.retention));
    }
    if existing.storage != wanted.storage {
        return Err(drift("storage", &existing.storage, &wanted.storage));
    }
    if existing.no_ack {
        return Err(drift("no_ack", &true, &false));
    }
    if existing.sealed {
        return Err(drift("sealed", &true, &false));
    }
    if existing.mirror.is_some() {
        return Err(drift("mirror", &existing.mirror, &wanted.mirror));
    }
    Ok(())
}
