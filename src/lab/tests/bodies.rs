//! Deliveries to look at, and the items in them.

use serde_json::Value;

use super::read;
use crate::lab::{Delivery, Traffic, TrafficPlan};

pub(super) fn deliveries(count: usize, plan: TrafficPlan) -> Vec<Delivery> {
    Traffic::new(plan).take(count).collect()
}

pub(super) fn plan() -> TrafficPlan {
    TrafficPlan {
        seed: 7,
        start_ms: 1_795_000_000_000,
        ..TrafficPlan::default()
    }
}

pub(super) fn json(delivery: &Delivery) -> Value {
    read(&delivery.body).expect("valid JSON")
}

/// An item of a body.
pub(super) struct Found {
    pub account: String,
    /// `entry.time`, as received.
    pub time: String,
    /// The list it was in, if it was in one.
    pub list: Option<&'static str>,
    pub item: Value,
}

/// All items of a body, in their order.
pub(super) fn items(body: &Value) -> Vec<Found> {
    let objects = body.as_array().cloned().unwrap_or(vec![body.clone()]);
    let entries = objects
        .iter()
        .flat_map(|object| object["entry"].as_array().unwrap());
    entries.flat_map(items_of).collect()
}

fn items_of(entry: &Value) -> Vec<Found> {
    let found = |list, item: &Value| Found {
        account: text(&entry["id"]),
        time: text(&entry["time"]),
        list,
        item: item.clone(),
    };
    for list in ["changes", "messaging", "standby"] {
        if let Some(items) = entry.get(list) {
            let items = items.as_array().unwrap();
            return items.iter().map(|item| found(Some(list), item)).collect();
        }
    }
    vec![found(None, entry)]
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
