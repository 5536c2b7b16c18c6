//! igstream.
fn main() {}
