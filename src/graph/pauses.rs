//! The pauses before a call is made again.

use std::time::Duration;

use backon::ExponentialBuilder;
use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);
/// Calls beyond the first.
const AGAIN_AT_MOST: usize = 6;

/// Each about twice as long as the one before, with a part at random so that callers do not come together.
pub(super) fn growing() -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_max_times(AGAIN_AT_MOST)
        .with_jitter()
}

/// The pause, as long as Meta asks for at least; `None` where patience would end in it.
pub(super) fn within(
    until: Instant,
    asked_for: Option<Duration>,
    pause: Option<Duration>,
) -> Option<Duration> {
    let pause = pause?.max(asked_for.unwrap_or_default());
    (Instant::now() + pause < until).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_as_long_as_asked_for_and_ends_within_patience() {
        let until = Instant::now() + Duration::from_secs(10);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(within(until, None, seconds(2)), seconds(2));
        assert_eq!(within(until, seconds(5), seconds(2)), seconds(5));
        assert_eq!(within(until, seconds(300), seconds(2)), None);
        assert_eq!(within(until, None, seconds(20)), None);
        assert_eq!(within(until, seconds(1), None), None);
    }
}
