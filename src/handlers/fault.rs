//! A fault that the tests can ask for. Builds for release have none.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

/// `IGSTREAM_FAULT=panic:comment:2`: the handler of comments panics over its
/// first two batches.
pub(super) fn point(event_type: &str) {
    static PANICS: AtomicU32 = AtomicU32::new(0);
    let Ok(asked) = env::var("IGSTREAM_FAULT") else {
        return;
    };
    let mut parts = asked.split(':');
    let is_ours = parts.next() == Some("panic") && parts.next() == Some(event_type);
    let times = parts.next().and_then(|times| times.parse().ok());
    assert!(
        !is_ours || PANICS.fetch_add(1, Ordering::Relaxed) >= times.unwrap_or(1),
        "asked for by IGSTREAM_FAULT"
    );
}
