//! An item as it travels, and the entry around it.

use std::sync::Arc;

use super::{kind::Place, shapes::Number};

/// An item as it travels in an entry.
#[derive(Debug, Clone)]
pub struct Item {
    /// One of the nine, or `unknown`.
    pub event_type: &'static str,
    /// The `event_id` it must get; none for what is `unknown`, which is told by a digest.
    pub event_id: Option<Arc<str>>,
    /// Where in the entry it stands.
    pub place: Place,
    /// What the entry says of all its items.
    pub head: Head,
    /// The change or messaging item itself; where the entry is the item, the rest of the entry.
    pub json: Vec<u8>,
}

/// What an entry says of all its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `entry.id`.
    pub account: Arc<str>,
    /// It is written as a number.
    pub is_number: bool,
    /// `entry.time`.
    pub time: Number,
}
