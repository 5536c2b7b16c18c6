//! JSON as Instagram may send it, which is more than a parser usually takes:
//! lone surrogates, numbers beyond any machine's, deep nesting, keys told
//! twice (the last one counts). Every function here is linear in its input.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize as _;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

/// Nesting that is still understood. Instagram's own is below ten; `PostgreSQL`
/// stops at some thousands (`max_stack_depth`), `SQLite` at 1,000.
pub const DEEPEST: usize = 512;
/// Nesting that is stored as it is. Most readers of JSON stop at 128 levels, and
/// so do those of both databases' columns.
const DEEPEST_STORED: usize = 100;
/// Digits and exponents of a number that both databases hold exactly.
const WIDEST_NUMBER: usize = 1000;
/// The key under which a stored document says what had to be replaced in it.
const REPLACED_KEY: &str = "igstream_replaced";
/// What is said there of a document that is stored as its text.
const TOO_DEEP: &str = "nesting deeper than 100 levels by its text";

/// Replaces each escape of a lone surrogate (`\ud83d` without its other half,
/// where a text was cut) by the escape of U+FFFD, which is as long: places in
/// the result are places in the original.
#[must_use]
pub fn mend_surrogates(text: &str) -> Cow<'_, str> {
    let mut mended = Cow::Borrowed(text);
    let mut at = 0;
    while let Some(backslash) = text.as_bytes()[at..].iter().position(|byte| *byte == b'\\') {
        at += backslash;
        at += match escape_at(text, at) {
            Escape::LoneSurrogate => {
                mended.to_mut().replace_range(at..at + 6, "\\ufffd");
                6
            }
            Escape::Pair => 12,
            Escape::Null | Escape::Unit => 6,
            Escape::Other => 2.min(text.len() - at),
        };
    }
    mended
}

enum Escape {
    LoneSurrogate,
    Pair,
    Null,
    Unit,
    Other,
}

fn escape_at(text: &str, at: usize) -> Escape {
    match unit_at(text, at) {
        None => Escape::Other,
        Some(0) => Escape::Null,
        Some(0xd800..=0xdbff) => match unit_at(text, at + 6) {
            Some(0xdc00..=0xdfff) => Escape::Pair,
            _ => Escape::LoneSurrogate,
        },
        Some(0xdc00..=0xdfff) => Escape::LoneSurrogate,
        Some(_) => Escape::Unit,
    }
}

fn unit_at(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok()
}

/// The texts of the values under `keys` of the object `text`; `None` when it is
/// no object. Reads every byte once and builds nothing.
#[must_use]
pub fn pick<'a, const N: usize>(text: &'a str, keys: [&str; N]) -> Option<[Option<&'a str>; N]> {
    struct Picker<'k, const N: usize>([&'k str; N]);
    impl<'de, const N: usize> Visitor<'de> for Picker<'_, N> {
        type Value = [Option<&'de str>; N];

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some(key) = map.next_key::<Key<'de>>()? {
                match self.0.iter().position(|wanted| *wanted == key.0) {
                    Some(place) => found[place] = Some(map.next_value::<&RawValue>()?.get()),
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(found)
        }
    }
    let mut from = Deserializer::from_str(text);
    let found = from.deserialize_map(Picker(keys)).ok()?;
    from.end().ok()?;
    Some(found)
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The texts of the elements of the array `text`, one after the other as they
/// are asked for; `None` when it is no array. `text` is grammatical: where it is
/// not, the elements end.
#[must_use]
pub fn elements(text: &str) -> Option<Elements<'_>> {
    let rest = text.trim_start().strip_prefix('[')?;
    Some(Elements { rest })
}

/// See [`elements`]. Holds nothing but its place in the text: an array can have
/// as many elements as its text has bytes.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = std::mem::take(&mut self.rest);
        let mut values = Deserializer::from_str(rest).into_iter::<&RawValue>();
        let element = values.next()?.ok()?;
        let after = rest.get(values.byte_offset()..)?.trim_start();
        self.rest = after.strip_prefix(',').unwrap_or_default();
        Some(element.get())
    }
}

