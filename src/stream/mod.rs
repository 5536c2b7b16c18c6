//! `JetStream`: the connection, the topology, what goes out and what comes in.

pub mod acks;
pub mod announce;
pub mod bulk;
pub mod connection;
pub mod consumer;
pub mod erase;
pub mod managed;
pub mod message;
pub mod monitor;
pub mod names;
pub mod pages;
pub mod place;
pub mod room;
pub mod tail;
pub mod topology;

pub use connection::{Connection, ConnectionOptions};
