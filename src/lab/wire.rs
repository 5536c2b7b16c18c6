//! JSON as Meta writes it.
//!
//! Meta escapes everything outside ASCII as `\uXXXX` and `/` as `\/`; a signature is over those
//! bytes, so a receiver that re-serialises before it checks fails here.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// `\uXXXX` for all that is not ASCII, `\/` for `/`.
    Meta,
    /// UTF-8 as it is.
    Plain,
}

/// What is written as the first half of an emoji, `\ud83d`, without the second: as where Instagram
/// cuts a text. A character for private use, since no Rust text can hold a lone surrogate.
pub const FIRST_HALF: char = '\u{f8ff}';
/// The second half alone, `\udc4d`.
pub const SECOND_HALF: char = '\u{f8fe}';

/// `value` as compact JSON. Writing plain data to memory cannot fail.
#[must_use]
pub fn to_json(value: &impl Serialize, escaping: Escaping) -> Vec<u8> {
    let mut json = Vec::with_capacity(512);
    let written = value.serialize(&mut Serializer::with_formatter(&mut json, escaping));
    debug_assert!(written.is_ok(), "the shapes have string keys only");
    json
}

impl Escaping {
    fn leaves(self, c: char) -> bool {
        match self {
            Self::Meta => c != '/' && c.is_ascii(),
            Self::Plain => !matches!(c, FIRST_HALF | SECOND_HALF),
        }
    }
}

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, special)) = rest.char_indices().find(|&(_, c)| !self.leaves(c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            write_special(writer, special)?;
            rest = &rest[at + special.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

fn write_special<W: ?Sized + Write>(writer: &mut W, special: char) -> io::Result<()> {
    match special {
        '/' => writer.write_all(b"\\/"),
        FIRST_HALF => writer.write_all(b"\\ud83d"),
        SECOND_HALF => writer.write_all(b"\\udc4d"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn meta_escapes_slashes_and_all_that_is_not_ascii() {
        let json = to_json(&"a/b \"é\" 👍\n", Escaping::Meta);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#""a\/b \"\u00e9\" \ud83d\udc4d\n""#
        );
    }

    #[test]
    fn both_ways_read_as_the_same_text() {
        let text = "https://x/y 👨‍👩‍👧‍👦 مرحبا \u{0} ende";
        for escaping in [Escaping::Meta, Escaping::Plain] {
            let read: String = serde_json::from_slice(&to_json(&text, escaping)).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn half_an_emoji_is_written_alone() {
        let text = format!("cut {FIRST_HALF}");
        for escaping in [Escaping::Meta, Escaping::Plain] {
            assert_eq!(to_json(&text, escaping), br#""cut \ud83d""#);
        }
    }
}
