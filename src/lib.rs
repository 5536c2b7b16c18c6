//! igstream takes in Instagram's webhook traffic and loses none of it.

pub mod config;
pub mod instagram;
pub mod journal;
pub mod store;
pub mod stream;
pub mod telemetry;