/// Whether `text` is grammatical JSON.
#[must_use]
pub fn is_grammatical(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// How deep arrays and objects nest in a grammatical `text`.
#[must_use]
pub fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    for token in Tokens::new(text) {
        match token {
            Token::Open => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            Token::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads `text` whole, every number with all its digits; `None` when it is not
/// grammatical, or nests deeper than [`DEEPEST`].
#[must_use]
pub fn parse(text: &str) -> Option<Value> {
    if depth(text) > DEEPEST {
        return None;
    }
    let mut from = Deserializer::from_str(text);
    from.disable_recursion_limit();
    let value = Value::deserialize(&mut from).ok()?;
    from.end().ok()?;
    Some(value)
}

/// A text, or a number with all its digits, as text.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `value` with its keys sorted and without blanks: the same for two texts that
/// say the same.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(&mut text, value);
    text
}

fn write_canonical(to: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| key.as_str());
            to.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    to.push(',');
                }
                let _ = write!(to, "{}:", Value::from(key.as_str()));
                write_canonical(to, value);
            }
            to.push('}');
        }
        Value::Array(values) => {
            to.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    to.push(',');
                }
                write_canonical(to, value);
            }
            to.push(']');
        }
        scalar => {
            let _ = write!(to, "{scalar}");
        }
    }
}

/// `text` (grammatical JSON) as both databases can hold it: U+0000 and lone
/// surrogates become U+FFFD, numbers out of range and what nests too deep
/// become texts. Where something was replaced, the document says so under
/// `igstream_replaced`.
#[must_use]
pub fn storable(text: &str) -> Cow<'_, str> {
    if depth(text) > DEEPEST_STORED {
        let whole = Value::from(text).to_string();
        return Cow::Owned(marked(&storable(&whole), &[TOO_DEEP]));
    }
    let mut replaced: Vec<&'static str> = Vec::new();
    let mut storable = String::new();
    let mut copied = 0;
    for token in Tokens::new(text) {
        let (from, to, what) = match token {
            Token::Escape {
                at,
                escape: Escape::Null,
            } => (at, at + 6, "U+0000 by U+FFFD"),
            Token::Escape {
                at,
                escape: Escape::LoneSurrogate,
            } => (at, at + 6, "lone surrogates by U+FFFD"),
            Token::Number { from, to } if is_out_of_range(&text[from..to]) => {
                (from, to, "numbers out of range by texts")
            }
            _ => continue,
        };
        storable.push_str(&text[copied..from]);
        if matches!(token, Token::Number { .. }) {
            let _ = write!(storable, "\"{}\"", &text[from..to]);
        } else {
            storable.push_str("\\ufffd");
        }
        copied = to;
        if !replaced.contains(&what) {
            replaced.push(what);
        }
    }
    if replaced.is_empty() {
        return Cow::Borrowed(text);
    }
    storable.push_str(&text[copied..]);
    Cow::Owned(marked(&storable, &replaced))
}

/// The document that `stored` holds as its text, since it nests too deep;
/// any other as it is.
#[must_use]
pub fn unpacked(stored: &str) -> Cow<'_, str> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Packed {
        #[serde(rename = "igstream_replaced")]
        replaced: Vec<String>,
        value: String,
    }
    match serde_json::from_str::<Packed>(stored) {
        Ok(packed) if packed.replaced == [TOO_DEEP] && is_grammatical(&packed.value) => {
            Cow::Owned(packed.value)
        }
        _ => Cow::Borrowed(stored),
    }
}

fn marked(text: &str, replaced: &[&str]) -> String {
    let list = Value::from(replaced);
    match text.trim_start().strip_prefix('{') {
        Some(rest) if rest.trim_start().starts_with('}') => {
            format!("{{\"{REPLACED_KEY}\":{list}{rest}")
        }
        Some(rest) => format!("{{\"{REPLACED_KEY}\":{list},{rest}"),
        None => format!("{{\"{REPLACED_KEY}\":{list},\"value\":{text}}}"),
    }
}

fn is_out_of_range(number: &str) -> bool {
    let exponent = number.find(['e', 'E']).map_or("0", |at| &number[at + 1..]);
    let size = exponent
        .trim_start_matches(['+', '-'])
        .parse::<usize>()
        .unwrap_or(usize::MAX);
    number.len() > WIDEST_NUMBER || size > WIDEST_NUMBER
}

enum Token {
    Open,
    Close,
    Escape { at: usize, escape: Escape },
    Number { from: usize, to: usize },
}

/// The tokens of a grammatical JSON text that matter here. On any other text
/// the tokens mean nothing, but it ends.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
    in_string: bool,
}

