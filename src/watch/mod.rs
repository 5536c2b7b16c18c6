//! What looks after the service in the background: a sampler of depths and ages,
//! a purger of what is old and done with, and the adopter of events whose account
//! became known.

pub mod adopter;
pub mod purger;
pub mod sampler;
