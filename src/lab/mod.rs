//! The lab plays Instagram: it makes up traffic, signs it, posts it and keeps a ledger of it.
//!
//! ```text
//! seed → Traffic (what is sent, and what must become of it) → Player (HTTP) → Ledger, Summary
//! ```
//!
//! It shares no code with the service's own parser and signature check, on purpose: it writes
//! the `event_id` it expects from what it knows it made up, so a comparison of the database
//! with the ledger is an honest one. [`Traffic`] does no I/O and reads no clock.
//!
//! - [`kind`]: the nine types and what is none of them, and how often each is sent
//! - [`cast`]: accounts, the people who write to them, and what they said before
//! - [`content`]: ids and texts
//! - [`shapes`], [`wire`]: Instagram's JSON, and Meta's way to escape it
//! - [`entry`]: an item as it travels; [`expectation`]: what must become of it
//! - [`items`]: one item of each type, by `changes`, `messages` (with `attachments`), `gestures` and
//!   `others`; [`malformed`]: one that must end as a dead letter
//! - [`plan`], [`traffic`]: deliveries, repeats, bursts, and what comes out of order; [`invalid`]: what must not be accepted
//! - [`delivery`]: the bytes, and what must become of each event in them
//! - [`signer`], [`player`], `post`: sending them at a pace, again if need be
//! - [`single`]: one payload of somebody's own
//! - [`ledger`], [`summary`]: telling what happened

mod attachments;
pub mod cast;
mod changes;
pub mod content;
pub mod delivery;
mod draft;
pub mod entry;
pub mod expectation;
mod gestures;
pub mod invalid;
pub mod items;
pub mod kind;
pub mod ledger;
pub mod malformed;
mod messages;
mod others;
pub mod plan;
pub mod player;
mod post;
mod report;
pub mod shapes;
pub mod signer;
pub mod single;
pub mod summary;
pub mod traffic;
pub mod wire;

pub use delivery::{Delivery, Told};
pub use expectation::Expectation;
pub use kind::Kind;
pub use ledger::Ledger;
pub use plan::TrafficPlan;
pub use player::{End, Play, Stop, play};
pub use post::{PlayError, Reply};
pub use signer::Signer;
pub use single::SinglePost;
pub use summary::Summary;
pub use traffic::Traffic;

#[cfg(test)]
mod tests;
