//! The clock: receipts are ordered by it, and retention counts by it.

use chrono::{DateTime, TimeDelta, Utc};

use super::Finding;

const WHAT: &str = "clock";
/// Beyond it someone's clock is not kept.
const SKEW: TimeDelta = TimeDelta::seconds(5);
/// 2026-01-01: no igstream is older.
const FIRST_SECOND: i64 = 1_767_225_600;

/// A clock elsewhere: what it said, and what ours said then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elsewhere {
    theirs: DateTime<Utc>,
    ours: DateTime<Utc>,
}

impl Elsewhere {
    pub(super) fn read(theirs: DateTime<Utc>) -> Self {
        Self {
            theirs,
            ours: Utc::now(),
        }
    }
}

pub(super) fn check(elsewhere: &[(&str, Option<Elsewhere>)]) -> Finding {
    let now = Utc::now();
    let said = now.format("%Y-%m-%d %H:%M:%S UTC");
    if now.timestamp() < FIRST_SECOND {
        let found = format!("it says {said}, which is past: set it, and keep it by NTP");
        return Finding::wrong(WHAT, found);
    }
    for (whose, clock) in elsewhere {
        let Some(clock) = clock else { continue };
        let skew = clock.theirs - clock.ours;
        if skew.abs() > SKEW {
            let seconds = skew.num_seconds().abs();
            let side = if skew > TimeDelta::zero() {
                "ahead of"
            } else {
                "behind"
            };
            let found = format!(
                "that of {whose} is {seconds} s {side} ours ({said}): keep both by NTP, since times of arrival and retention go by them"
            );
            return Finding::note(WHAT, found);
        }
    }
    Finding::good(WHAT, format!("{said}"))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn clocks_apart_are_told() {
        let ours = Utc::now();
        let at = |seconds| {
            Some(Elsewhere {
                theirs: ours + TimeDelta::seconds(seconds),
                ours,
            })
        };
        let none = check(&[("NATS", None), ("the database", at(1))]);
        assert_eq!(none.state, State::Good, "{none:?}");
        for (seconds, told) in [(90, "90 s ahead of"), (-90, "90 s behind")] {
            let apart = check(&[("NATS", None), ("the database", at(seconds))]);
            assert_eq!(apart.state, State::Note);
            assert!(apart.found.contains(told), "{apart:?}");
        }
    }
}
