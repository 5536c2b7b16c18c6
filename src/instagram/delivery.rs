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
        let scalar = |text: Option<&str>| {
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
    let Some(envelopes) = envelopes(&text) else {
        let grammatical = json::is_grammatical(&text);
        return Err(if grammatical {
            GrammarError::NotADelivery
        } else {
            GrammarError::NotJson
        });
    };
    let ours = envelopes.iter().any(|(_, envelope)| envelope.is_ours());
    if ours {
        Ok(())
    } else {
        Err(GrammarError::AnotherObject)
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

/// Every item of a delivery that passed [`check_grammar`], in order; `text` is
/// its [`readable`] body. What is not known is an item too: nothing is passed
/// over but envelopes of another object.
#[must_use]
pub fn items(text: &str) -> Vec<RawItem<'_>> {
    let mut found = Items {
        body: text,
        items: Vec::new(),
    };
    for (place, envelope) in envelopes(text).unwrap_or_default() {
        if envelope.is_ours() {
            found.entries(&format!("{place}/entry"), envelope.entry);
        }
    }
    found.items
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

fn envelopes(text: &str) -> Option<Vec<(String, Envelope<'_>)>> {
    if let Some(envelope) = envelope(text) {
        return Some(vec![(String::new(), envelope)]);
    }
    let elements = json::elements(text).filter(|elements| !elements.is_empty())?;
    let numbered = elements.into_iter().enumerate();
    numbered
        .map(|(index, text)| Some((format!("/{index}"), envelope(text)?)))
        .collect()
}

fn envelope(text: &str) -> Option<Envelope<'_>> {
    let [object, entry] = json::pick(text, ["object", "entry"])?;
    entry.map(|entry| Envelope { object, entry })
}

struct Items<'a> {
    body: &'a str,
    items: Vec<RawItem<'a>>,
}

impl<'a> Items<'a> {
    fn entries(&mut self, place: &str, list: &'a str) {
        match json::elements(list) {
            Some(entries) => {
                for (index, entry) in entries.into_iter().enumerate() {
                    self.entry(&format!("{place}/{index}"), entry);
                }
            }
            None => self.push(place.to_owned(), Origin::Field, &Arc::default(), list),
        }
    }

    fn entry(&mut self, place: &str, entry: &'a str) {
        let keys = [
            "id",
            "time",
            "changes",
            "messaging",
            "standby",
            "field",
            "value",
        ];
        let Some([id, time, changes, messaging, standby, field, value]) = json::pick(entry, keys)
        else {
            return self.push(place.to_owned(), Origin::Field, &Arc::default(), entry);
        };
        let head = Arc::new(Head::read(id, time));
        // A null is as good as nothing: some writers spell out what is not there.
        let told = |text: Option<&'a str>| text.filter(|text| *text != "null");
        let lists = [
            (Origin::Changes, told(changes)),
            (Origin::Messaging, told(messaging)),
            (Origin::Standby, told(standby)),
        ];
        for (origin, list) in lists {
            if let Some(list) = list {
                self.list(&format!("{place}/{origin}"), origin, &head, list);
            }
        }
        let has_list = lists.iter().any(|(_, list)| list.is_some());
        if told(field).is_some() || told(value).is_some() || !has_list {
            self.push(place.to_owned(), Origin::Field, &head, entry);
        }
    }

    fn list(&mut self, place: &str, origin: Origin, head: &Arc<Head>, list: &'a str) {
        match json::elements(list) {
            Some(elements) => {
                for (index, element) in elements.into_iter().enumerate() {
                    self.push(format!("{place}/{index}"), origin, head, element);
                }
            }
            // No list at all: one item, whatever it is.
            None => self.push(place.to_owned(), Origin::Field, head, list),
        }
    }

    fn push(&mut self, place: String, origin: Origin, head: &Arc<Head>, text: &'a str) {
        // Both are slices of one text: the distance of their starts is a place in it.
        let from = (text.as_ptr() as usize).saturating_sub(self.body.as_ptr() as usize);
        let range = from..from + text.len();
        self.items.push(RawItem {
            place,
            origin,
            head: Arc::clone(head),
            text,
            range,
        });
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
            .into_iter()
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
