//! What comes while something is under way goes together next: for work that costs nearly the same for one as for
//! many, as a transaction or a synced write does.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::oneshot::{self, Sender};
use tokio::time::timeout;

/// How long one may be under way. Longer than that it hangs more likely than it works.
const UNDER_WAY_FOR: Duration = Duration::from_secs(5);

/// A road on which one convoy at a time is under way. What waits for it is bounded by those who wait.
pub(super) struct Convoy<T, R> {
    waiting: Mutex<Vec<(T, Sender<R>)>>,
    road: tokio::sync::Mutex<()>,
}

impl<T, R> Default for Convoy<T, R> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            road: tokio::sync::Mutex::default(),
        }
    }
}

impl<T, R> Convoy<T, R> {
    /// Takes `load` along in the next convoy. The first who finds the road free leads: its `travel` gets the loads of
    /// all who wait, and brings back what came of each. `None` where the convoy did not get through, since `travel`
    /// brought nothing, panicked, took too long, or was given up with who led it: each goes alone then.
    pub(super) async fn join<F>(&self, load: T, travel: impl FnOnce(Vec<T>) -> F) -> Option<R>
    where
        F: Future<Output = Option<Vec<R>>>,
    {
        let (tell, mut told) = oneshot::channel();
        self.add(load, tell);
        let _road = tokio::select! {
            biased;
            told = &mut told => return told.ok(),
            road = self.road.lock() => road,
        };
        if let Ok(told) = told.try_recv() {
            return Some(told);
        }
        let (loads, tells): (Vec<T>, Vec<Sender<R>>) = self.take().into_iter().unzip();
        let travelled = AssertUnwindSafe(travel(loads)).catch_unwind();
        let brought = timeout(UNDER_WAY_FOR, travelled).await.ok()?.ok()??;
        for (tell, brought) in tells.into_iter().zip(brought) {
            // Who does not wait any more does it again.
            let _ = tell.send(brought);
        }
        told.try_recv().ok()
    }

    fn add(&self, load: T, tell: Sender<R>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, tell)| !tell.is_closed());
        waiting.push((load, tell));
    }

    fn take(&self) -> Vec<(T, Sender<R>)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *waiting)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::{pending, ready};
    use std::pin::pin;

    use futures::future::{join3, poll_immediate};

    use super::*;

    /// Brings back each load with the number of those that went.
    async fn counted(loads: Vec<u32>) -> Option<Vec<(u32, usize)>> {
        let number = loads.len();
        Some(loads.into_iter().map(|load| (load, number)).collect())
    }

    #[tokio::test]
    async fn what_comes_while_one_is_under_way_goes_together_next() {
        let convoy = Convoy::default();
        let (arrive, arrived) = oneshot::channel();
        let first = convoy.join(1, |loads| async {
            arrived.await.ok()?;
            counted(loads).await
        });
        let mut first = pin!(first);
        assert!(
            poll_immediate(&mut first).await.is_none(),
            "it is under way"
        );
        let (mut second, mut third) =
            (pin!(convoy.join(2, counted)), pin!(convoy.join(3, counted)));
        assert!(poll_immediate(&mut second).await.is_none());
        assert!(poll_immediate(&mut third).await.is_none());
        arrive.send(()).unwrap();
        let brought = join3(first, second, third).await;
        assert_eq!(brought, (Some((1, 1)), Some((2, 2)), Some((3, 2))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_get_through_is_told_so_and_the_road_is_free_again() {
        let convoy = Convoy::<u32, u32>::default();
        assert_eq!(convoy.join(1, |_| ready(None)).await, None);
        assert_eq!(convoy.join(1, |_| pending()).await, None, "it hangs");
        let panics = async |_: Vec<u32>| -> Option<Vec<u32>> { panic!("asked for") };
        assert_eq!(convoy.join(1, panics).await, None);
        assert_eq!(convoy.join(7, |loads| ready(Some(loads))).await, Some(7));
    }

    #[tokio::test]
    async fn those_who_wait_are_told_when_their_leader_is_given_up() {
        let convoy = Convoy::<u32, u32>::default();
        let mut first = Box::pin(convoy.join(1, |_| pending()));
        assert!(poll_immediate(&mut first).await.is_none());
        let mut second = Box::pin(convoy.join(2, |_| pending()));
        assert!(poll_immediate(&mut second).await.is_none());
        let mut third = Box::pin(convoy.join(3, |loads| ready(Some(loads))));
        assert!(poll_immediate(&mut third).await.is_none());
        drop(first);
        assert!(
            poll_immediate(&mut second).await.is_none(),
            "it leads, with the third's load"
        );
        drop(second);
        assert_eq!(third.await, None);
        assert_eq!(convoy.join(4, |loads| ready(Some(loads))).await, Some(4));
    }
}
