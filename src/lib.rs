//! igstream.
pub mod cli;
pub mod lab;
