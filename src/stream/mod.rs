//! `JetStream`: the server igstream starts itself, and what it says to any.

pub mod managed;
