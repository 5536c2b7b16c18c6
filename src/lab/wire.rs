//! JSON as Meta writes it.
//!
//! Meta escapes everything outside ASCII as `\uXXXX` and `/` as `\/`; a signature is over those
//! bytes, so a receiver that re-serialises before it checks fails here.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// How text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// `\uXXXX` for all that is not ASCII, `\/` for `/`.
    Meta,
    /// UTF-8 as it is.
    Plain,
}

/// `value` as compact JSON. Writing plain data to memory cannot fail.
#[must_use]
pub fn to_json(value: &impl Serialize, escaping: Escaping) -> Vec<u8> {
    let mut json = Vec::with_capacity(512);
    let written = match escaping {
        Escaping::Meta => {
            value.serialize(&mut Serializer::with_formatter(&mut json, MetaFormatter))
        }
        Escaping::Plain => {
            value.serialize(&mut Serializer::with_formatter(&mut json, CompactFormatter))
        }
    };
    debug_assert!(written.is_ok(), "the shapes have string keys only");
    json
}

struct MetaFormatter;

impl Formatter for MetaFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest
            .bytes()
            .position(|byte| byte == b'/' || !byte.is_ascii())
        {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            rest = write_special(writer, special)?;
        }
        writer.write_all(rest.as_bytes())
    }
}

/// Writes the first character of `text` escaped; returns what comes after it.
fn write_special<'a, W: ?Sized + Write>(writer: &mut W, text: &'a str) -> io::Result<&'a str> {
    let mut chars = text.chars();
    match chars.next() {
        Some('/') => writer.write_all(b"\\/")?,
        Some(other) => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        None => {}
    }
    Ok(chars.as_str())
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
}
