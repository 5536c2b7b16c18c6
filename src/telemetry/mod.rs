//! What the service tells of itself: metrics for Prometheus, and the log.

pub mod logs;
pub mod metrics;
pub mod server;
