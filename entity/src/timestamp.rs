//! Time as `SQLite` keeps it: text of one width, so that the order of the text is the order of time.

use sea_orm::prelude::DateTimeUtc;

/// `chrono`'s pattern for it: UTC, six decimals, `Z`.
pub const SQLITE_FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6fZ";

/// A time as `SQLite`'s columns hold it, cut to the microsecond: `2026-11-24T17:25:19.123456Z`.
///
/// Bind this where a statement writes or compares times in `SQLite`. A `DateTime` bound as such
/// becomes text of another form (`+00:00`, as many decimals as it needs): it is read back right and
/// still sorts right beside this one, but is not equal to it, so a unique key with a time in it
/// would take both.
#[must_use]
pub fn sqlite_text(time: DateTimeUtc) -> String {
    time.format(SQLITE_FORMAT).to_string()
}
