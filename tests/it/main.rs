//! igstream, tried as its users use it. One binary: it links once.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod migrations;
mod support;
mod tables;
mod understanding;
