//! igstream, tried as its users use it, each promise in a module of its own. One
//! binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod accounts;
mod accounts_removed;
mod acknowledgements;
mod bad_input;
mod check;
mod come_again;
mod database_away;
mod dead_letters;
mod documented_rows;
mod durability;
mod end_to_end;
mod faults;
mod fixtures;
mod handshake;
mod http_odd;
mod managed_server;
mod migrations;
mod nats_kept;
mod purger;
mod roles;
mod send;
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
mod tail;
mod topology;
mod understanding;
