//! A delivery: one HTTP POST of Instagram's, and the items in it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::identity::column_id;
use super::json;

/// The `object` of the deliveries that are ours.
const OBJECT: &str = "instagram";

/// What Instagram posted, byte for byte, with what the receiver knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Made on arrival; a UUID v7.
    pub id: Uuid,
    /// When it arrived.
    pub received_at: DateTime<Utc>,
    /// The value of `X-Hub-Signature-256`.
    pub signature: String,
    /// Which app secret made the signature (an id, not the secret).
    pub secret_id: String,
    /// The body as received.
    pub body: Bytes,
}

/// A delivery whose signature was checked and whose grammar is that of a
/// delivery: only such a one is made durable.
#[derive(Debug, Clone)]
pub struct Verified(Delivery);

impl Verified {
    /// Takes a delivery whose signature has been checked.
    pub fn new(delivery: Delivery) -> Result<Self, GrammarError> {
        check_grammar(&delivery.body).map(|()| Self(delivery))
    }

    /// The delivery itself.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.0
    }
}

/// Why a signed body is not a delivery of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// Not UTF-8, or not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// Neither an object with `entry` nor a non-empty array of such objects.
    #[error("the body is neither an object with `entry` nor a non-empty array of such objects")]
    NotADelivery,
    /// Its `object` is another product's: not ours to keep.
    #[error("the body's `object` is not `instagram`")]
    AnotherObject,
}

/// Where in a delivery an item stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `entry[].changes[]`
    Changes,
    /// `field` and `value` directly in the entry, or an entry without any list.
    Field,
    /// `entry[].messaging[]`
    Messaging,
    /// `entry[].standby[]`: another app holds the thread.
    Standby,
}

impl Origin {
    /// As in the column `origin`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Field => "field",
            Self::Messaging => "messaging",
            Self::Standby => "standby",
        }
    }

    /// The origin of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Self {
        [Self::Changes, Self::Messaging, Self::Standby]
            .into_iter()
            .find(|origin| origin.as_str() == name)
            .unwrap_or(Self::Field)
    }

    /// The origin of the item at `place`.
    #[must_use]
    pub fn of_place(place: &str) -> Self {
        Self::by_name(place.rsplit('/').nth(1).unwrap_or_default())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an entry says of all its items. Read once an entry, and of a column's
/// length at most: an entry can hold as many items as it has bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The account as received (`entry.id`); empty when there was none.
    pub account: String,
    /// `entry.time` as received.
    pub time: Option<String>,
}

impl Head {
    fn read(id: Option<&str>, time: Option<&str>) -> Self {
        // What is no scalar is not read: it can be as large as a body.
        let scalar = |text: Option<&str>| {
            let text = text.filter(|text| !text.starts_with(['[', '{']));
            let scalar = text.and_then(json::parse).as_ref().and_then(json::scalar);
            scalar.as_deref().map(column_id)
        };
        Self {
            account: scalar(id).unwrap_or_default(),
            time: scalar(time),
        }
    }
}

/// One item as it stands in a delivery, not yet understood.
#[derive(Debug, Clone)]
pub struct RawItem<'a> {
    /// Its JSON pointer in the delivery's body.
    pub place: String,
    /// Which kind of list it stood in.
    pub origin: Origin,
    /// What its entry says of it.
    pub head: Arc<Head>,
    /// The item's own text, lone surrogates mended.
    pub text: &'a str,
    /// Where the item stands in the body, in bytes.
    pub range: std::ops::Range<usize>,
}

/// Whether `body` is a delivery of ours, read no further than that needs.
pub fn check_grammar(body: &[u8]) -> Result<(), GrammarError> {
    let text = std::str::from_utf8(body).map_err(|_| GrammarError::NotJson)?;
    let text = json::mend_surrogates(text);
    if !json::is_grammatical(&text) {
        return Err(GrammarError::NotJson);
    }
    let (mut number, mut ours) = (0, false);
    for (_, envelope) in envelopes(&text) {
        ours |= envelope.ok_or(GrammarError::NotADelivery)?.is_ours();
        number += 1;
    }
    match (number, ours) {
        (0, _) => Err(GrammarError::NotADelivery),
        (_, false) => Err(GrammarError::AnotherObject),
        (_, true) => Ok(()),
    }
}

