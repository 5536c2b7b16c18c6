//! igstream, tried as its users use it, each promise in a module of its own. One
//! binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod managed_server;
mod migrations;
mod store;
mod store_failures;
mod store_identity;
mod store_order;
mod store_together;
mod store_unsent;
mod store_values;
mod support;
mod tables;
mod understanding;
