//! What operators ask over HTTP.

mod health;

pub use health::{HealthState, routes as health_routes};
