//! What a statistic is about: from when to when, and in how large steps. Pure.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest period.
pub const LONGEST_DAYS: i64 = 400;

/// The steps of a time series; they begin at full hours and days, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// Hours.
    Hour,
    /// Days.
    Day,
}

/// A period that statistics can be made of: `from` belongs to it, `to` does not. At most [`LONGEST_DAYS`], so that a
/// time series has at most 9,601 steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StatisticsPeriod)]
pub struct Period {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    bucket: Bucket,
}

/// Why a period is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// It ends before it begins, or when it does.
    #[error("`to` is not later than `from`: give the earlier time as `from`")]
    Reversed,
    /// It would take too long.
    #[error("from `from` to `to` are more than {LONGEST_DAYS} days: ask for a shorter period")]
    TooLong,
}

impl Period {
    /// From `from` until before `to`, both to the microsecond, as the columns hold it.
    pub fn new(
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        bucket: Bucket,
    ) -> Result<Self, PeriodError> {
        let (from, to) = (from.trunc_subsecs(6), to.trunc_subsecs(6));
        if from >= to {
            return Err(PeriodError::Reversed);
        }
        if to - from > TimeDelta::days(LONGEST_DAYS) {
            return Err(PeriodError::TooLong);
        }
        Ok(Self { from, to, bucket })
    }

    /// Its first moment.
    #[must_use]
    pub fn from(&self) -> DateTime<Utc> {
        self.from
    }

    /// The moment after its last.
    #[must_use]
    pub fn to(&self) -> DateTime<Utc> {
        self.to
    }

    /// The steps of its time series.
    #[must_use]
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_period_has_an_order_and_an_end() {
        let from = DateTime::<Utc>::UNIX_EPOCH;
        let of = |to| Period::new(from, from + to, Bucket::Hour);
        assert!(of(TimeDelta::days(LONGEST_DAYS)).is_ok());
        assert!(of(TimeDelta::microseconds(1)).is_ok());
        assert_eq!(of(TimeDelta::zero()), Err(PeriodError::Reversed));
        assert_eq!(of(TimeDelta::seconds(-1)), Err(PeriodError::Reversed));
        let finer = Period::new(from, from + TimeDelta::nanoseconds(1_999), Bucket::Hour).unwrap();
        assert_eq!(finer.to(), from + TimeDelta::microseconds(1));
        let longer = TimeDelta::days(LONGEST_DAYS) + TimeDelta::microseconds(1);
        assert_eq!(of(longer), Err(PeriodError::TooLong));
    }
}
