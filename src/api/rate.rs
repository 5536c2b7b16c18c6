//! How many requests a token may make.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::problem::{Kind, Problem};
use crate::config;

/// What a token is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(u64);

/// A token's place in the table, by its digest: there are 65,536, so that the table has a bound whatever tokens
/// there are. Two tokens share a place by chance, and then a rate.
type Place = u16;

/// The rates, one a token.
#[derive(Clone)]
pub struct Rates {
    limiter: Arc<RateLimiter<Place, HashMapStateStore<Place>, DefaultClock>>,
    digests: RandomState,
    clock: DefaultClock,
}

impl Rates {
    /// As `[api]` says.
    #[must_use]
    pub fn new(api: &config::Api) -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(number(api.rate_limit_per_second))
            .allow_burst(number(api.rate_limit_burst));
        Self {
            limiter: Arc::new(RateLimiter::hashmap(quota)),
            digests: RandomState::new(),
            clock: DefaultClock::default(),
        }
    }

    /// The digest of a token, another one in each process.
    #[must_use]
    pub fn digest(&self, token: &str) -> Digest {
        Digest(self.digests.hash_one(token))
    }

    /// One request of this token.
    ///
    /// # Errors
    /// 429, with when to ask again.
    pub fn take(&self, Digest(token): Digest) -> Result<(), Problem> {
        let [low, high, ..] = token.to_le_bytes();
        let within = self.limiter.check_key(&Place::from_le_bytes([low, high]));
        within.map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            let seconds = wait.saturating_add(Duration::from_nanos(999_999_999)).as_secs();
            Problem::new(
                Kind::TooManyRequests,
                "the token makes more requests than api.rate_limit_per_second allows; wait as long as Retry-After says",
            )
            .retry_after(seconds.max(1))
        })
    }
}

impl std::fmt::Debug for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rates").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_and_then_each_token_waits_for_itself() {
        let rates = Rates::new(&config::Api {
            rate_limit_per_second: 1,
            rate_limit_burst: 3,
            cors_origins: Vec::new(),
            database_connections: 1,
            max_streams: 1,
            max_streams_per_token: 1,
        });
        let take = |token: &str| rates.take(rates.digest(token));
        for _ in 0..3 {
            assert!(take("one").is_ok());
        }
        assert!(take("one").is_err_and(|problem| problem.kind() == Kind::TooManyRequests));
        // One in 65,536 shares the place.
        assert!((0..3).any(|other| take(&format!("other {other}")).is_ok()));
    }
}