impl<'a> Tokens<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            in_string: false,
        }
    }

    fn escape(&mut self) -> Token {
        let at = self.at;
        let escape = escape_at(self.text, at);
        self.at += match escape {
            Escape::Pair => 12,
            Escape::Other => 2,
            _ => 6,
        };
        Token::Escape { at, escape }
    }

    fn number(&mut self) -> Token {
        let from = self.at;
        let bytes = &self.text.as_bytes()[from..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let length = bytes
            .iter()
            .position(|byte| !is_part(byte))
            .unwrap_or(bytes.len());
        self.at += length;
        Token::Number { from, to: self.at }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            match (self.in_string, byte) {
                (true, b'\\') => return Some(self.escape()),
                (_, b'"') => self.in_string = !self.in_string,
                (false, b'{' | b'[') => {
                    self.at += 1;
                    return Some(Token::Open);
                }
                (false, b'}' | b']') => {
                    self.at += 1;
                    return Some(Token::Close);
                }
                (false, b'0'..=b'9' | b'-') => return Some(self.number()),
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mends_lone_surrogates_in_place() {
        for (text, mended) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""cut \ud83d""#, r#""cut \ufffd""#),
            (
                r#""\ude00\ud83d\ud83d\ude00""#,
                r#""\ufffd\ufffd\ud83d\ude00""#,
            ),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (
                r#"{"\udfff":"\u0041\"\ud800"}"#,
                r#"{"\ufffd":"\u0041\"\ufffd"}"#,
            ),
        ] {
            assert_eq!(mend_surrogates(text), mended);
        }
    }

    #[test]
    fn picks_the_last_of_keys_told_twice() {
        let [a, b] = pick(r#"{"a":1,"b":[2],"\u0061":{"c":3}}"#, ["a", "x"]).unwrap();
        assert_eq!((a, b), (Some(r#"{"c":3}"#), None));
        assert!(pick("[1]", ["a"]).is_none());
        assert!(pick(r#"{"a":1} x"#, ["a"]).is_none());
    }

    #[test]
    fn an_array_is_read_element_by_element() {
        let all = |text| Some(elements(text)?.collect::<Vec<_>>());
        assert_eq!(all("[]"), Some(Vec::new()));
        assert_eq!(
            all(" [ 1 ,-2e3,[\"]\",3], {\"a\":[,]} ] "),
            Some(vec!["1", "-2e3", "[\"]\",3]"]),
            "what is not grammatical ends it"
        );
        assert_eq!(
            all("[true,\"a\",null]"),
            Some(vec!["true", "\"a\"", "null"])
        );
        assert_eq!(all("{}"), None);
    }

    #[test]
    fn storable_replaces_and_says_so() {
        for (text, expected) in [
            (r#"{"a":"b"}"#, r#"{"a":"b"}"#),
            (
                r#"{"a":"x\u0000y"}"#,
                r#"{"igstream_replaced":["U+0000 by U+FFFD"],"a":"x\ufffdy"}"#,
            ),
            (
                r#""\ud800""#,
                r#"{"igstream_replaced":["lone surrogates by U+FFFD"],"value":"\ufffd"}"#,
            ),
            (
                r"[1e9999,1e99]",
                r#"{"igstream_replaced":["numbers out of range by texts"],"value":["1e9999",1e99]}"#,
            ),
            (r#"{"n":"1e9999\\u0000"}"#, r#"{"n":"1e9999\\u0000"}"#),
        ] {
            assert_eq!(storable(text), expected);
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(storable(&deep).starts_with(r#"{"igstream_replaced":["nesting"#));
        assert!(parse(&deep).is_none());
        assert_eq!(unpacked(&storable(&deep)), deep);
        assert_eq!(unpacked(r#"{"value":"1"}"#), r#"{"value":"1"}"#);
        assert!(parse(&("[".repeat(200) + &"]".repeat(200))).is_some());
    }

    #[test]
    fn canonical_sorts_keys_and_keeps_digits() {
        let value =
            parse(r#"{ "b" : 123456789012345678901234567890, "a": [ {"d":1,"c":2} ] }"#).unwrap();
        assert_eq!(
            canonical(&value),
            r#"{"a":[{"c":2,"d":1}],"b":123456789012345678901234567890}"#
        );
    }

    proptest! {
        #[test]
        fn anything_at_all_panics_nowhere(text in r#"(\\u[dD]?[0-9a-f]{0,4}|[\[\]{}",:\\]|[0-9eE.+-]|[a-zé😀]){0,60}"#) {
            let mended = mend_surrogates(&text);
            prop_assert_eq!(mended.len(), text.len());
            let _ = (depth(&text), storable(&text), pick(&mended, ["a"]));
            let found: Vec<&str> = elements(&mended).into_iter().flatten().collect();
            if is_grammatical(&text) {
                prop_assert!(is_grammatical(&storable(&text)));
                prop_assert!(parse(&mended).is_some());
                let whole: Option<Vec<&RawValue>> = serde_json::from_str(&mended).ok();
                let whole = whole.unwrap_or_default();
                prop_assert_eq!(found, whole.into_iter().map(RawValue::get).collect::<Vec<_>>());
            }
        }
    }
}
