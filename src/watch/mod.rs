//! What looks after the service in the background: a sampler of depths and ages,
//! a purger of what is old and done with, the adopter of events whose account
//! became known, the eraser of accounts that are to be forgotten, and what deletes
//! rows that have stayed long enough.

pub mod adopter;
pub mod eraser;
pub mod erasure;
pub mod purger;
pub mod retention;
pub mod sampler;
