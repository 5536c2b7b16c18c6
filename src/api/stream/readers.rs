//! How many streams are open, in all and of each token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::problem::{Kind, Problem};
use crate::api::rate::Digest;

/// When to ask again where there are too many, in seconds.
const RETRY_AFTER: u64 = 30;

/// The streams that are open.
#[derive(Debug)]
pub struct Readers {
    most: usize,
    most_of_token: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    /// Of the tokens that have any.
    of: HashMap<Digest, usize>,
}

/// A place for one stream. Given back by being dropped.
#[derive(Debug)]
pub(super) struct Seat {
    readers: Arc<Readers>,
    token: Digest,
}

impl Readers {
    /// At most so many, in all and of one token.
    pub(in crate::api) fn new((most, most_of_token): (usize, usize)) -> Self {
        Self {
            most,
            most_of_token,
            open: Mutex::default(),
        }
    }

    /// A place for a stream of `token`.
    ///
    /// # Errors
    /// 429 where the token has its streams, 503 where the process has.
    pub(super) fn seat(self: &Arc<Self>, token: Digest) -> Result<Seat, Problem> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let of_token = open.of.get(&token).copied().unwrap_or_default();
        if of_token >= self.most_of_token {
            return Err(Problem::new(
                Kind::TooManyRequests,
                "the token has as many streams open as api.max_streams_per_token allows; close one",
            )
            .retry_after(RETRY_AFTER));
        }
        if open.all >= self.most {
            return Err(Problem::new(
                Kind::Unavailable,
                "as many streams are open as api.max_streams allows; ask again later",
            )
            .retry_after(RETRY_AFTER));
        }
        open.all += 1;
        open.of.insert(token, of_token + 1);
        Ok(Seat {
            readers: Arc::clone(self),
            token,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let open = self.readers.open.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        if let Some(of_token) = open.of.get_mut(&self.token) {
            *of_token -= 1;
            if *of_token == 0 {
                open.of.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::api::rate::Rates;
    use crate::config;

    #[test]
    fn a_place_is_there_again_when_it_was_given_back() {
        let readers = Arc::new(Readers::new((3, 2)));
        let rates = Rates::new(&config::Api {
            rate_limit_per_second: 1,
            rate_limit_burst: 1,
            cors_origins: Vec::new(),
            database_connections: 1,
            max_streams: 3,
            max_streams_per_token: 2,
        });
        let seat = |token: &str| readers.seat(rates.digest(token)).map_err(|p| p.kind());
        let (one, two) = (seat("a").unwrap(), seat("a").unwrap());
        assert_eq!(seat("a").unwrap_err(), Kind::TooManyRequests);
        let other = seat("b").unwrap();
        assert_eq!(seat("c").unwrap_err(), Kind::Unavailable);
        drop(one);
        let three = seat("a").unwrap();
        drop((two, three, other));
        let open = readers.open.lock().unwrap();
        assert!(open.all == 0 && open.of.is_empty(), "{open:?}");
    }
}
