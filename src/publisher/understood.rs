//! What a delivery of the journal is, or was, published as: for whoever reads the journal afresh.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::understanding::PANICKED;
use crate::instagram::Event;
use crate::instagram::understand::{Reading, whole_delivery};

/// The events of a delivery: one an item, or the one of the whole where some item cannot be understood
/// without a panic. It is understood twice, since nothing is kept of one of a million items.
pub fn understood<'a>(reading: &'a Reading<'_>) -> impl Iterator<Item = Event> + Send + 'a {
    let all = || reading.events().for_each(drop);
    let is_understood = catch_unwind(AssertUnwindSafe(all)).is_ok();
    let events = is_understood.then(|| reading.events());
    let whole = (!is_understood).then(|| whole_delivery(reading.delivery(), PANICKED));
    events.into_iter().flatten().chain(whole)
}
