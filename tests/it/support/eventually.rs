//! Waiting for what is to come, without guessing how long it takes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Longer than `JetStream` waits for an acknowledgement of a handler that is gone.
const PATIENCE: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Looks again and again until `look` returns what is waited for. An error is why it is not there yet; the last
/// one is shown when patience ends.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(reason) if Instant::now() >= until => {
                panic!("not within {PATIENCE:?}: {what}: {reason}")
            }
            Err(_) => sleep(LOOK_EVERY).await,
        }
    }
}

/// The same for a plain condition.
pub async fn eventually_true(what: &str, mut look: impl AsyncFnMut() -> bool) {
    eventually(what, async || {
        if look().await {
            Ok(())
        } else {
            Err("it is not so".to_owned())
        }
    })
    .await;
}

/// Waits until nothing is left; patience ends when that has not changed for so long.
pub async fn until_none_is_left(what: &str, mut look: impl AsyncFnMut() -> Result<u64, String>) {
    let mut last = u64::MAX;
    while last > 0 {
        last = eventually(what, async || match look().await? {
            left if left != last => Ok(left),
            left => Err(format!("{left} are left, as before")),
        })
        .await;
    }
}
