//! igstream, tried as its users use it, each promise in a module of its own. One
//! binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod bad_input;
mod come_again;
mod database_away;
mod end_to_end;
mod fixtures;
mod handshake;
mod http_odd;
mod managed_server;
mod migrations;
mod roles;
mod store;
mod store_failures;
mod store_identity;
mod store_order;
mod store_together;
mod store_unsent;
mod store_values;
mod supervision;
mod support;
mod tables;
mod topology;
mod understanding;
