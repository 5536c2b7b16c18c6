//! The packed message of the journal: many deliveries in, many out. Pure.
//!
//! The format is `MessagePack` (<https://msgpack.org>), maps with named fields,
//! so that any language reads it and a later field disturbs no earlier reader:
//!
//! ```text
//! { "v": 1, "deliveries": [ { "id": bin 16 (UUID), "received_at": int (µs since 1970, UTC),
//!     "signature": str, "secret_id": str, "body": bin (as received) }, … ] }
//! ```
//!
//! A message may hold no delivery at all: it was sent to see whether the journal takes messages again.

use bytes::Bytes;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::instagram::Delivery;

/// The version of the format that is written.
const VERSION: u8 = 1;
/// What a packed delivery weighs beside its body, at most, in bytes.
const OVERHEAD_BYTES: usize = 256;

/// Why a message of the journal cannot be read, or made.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Not of the documented format.
    #[error("the journal's message is not of the documented format: {0}")]
    Unreadable(#[from] rmp_serde::decode::Error),
    /// Of a later version than this program knows.
    #[error(
        "the journal's message has version {0}, this program reads {VERSION}: run the igstream that wrote it"
    )]
    Version(u8),
    /// A delivery's time is outside of what a time can be.
    #[error("the journal's message holds a delivery received at {0} µs, which is no time")]
    Time(i64),
    /// Could not be packed.
    #[error("deliveries cannot be packed: {0}")]
    Unwritable(#[from] rmp_serde::encode::Error),
}

#[derive(Serialize, Deserialize)]
struct Frame<D> {
    v: u8,
    deliveries: Vec<D>,
}

#[derive(Serialize)]
struct Packed<'a> {
    #[serde(with = "serde_bytes")]
    id: &'a [u8],
    received_at: i64,
    signature: &'a str,
    secret_id: &'a str,
    #[serde(with = "serde_bytes")]
    body: &'a [u8],
}

#[derive(Deserialize)]
struct Unpacked<'a> {
    #[serde(with = "serde_bytes")]
    id: [u8; 16],
    received_at: i64,
    signature: String,
    secret_id: String,
    #[serde(with = "serde_bytes", borrow)]
    body: &'a [u8],
}

/// About how many bytes `delivery` takes in a message: never fewer than it does.
#[must_use]
pub fn weight(delivery: &Delivery) -> usize {
    delivery.body.len() + delivery.signature.len() + delivery.secret_id.len() + OVERHEAD_BYTES
}

/// Packs deliveries into one message.
pub fn pack<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Result<Bytes, JournalError> {
    let packed = |delivery: &'a Delivery| Packed {
        id: delivery.id.as_bytes(),
        received_at: delivery.received_at.timestamp_micros(),
        signature: &delivery.signature,
        secret_id: &delivery.secret_id,
        body: &delivery.body,
    };
    let frame = Frame {
        v: VERSION,
        deliveries: deliveries.into_iter().map(packed).collect(),
    };
    Ok(Bytes::from(rmp_serde::to_vec_named(&frame)?))
}

/// Takes a message apart into its deliveries, whose bodies are parts of it: as
/// long as one of them is there, all of the message is.
pub fn unpack(message: &Bytes) -> Result<Vec<Delivery>, JournalError> {
    #[derive(Deserialize)]
    struct Head {
        v: u8,
    }
    let Head { v } = rmp_serde::from_slice(message)?;
    if v != VERSION {
        return Err(JournalError::Version(v));
    }
    let frame: Frame<Unpacked<'_>> = rmp_serde::from_slice(message)?;
    let deliveries = frame.deliveries.into_iter();
    deliveries
        .map(|unpacked| delivery(message, unpacked))
        .collect()
}

fn delivery(message: &Bytes, unpacked: Unpacked<'_>) -> Result<Delivery, JournalError> {
    Ok(Delivery {
        id: Uuid::from_bytes(unpacked.id),
        received_at: DateTime::from_timestamp_micros(unpacked.received_at)
            .ok_or(JournalError::Time(unpacked.received_at))?,
        signature: unpacked.signature,
        secret_id: unpacked.secret_id,
        body: message.slice_ref(unpacked.body),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sample(body: &'static [u8]) -> Delivery {
        Delivery {
            id: Uuid::now_v7(),
            received_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            signature: "sha256=00".into(),
            secret_id: "1a2b3c4d".into(),
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn what_is_packed_comes_out_byte_for_byte() {
        let deliveries = [sample(b"{}"), sample(b"\xff\x00 anything"), sample(b"")];
        let message = pack(&deliveries).unwrap();
        assert_eq!(unpack(&message).unwrap(), deliveries);
        assert!(message.len() <= deliveries.iter().map(weight).sum());
    }

    #[test]
    fn what_is_not_a_frame_is_an_error() {
        assert!(matches!(
            unpack(&Bytes::from_static(b"nonsense")),
            Err(JournalError::Unreadable(_))
        ));
        let later =
            rmp_serde::to_vec_named(&serde_json::json!({"v": 9, "deliveries": []})).unwrap();
        assert!(matches!(
            unpack(&later.into()),
            Err(JournalError::Version(9) | JournalError::Unreadable(_))
        ));
    }
}
