//! Who is who: receipts, event ids, subject tokens.
//!
//! An event id is a list of parts joined by `_`. Parts stand as Instagram made
//! them, but for what would make two lists read alike: that is percent-encoded.

use std::fmt::Write as _;
use std::ops::Range;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid, Version};

/// The longest event id, in bytes (an event id is ASCII).
const LONGEST_EVENT_ID: usize = 400;
/// The longest token of a subject that comes from outside, in bytes.
const LONGEST_TOKEN: usize = 128;
/// The width of the columns that hold Instagram's ids, in characters.
const LONGEST_ID: usize = 255;
/// Ends what was cut and begins the digest of the whole. Percent-encoded in
/// parts, so that no id reads like a cut one.
const CUT: char = '~';
/// What replaces U+0000 in a column.
const REPLACEMENT: char = '\u{fffd}';
/// The bytes at the end of what was cut: the mark, and a SHA-256 in hex.
const LONGEST_END: usize = 65;
/// What stands for a part that is not there.
const MISSING: &str = "-";

/// The receipt of the item at `place` (a JSON pointer) in a delivery: the
/// delivery's 48 bits of time, then a digest of both. The same again whenever
/// the journal is read again.
#[must_use]
pub fn receipt_id(delivery_id: Uuid, place: &str) -> Uuid {
    let mut bytes = Uuid::new_v5(&delivery_id, place.as_bytes()).into_bytes();
    bytes[..6].copy_from_slice(&delivery_id.as_bytes()[..6]);
    Builder::from_bytes(bytes)
        .with_version(Version::SortRand)
        .into_uuid()
}

