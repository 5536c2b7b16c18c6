//! What Instagram says, and what it means. Pure: no I/O, no clock, no async.
//!
//! The way down this module is the way of a delivery: its [`signature`] is
//! checked over the raw bytes, its envelope is taken apart into items
//! ([`delivery`]), each is read ([`item`]) and becomes one [`event::Event`]
//! ([`mod@understand`]) by the rules of its type ([`types`]), with an [`identity`]
//! and a [`time`].

pub mod delivery;
pub mod event;
pub mod identity;
pub mod item;
pub mod json;
pub mod signature;
pub mod signed_request;
pub mod time;
pub mod types;
pub mod understand;

pub use delivery::{Delivery, Verified};
pub use event::Event;
pub use types::EventType;
pub use understand::understand;