/// The body's text in the form that [`items`] reads: lone surrogates mended, so
/// that no reader stumbles over them; every other byte where it was.
#[must_use]
pub fn readable(body: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(body) {
        Cow::Borrowed(text) => json::mend_surrogates(text),
        Cow::Owned(text) => Cow::Owned(json::mend_surrogates(&text).into_owned()),
    }
}

/// Every item of a delivery that passed [`check_grammar`], in order, each read as
/// it is asked for; `text` is the [`readable`] body. What is not known is an item
/// too: nothing is passed over but envelopes of another object.
pub fn items(text: &str) -> impl Iterator<Item = RawItem<'_>> + Send {
    let ours = envelopes(text)
        .filter_map(|(place, envelope)| Some((place, envelope?)))
        .filter(|(_, envelope)| envelope.is_ours());
    ours.flat_map(|(place, envelope)| parts(format!("{place}/entry"), envelope.entry))
        .flat_map(move |entry| entry_items(text, entry))
}

struct Envelope<'a> {
    object: Option<&'a str>,
    entry: &'a str,
}

impl Envelope<'_> {
    fn is_ours(&self) -> bool {
        let object = self
            .object
            .and_then(|text| serde_json::from_str::<Cow<'_, str>>(text).ok());
        object.as_deref() == Some(OBJECT)
    }
}

/// The envelopes of a grammatical `text`, each with its place; `None` for what
/// is none.
fn envelopes(text: &str) -> impl Iterator<Item = (String, Option<Envelope<'_>>)> + Send {
    parts(String::new(), text).map(|part| (part.place, envelope(part.text)))
}

fn envelope(text: &str) -> Option<Envelope<'_>> {
    let [object, entry] = json::pick(text, ["object", "entry"])?;
    entry.map(|entry| Envelope { object, entry })
}

/// A value with its place.
struct Part<'a> {
    place: String,
    text: &'a str,
    /// Whether it is an element of a list.
    listed: bool,
}

/// The elements of the list `text` at `place`; `text` itself where it is no list
/// at all.
fn parts(place: String, text: &str) -> impl Iterator<Item = Part<'_>> + Send {
    let elements = json::elements(text);
    let single = elements.is_none().then(|| Part {
        place: place.clone(),
        text,
        listed: false,
    });
    let listed = elements.into_iter().flatten().enumerate();
    let listed = listed.map(move |(index, text)| Part {
        place: format!("{place}/{index}"),
        text,
        listed: true,
    });
    listed.chain(single)
}

fn entry_items<'a>(
    body: &'a str,
    entry: Part<'a>,
) -> impl Iterator<Item = RawItem<'a>> + Send + use<'a> {
    let keys = [
        "id",
        "time",
        "changes",
        "messaging",
        "standby",
        "field",
        "value",
    ];
    let picked = entry.listed.then(|| json::pick(entry.text, keys)).flatten();
    let [id, time, changes, messaging, standby, field, value] = picked.unwrap_or_default();
    let head = Arc::new(Head::read(id, time));
    // A null is as good as nothing: some writers spell out what is not there.
    let told = |text: Option<&'a str>| text.filter(|text| *text != "null");
    let lists = [
        (Origin::Changes, told(changes)),
        (Origin::Messaging, told(messaging)),
        (Origin::Standby, told(standby)),
    ];
    let has_list = lists.iter().any(|(_, list)| list.is_some());
    let is_item = told(field).is_some() || told(value).is_some() || !has_list;
    let own = is_item.then(|| RawItem::new(body, &entry, Origin::Field, &head));
    let listed = lists
        .into_iter()
        .filter_map(|(origin, list)| Some((origin, list?)));
    let listed = listed.flat_map(move |(origin, list)| {
        let (head, place) = (Arc::clone(&head), format!("{}/{origin}", entry.place));
        parts(place, list).map(move |part| {
            let origin = if part.listed { origin } else { Origin::Field };
            RawItem::new(body, &part, origin, &head)
        })
    });
    listed.chain(own)
}

