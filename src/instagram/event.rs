//! An event: an item understood. The form in which it travels on NATS.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::delivery::Origin;
use super::time::serde_canonical;

/// The type of what is of none of the nine, and of what is malformed.
pub const UNKNOWN: &str = "unknown";

/// The key in the `data` of an `unknown` event that says why its item is
/// malformed.
pub const MALFORMED_KEY: &str = "malformed";

/// What an item means by the rules of its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// What the event is about.
    pub object_type: String,
    /// Which one of those.
    pub object_id: Option<String>,
    /// Who did it.
    pub sender_ig_id: Option<String>,
    /// What they call themselves.
    pub sender_username: Option<String>,
    /// To whom.
    pub recipient_ig_id: Option<String>,
    /// When.
    pub occurred_at: DateTime<Utc>,
    /// What happened, the same again when Instagram tells it again.
    pub event_id: String,
    /// The typed row without `raw_data`, by the names of its columns.
    pub data: Map<String, Value>,
}

/// Why an item that claims to be of a type is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {event_type} without {missing}")]
pub struct Malformed {
    /// The type it claims to be of.
    pub event_type: &'static str,
    /// What its type cannot do without.
    pub missing: &'static str,
}

/// An event with its receipt: the body of a message on `instagram.events.*`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Event {
    /// This item of this delivery, and no other.
    pub receipt_id: Uuid,
    /// What happened, the same again when Instagram tells it again.
    pub event_id: String,
    /// One of the nine types or `unknown`.
    pub event_type: String,
    /// The account as received.
    pub ig_account_id: String,
    /// What the event is about.
    pub object_type: String,
    /// Which one of those.
    pub object_id: Option<String>,
    /// Who did it.
    pub sender_ig_id: Option<String>,
    /// What they call themselves.
    pub sender_username: Option<String>,
    /// To whom.
    pub recipient_ig_id: Option<String>,
    /// When it happened.
    #[serde(with = "serde_canonical")]
    pub occurred_at: DateTime<Utc>,
    /// When its delivery arrived.
    #[serde(with = "serde_canonical")]
    pub received_at: DateTime<Utc>,
    /// The delivery it came in.
    pub delivery_id: Uuid,
    /// The typed row without `raw_data`, by the names of its columns.
    pub data: Map<String, Value>,
    /// The change or messaging item as received.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "is_there",
        default
    )]
    pub raw: Option<Box<RawValue>>,
    /// Whether `raw` had to stay behind, because the message would be too large.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub raw_omitted: bool,
    /// Where the item stood in its delivery (a JSON pointer). Travels as a
    /// header, not in the body.
    #[serde(skip)]
    pub place: String,
}

impl Event {
    /// Which kind of list the item stood in.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::of_place(&self.place)
    }

    /// Why the item is malformed, if it is.
    #[must_use]
    pub fn malformed(&self) -> Option<&str> {
        if self.event_type != UNKNOWN {
            return None;
        }
        self.data.get(MALFORMED_KEY).and_then(Value::as_str)
    }

    /// Leaves `raw` behind and says so.
    pub fn omit_raw(&mut self) {
        self.raw_omitted |= self.raw.take().is_some();
    }
}

/// What is told is there, were it `null`: an item can be that.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}
