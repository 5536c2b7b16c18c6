//! What holds for any item.