impl<'a> RawItem<'a> {
    fn new(body: &str, part: &Part<'a>, origin: Origin, head: &Arc<Head>) -> Self {
        // Both are slices of one text: the distance of their starts is a place in it.
        let from = (part.text.as_ptr() as usize).saturating_sub(body.as_ptr() as usize);
        Self {
            place: part.place.clone(),
            origin,
            head: Arc::clone(head),
            text: part.text,
            range: from..from + part.text.len(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn places(body: &str) -> Vec<String> {
        assert_eq!(check_grammar(body.as_bytes()), Ok(()), "{body}");
        let text = readable(body.as_bytes());
        items(&text)
            .map(|item| format!("{} {}", item.place, &body[item.range]))
            .collect()
    }

    #[test]
    fn finds_items_in_all_four_places() {
        let body = r#"{"object":"instagram","entry":[
            {"id":"1","time":2,"changes":[{"field":"a"},null]},
            {"id":"1","messaging":[{"x":1}],"standby":["t"]},
            {"id":"1","field":"f","value":7}]}"#;
        assert_eq!(
            places(body),
            [
                r#"/entry/0/changes/0 {"field":"a"}"#,
                "/entry/0/changes/1 null",
                r#"/entry/1/messaging/0 {"x":1}"#,
                r#"/entry/1/standby/0 "t""#,
                r#"/entry/2 {"id":"1","field":"f","value":7}"#,
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_an_item_too() {
        let ours = |entry: &str| places(&format!(r#"{{"object":"instagram","entry":{entry}}}"#));
        assert_eq!(ours("null"), ["/entry null"]);
        assert_eq!(ours("[]"), Vec::<String>::new());
        assert_eq!(ours("[3]"), ["/entry/0 3"]);
        assert_eq!(
            ours(r#"[{"id":"1","changed_fields":["x"]}]"#),
            [r#"/entry/0 {"id":"1","changed_fields":["x"]}"#]
        );
        assert_eq!(
            ours(r#"[{"changes":{"a":1}}]"#),
            [r#"/entry/0/changes {"a":1}"#]
        );
        assert_eq!(
            ours(r#"[{"changes":null,"messaging":[3],"field":null}]"#),
            ["/entry/0/messaging/0 3"]
        );
        assert_eq!(
            ours(r#"[{"changes":null}]"#),
            [r#"/entry/0 {"changes":null}"#]
        );
    }

    #[test]
    fn takes_the_whole_wrapped_in_an_array() {
        let body = r#"[{"object":"page","entry":[1]},{"object":"instagram","entry":[{"messaging":["\ud83d"]}]}]"#;
        assert_eq!(places(body), [r#"/1/entry/0/messaging/0 "\ud83d""#]);
    }

    #[test]
    fn refuses_what_is_no_delivery_and_nothing_for_a_value() {
        let said = |body: &[u8]| check_grammar(body).err();
        assert_eq!(said(b"not json"), Some(GrammarError::NotJson));
        assert_eq!(
            said(b"{\"object\":\"instagram\",\"entry\":[\xff]}"),
            Some(GrammarError::NotJson)
        );
        assert_eq!(
            said(br#"{"object":"instagram","entry":[}"#),
            Some(GrammarError::NotJson)
        );
        assert_eq!(
            said(br#"{"object":"instagram"}"#),
            Some(GrammarError::NotADelivery)
        );
        assert_eq!(said(b"[]"), Some(GrammarError::NotADelivery));
        assert_eq!(said(b"[1]"), Some(GrammarError::NotADelivery));
        assert_eq!(
            said(br#"{"object":"page","entry":[]}"#),
            Some(GrammarError::AnotherObject)
        );
        let deep = "[".repeat(200) + &"]".repeat(200);
        for value in [
            "1e999",
            r#""\ud83d""#,
            &"9".repeat(400),
            &deep,
            r#"{"\ud83d":1,"\ud83d":2}"#,
        ] {
            assert_eq!(
                said(format!(r#"{{"object":"instagram","entry":[{value}]}}"#).as_bytes()),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn the_origin_can_be_read_off_the_place() {
        for (place, origin) in [
            ("/entry/0/changes/3", Origin::Changes),
            ("/entry/0/changes", Origin::Field),
            ("/0/entry/12/standby/1", Origin::Standby),
            ("/entry/0", Origin::Field),
        ] {
            assert_eq!(Origin::of_place(place), origin, "{place}");
        }
    }
}
