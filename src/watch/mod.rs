//! What looks after the service in the background: a sampler of depths and ages,
//! and the adopter of events whose account became known.

pub mod adopter;
pub mod sampler;
