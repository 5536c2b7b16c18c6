//! When something happened, from the many ways Instagram writes it.

use chrono::{DateTime, Datelike, SecondsFormat, Utc};

/// Numbers from here on count milliseconds, below it seconds: 10^11 seconds are
/// the year 5138, 10^11 milliseconds are 1973, before there was an Instagram.
pub const FIRST_MILLISECOND: u64 = 100_000_000_000;

/// Reads an integer or a text: seconds or milliseconds since 1970, or ISO 8601
/// (`2021-09-08T06:34:04+0000`). `None` when it cannot be read, or lies outside
/// the years 1 to 9999, which every database and every RFC 3339 reader holds.
#[must_use]
pub fn read(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let time = match text.parse::<i64>() {
        Ok(number) => from_number(number)?,
        Err(_) => from_iso8601(text)?,
    };
    (1..=9999).contains(&time.year()).then_some(time)
}

fn from_number(number: i64) -> Option<DateTime<Utc>> {
    if number.unsigned_abs() < FIRST_MILLISECOND {
        DateTime::from_timestamp(number, 0)
    } else {
        DateTime::from_timestamp_millis(number)
    }
}

fn from_iso8601(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"))
        .map(|time| time.to_utc())
        .ok()
}

/// The one form in which times are written: UTC, six decimals and `Z`, so that
/// the order of the texts is the order of the times (`SQLite` keeps them as text).
#[must_use]
pub fn canonical(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Serde: a time in its [`canonical`] form.
pub mod serde_canonical {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the canonical form.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::canonical(*time))
    }

    /// Reads any RFC 3339 time.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
        DateTime::<Utc>::deserialize(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical_of(text: &str) -> Option<String> {
        read(text).map(canonical)
    }

    #[test]
    fn reads_seconds_milliseconds_and_iso_8601() {
        for (text, expected) in [
            ("1527459824", "2018-05-27T22:23:44.000000Z"),
            ("1527459824123", "2018-05-27T22:23:44.123000Z"),
            ("233445667", "1977-05-25T22:01:07.000000Z"),
            ("100000000000", "1973-03-03T09:46:40.000000Z"),
            ("99999999999", "5138-11-16T09:46:39.000000Z"),
            ("2021-09-08T06:34:04+0000", "2021-09-08T06:34:04.000000Z"),
            ("2021-09-08T08:34:04.5+02:00", "2021-09-08T06:34:04.500000Z"),
        ] {
            assert_eq!(canonical_of(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        for text in [
            "",
            "soon",
            "1e999",
            "9".repeat(400).as_str(),
            "99999999999999999",
            "-",
            "1.5",
            "-9223372036854775808",
            "-170141183460469231731687303715884105728",
            "-62167219200",
        ] {
            assert_eq!(canonical_of(text), None, "{text}");
        }
    }
}