/// When the delivery of a receipt came, to the millisecond.
#[must_use]
pub fn received_at(receipt_id: Uuid) -> DateTime<Utc> {
    let bytes = receipt_id.as_bytes();
    let millis = bytes[..6]
        .iter()
        .fold(0, |millis, byte| millis << 8 | i64::from(*byte));
    DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// Where the receipts of `time` begin, to the millisecond: those of any earlier time
/// sort before it.
#[must_use]
pub fn first_receipt_at(time: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

/// One part of an event id.
#[derive(Debug, Clone, Copy)]
pub enum Part<'a> {
    /// The first part after the type, of Instagram's making: it alone may hold
    /// a `_`, since every part after it holds none.
    Lead(Option<&'a str>),
    /// Any later part.
    Next(Option<&'a str>),
    /// A later part whose text would read like one of ours: its first character
    /// is encoded.
    Estranged(&'a str),
    /// A part that this program wrote; stands as it is.
    Word(&'a str),
}

/// Joins `event_type` and `parts` to an event id of at most 400 bytes of ASCII
/// without blanks: it fits a header, a subject and a column.
#[must_use]
pub fn event_id(event_type: &str, parts: &[Part<'_>]) -> String {
    let mut id = event_type.to_owned();
    for part in parts {
        id.push('_');
        match part {
            Part::Lead(None) | Part::Next(None) => id.push_str(MISSING),
            Part::Lead(Some(text)) => encode(&mut id, text, lead_special),
            Part::Next(Some(text)) => encode(&mut id, text, next_special),
            Part::Estranged(text) => {
                let mut rest = text.chars();
                rest.next()
                    .into_iter()
                    .for_each(|first| percent_encode(&mut id, first));
                rest.for_each(|c| push_encoded(&mut id, c, next_special));
            }
            Part::Word(word) => id.push_str(word),
        }
    }
    cut(id, LONGEST_EVENT_ID)
}

/// The range in which the ids of all events of `event_type` lie that begin with
/// `lead`, which is given as a column holds it ([`column_id`]): others can lie in
/// it too.
#[must_use]
pub fn event_ids_with(event_type: &str, lead: &str) -> Range<String> {
    let is_whole = lead.chars().count() < LONGEST_ID && !lead.contains(REPLACEMENT);
    let kept = if is_whole {
        lead.len()
    } else {
        // What the column changed comes after this.
        let cut = lead.char_indices().nth(LONGEST_ID - LONGEST_END);
        let replaced = lead.find(REPLACEMENT).unwrap_or(lead.len());
        cut.map_or(lead.len(), |(at, _)| at).min(replaced)
    };
    let mut from = format!("{event_type}_");
    encode(&mut from, &lead[..kept], lead_special);
    if is_whole {
        from.push('_');
    }
    from.truncate(LONGEST_EVENT_ID - LONGEST_END);
    let mut to = from.clone();
    // ASCII all through, and no ASCII is the last character.
    if let Some(last) = to.pop() {
        to.push(char::from(last as u8 + 1));
    }
    from..to
}

/// The digest that stands for a part which is too free to be one itself.
#[must_use]
pub fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// `id` as one token of a NATS subject: what NATS does not allow there
/// (`.`, `*`, `>`, blanks, control characters, nothing at all) is replaced.
#[must_use]
pub fn subject_token(id: &str) -> String {
    if id.is_empty() {
        return MISSING.to_owned();
    }
    let mut token = String::with_capacity(id.len());
    encode(&mut token, id, |c| matches!(c, '.' | '*' | '>' | '%' | CUT));
    cut(token, LONGEST_TOKEN)
}

/// `id` as a column of Instagram's ids holds it: without U+0000, which
/// `PostgreSQL` refuses, and of at most 255 characters, the end of a longer one
/// being its digest, so that two long ids stay two.
#[must_use]
pub fn column_id(id: &str) -> String {
    let clean = id.replace('\0', REPLACEMENT.encode_utf8(&mut [0; 4]));
    if clean.chars().nth(LONGEST_ID).is_none() {
        return clean;
    }
    let digest = digest(id);
    let kept: String = clean.chars().take(LONGEST_ID - digest.len() - 1).collect();
    format!("{kept}{CUT}{digest}")
}

/// Whether a text can be the id of an account, as Instagram sends it.
#[must_use]
pub fn is_account_id(text: &str) -> bool {
    let is_id = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_id && column_id(text) == text
}

fn lead_special(c: char) -> bool {
    c == '%' || c == CUT
}

fn next_special(c: char) -> bool {
    lead_special(c) || c == '_'
}

/// A leading `-` is encoded, so that no text reads like a missing part.
fn encode(to: &mut String, text: &str, special: fn(char) -> bool) {
    for (at, c) in text.char_indices() {
        if at == 0 && c == '-' {
            percent_encode(to, c);
        } else {
            push_encoded(to, c, special);
        }
    }
}

fn push_encoded(to: &mut String, c: char, special: fn(char) -> bool) {
    if c.is_ascii_graphic() && !special(c) {
        to.push(c);
    } else {
        percent_encode(to, c);
    }
}

fn percent_encode(to: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(to, "%{byte:02X}");
    }
}

fn cut(id: String, longest: usize) -> String {
    if id.len() <= longest {
        return id;
    }
    let digest = digest(&id);
    // ASCII all through: every index is a character's.
    format!("{}{CUT}{digest}", &id[..longest - digest.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ids_as_instagram_makes_them_stand_as_they_are() {
        let mid = "aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxN_m.$x:=+/";
        assert_eq!(
            event_id(
                "message",
                &[Part::Lead(Some(mid)), Part::Next(Some("1789"))]
            ),
            format!("message_{mid}_1789")
        );
        assert_eq!(
            event_id("mention", &[Part::Lead(Some("1")), Part::Next(None)]),
            "mention_1_-"
        );
    }

    #[test]
    fn the_same_place_gives_the_same_receipt_in_time_order() {
        let delivery = Uuid::now_v7();
        let receipt = receipt_id(delivery, "/entry/0/changes/3");
        assert_eq!(receipt, receipt_id(delivery, "/entry/0/changes/3"));
        assert_ne!(receipt, receipt_id(delivery, "/entry/0/changes/4"));
        assert_eq!(receipt.get_version(), Some(Version::SortRand));
        assert_eq!(receipt.as_bytes()[..6], delivery.as_bytes()[..6]);
        let millis = delivery.get_timestamp().map(|time| {
            let (seconds, nanos) = time.to_unix();
            seconds * 1000 + u64::from(nanos) / 1_000_000
        });
        let at = received_at(receipt);
        assert!(first_receipt_at(at) <= receipt);
        assert!(receipt < first_receipt_at(at + chrono::TimeDelta::milliseconds(1)));
        let received_at = received_at(receipt).timestamp_millis();
        assert_eq!(Some(received_at.cast_unsigned()), millis);
    }

    #[test]
    fn subject_tokens_are_never_empty_and_never_split() {
        assert_eq!(subject_token("17841405822304914"), "17841405822304914");
        assert_eq!(subject_token(""), "-");
        assert_eq!(subject_token("a.b*c>d e"), "a%2Eb%2Ac%3Ed%20e");
        assert_eq!(subject_token(&"x".repeat(1_000_000)).len(), 128);
    }

    proptest! {
        #[test]
        fn different_parts_never_give_one_id(
            a in (".{0,12}", proptest::option::of(".{0,12}"), proptest::option::of("[_%~a-c-]{0,4}")),
            b in (".{0,12}", proptest::option::of(".{0,12}"), proptest::option::of("[_%~a-c-]{0,4}")),
        ) {
            let id = |(x, y, z): &(String, Option<String>, Option<String>)| event_id(
                "t", &[Part::Lead(Some(x)), Part::Next(y.as_deref()), Part::Next(z.as_deref())]);
            prop_assert_eq!(a == b, id(&a) == id(&b));
        }

        #[test]
        fn the_ids_with_a_lead_lie_in_its_range(
            lead in prop_oneof![".{0,20}", ".{180,600}", "[_~-]{0,3}\0?.{0,3}"],
            next in ".{0,300}",
        ) {
            let range = event_ids_with("t", &column_id(&lead));
            let id = event_id("t", &[Part::Lead(Some(&lead)), Part::Next(Some(&next))]);
            prop_assert!(range.contains(&id), "{range:?} {id}");
        }

        #[test]
        fn an_id_is_short_printable_ascii(lead in ".{0,600}", next in ".{0,600}") {
            let id = event_id("t", &[Part::Lead(Some(&lead)), Part::Next(Some(&next))]);
            prop_assert!(id.len() <= 400 && id.bytes().all(|b| b.is_ascii_graphic()));
            let token = subject_token(&lead);
            prop_assert!(!token.is_empty() && !token.contains(['.', '*', '>', ' ']));
            prop_assert!(column_id(&lead).chars().count() <= 255);
        }
    }
}
