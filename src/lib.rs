//! igstream.

pub mod stream;
