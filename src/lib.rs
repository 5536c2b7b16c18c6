//! igstream.
pub mod config;
pub mod telemetry;
