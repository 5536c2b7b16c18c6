//! igstream schema and its history.
