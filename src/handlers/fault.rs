//! Faults that the tests can ask for. Builds for release have none.

use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::store::Incoming;

/// `IGSTREAM_FAULT=panic:comment:2`: the handler of comments panics over its
/// first two batches; `panic:comment:on:poison`: over each batch with an event
/// whose id holds `poison`.
pub(super) fn point(event_type: &str, events: &[Incoming]) {
    let Ok(asked) = env::var("IGSTREAM_FAULT") else {
        return;
    };
    let asked: Vec<&str> = asked.split(':').collect();
    let strikes = match asked.as_slice() {
        ["panic", of, "on", id] if *of == event_type => events
            .iter()
            .any(|incoming| incoming.event.event_id.contains(id)),
        ["panic", of, times] if *of == event_type => is_early(times),
        _ => false,
    };
    assert!(!strikes, "asked for by IGSTREAM_FAULT");
}

fn is_early(times: &str) -> bool {
    static PANICS: AtomicU32 = AtomicU32::new(0);
    PANICS.fetch_add(1, Ordering::Relaxed) < times.parse().unwrap_or(1)
}
