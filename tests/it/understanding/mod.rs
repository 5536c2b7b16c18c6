//! What Instagram sends is understood as the contract says: every shape as a
//! fixture that a person can read, and what holds for any shape as a property.

mod anything;
mod documented;
mod fixtures;
mod identity;
mod support;
