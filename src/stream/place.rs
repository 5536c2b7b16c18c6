//! A place in a stream that is good beyond a connection, and whether one can go on from there.

use std::fmt;
use std::str::FromStr;

use async_nats::jetstream::{Context, context::GetStreamError};
use chrono::{DateTime, Utc};

/// After a message of a stream. As a text it is `{epoch}-{sequence}`, the epoch in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// When the stream was made, in milliseconds since 1970: one that is made anew counts from its own beginning.
    pub epoch: u64,
    /// The sequence of the message.
    pub sequence: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.epoch, self.sequence)
    }
}

/// Why a text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a stream")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (epoch, sequence) = text.split_once('-').ok_or(NoPlace)?;
        let is_epoch = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
        let are_good = (1..=16).contains(&epoch.len())
            && (1..=19).contains(&sequence.len())
            && epoch.bytes().all(is_epoch)
            && sequence.bytes().all(|digit| digit.is_ascii_digit());
        if !are_good {
            return Err(NoPlace);
        }
        Ok(Self {
            epoch: u64::from_str_radix(epoch, 16).map_err(|_| NoPlace)?,
            sequence: sequence.parse().map_err(|_| NoPlace)?,
        })
    }
}

/// What of a stream is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// See [`Place::epoch`].
    pub epoch: u64,
    /// The sequence of the first message; one beyond the last where there is none.
    pub first: u64,
    /// The sequence of the last message that there was.
    pub last: u64,
    /// When the first message was stored, where there is one.
    pub since: Option<DateTime<Utc>>,
}

/// Why there may be messages after a place that are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// They were kept as long as the stream keeps any.
    Expired,
    /// The stream was made anew.
    MadeAnew,
    /// The stream ends before the place: the server has lost its end.
    Lost,
}

impl Kept {
    /// Asks the server.
    ///
    /// # Errors
    /// Where it does not answer, or has no such stream.
    pub async fn of(context: &Context, stream: &str) -> Result<Self, GetStreamError> {
        let stream = context.get_stream(stream).await?;
        let info = stream.cached_info();
        let state = &info.state;
        Ok(Self {
            epoch: u64::try_from(info.created.timestamp_millis()).unwrap_or_default(),
            // Of a stream that never had a message the server says 0.
            first: state.first_sequence.max(1),
            last: state.last_sequence,
            since: (state.messages > 0).then_some(state.first_timestamp),
        })
    }

    /// The place behind all that there is.
    #[must_use]
    pub fn end(&self) -> Place {
        self.place(self.last)
    }

    /// The place before the first that is there.
    #[must_use]
    pub fn beginning(&self) -> Place {
        self.place(self.first.saturating_sub(1))
    }

    fn place(&self, sequence: u64) -> Place {
        Place {
            epoch: self.epoch,
            sequence,
        }
    }

    /// Where to go on for one who had all up to `place`, and why something may be missing in between.
    #[must_use]
    pub fn after(&self, place: Place) -> (Place, Option<Missed>) {
        if place.epoch != self.epoch {
            (self.beginning(), Some(Missed::MadeAnew))
        } else if place.sequence > self.last {
            (self.end(), Some(Missed::Lost))
        } else if place.sequence + 1 < self.first {
            (self.beginning(), Some(Missed::Expired))
        } else {
            (place, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Kept = Kept {
        epoch: 0x19a,
        first: 5,
        last: 9,
        since: None,
    };

    fn place(sequence: u64) -> Place {
        KEPT.place(sequence)
    }

    #[test]
    fn a_place_is_read_as_it_is_written() {
        assert_eq!(place(7).to_string(), "19a-7");
        assert_eq!("19a-7".parse(), Ok(place(7)));
        for wrong in [
            "",
            "-",
            "7",
            "19a-",
            "-7",
            "19A-7",
            "19a-x",
            "+1-7",
            "1-+7",
            "19a-7 ",
            "19a--7",
            "1-2-3",
            "11111111111111111-7",
            "1-10000000000000000000",
            "ä-1",
        ] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
        assert!(
            "ffffffffffffffff-9999999999999999999"
                .parse::<Place>()
                .is_ok()
        );
    }

    #[test]
    fn one_goes_on_where_nothing_is_missing() {
        for (sequence, next, missed) in [
            (3, 4, Some(Missed::Expired)),
            (4, 4, None),
            (7, 7, None),
            (9, 9, None),
            (10, 9, Some(Missed::Lost)),
            (u64::MAX, 9, Some(Missed::Lost)),
        ] {
            assert_eq!(
                KEPT.after(place(sequence)),
                (place(next), missed),
                "{sequence}"
            );
        }
        let of_another = Place {
            epoch: 1,
            sequence: 7,
        };
        assert_eq!(KEPT.after(of_another), (place(4), Some(Missed::MadeAnew)));
    }

    #[test]
    fn all_expired_is_nothing_missed_for_who_had_all() {
        let empty = Kept { first: 10, ..KEPT };
        assert_eq!(empty.after(place(9)), (place(9), None));
        assert_eq!(empty.after(place(8)), (place(9), Some(Missed::Expired)));
        let never = Kept {
            first: 1,
            last: 0,
            ..KEPT
        };
        assert_eq!(never.after(place(0)), (place(0), None));
    }
}
