//! igstream.
pub mod lab;
