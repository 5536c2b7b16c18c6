//! igstream.
