//! Who goes first at the database: so many batches at a time, of the handlers of this process, and when there are
//! more, the better priority first.

mod line;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{self, Sender};

use line::Line;

/// The places at the database, which all handlers of a process share.
#[derive(Clone)]
pub struct Precedence {
    line: Arc<Mutex<Line<Sender<Place>>>>,
    /// How many large batches are in hand.
    large: Arc<AtomicUsize>,
}

/// A large batch in hand: events wait for the database.
#[must_use]
pub(super) struct Large(Arc<AtomicUsize>);

impl Drop for Large {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place at the database. It goes to the next when it is dropped, also by a panic.
#[must_use]
pub(super) struct Place {
    precedence: Precedence,
}

impl Precedence {
    /// With places for so many batches at a time, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self {
            line: Arc::new(Mutex::new(Line::new(places.max(1)))),
            large: Arc::default(),
        }
    }

    /// Tells that a large batch is in hand, until it is dropped.
    pub(super) fn large(&self) -> Large {
        self.large.fetch_add(1, Ordering::Relaxed);
        Large(Arc::clone(&self.large))
    }

    /// Whether there is not enough of the database: then nobody goes without a place.
    pub(super) fn is_short(&self) -> bool {
        self.large.load(Ordering::Relaxed) > 0
    }

    /// A place, as soon as it is the turn of this priority (1 to 10, lower is sooner). Whoever drops the future
    /// leaves the line; a place that it was given already goes to the next.
    pub(super) async fn place(&self, priority: u8) -> Place {
        loop {
            let (caller, turn) = oneshot::channel();
            if self.take_or_join(priority, caller) {
                return Place {
                    precedence: self.clone(),
                };
            }
            // Only who is gone is never called.
            if let Ok(place) = turn.await {
                return place;
            }
        }
    }

    /// How many events of `most` a handler of this priority is to take at a time.
    pub(super) fn batch(&self, priority: u8, most: usize) -> usize {
        self.line().batch(priority, most)
    }

    fn take_or_join(&self, priority: u8, caller: Sender<Place>) -> bool {
        let mut line = self.line();
        let is_free = line.take();
        if !is_free {
            line.leave(Sender::is_closed);
            line.join(priority, caller);
        }
        is_free
    }

    fn line(&self) -> MutexGuard<'_, Line<Sender<Place>>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The lock is free again when the next is called.
        let next = self.precedence.line().next();
        if let Some(caller) = next {
            let place = Self {
                precedence: self.precedence.clone(),
            };
            // Who left the line drops it, and so gives it to the next.
            let _ = caller.send(place);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::Future;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::{Pin, pin};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt as _;
    use futures::future::{join_all, poll_immediate};
    use rand::RngExt as _;

    use super::*;

    fn waits(precedence: &Precedence, priority: u8) -> Pin<Box<impl Future<Output = Place>>> {
        let mut waiting = Box::pin({
            let precedence = precedence.clone();
            async move { precedence.place(priority).await }
        });
        assert!((&mut waiting).now_or_never().is_none(), "it has to wait");
        waiting
    }

    fn free(precedence: &Precedence) -> usize {
        let taken = std::iter::from_fn(|| precedence.place(10).now_or_never());
        taken.collect::<Vec<_>>().len()
    }

    #[tokio::test]
    async fn a_free_place_is_had_at_once() {
        let precedence = Precedence::new(2);
        let first = precedence.place(9).now_or_never().unwrap();
        let _second = precedence.place(9).now_or_never().unwrap();
        assert!(precedence.place(1).now_or_never().is_none());
        drop(first);
        assert!(precedence.place(9).now_or_never().is_some());
        assert_eq!(free(&Precedence::new(0)), 1, "at least one");
    }

    #[tokio::test]
    async fn a_place_goes_to_whom_it_is_due() {
        let precedence = Precedence::new(1);
        let place = precedence.place(9).await;
        let mut receipts = waits(&precedence, 8);
        let message = waits(&precedence, 1);
        drop(place);
        assert!(poll_immediate(&mut receipts).await.is_none());
        let place = message.await;
        assert!(poll_immediate(&mut receipts).await.is_none());
        drop(place);
        drop(receipts.await);
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_the_line() {
        let precedence = Precedence::new(1);
        let place = precedence.place(9).await;
        let message = waits(&precedence, 1);
        let comment = waits(&precedence, 2);
        let patient = waits(&precedence, 8);
        drop(message);
        drop(place);
        // The comment's turn has come when it leaves.
        drop(comment);
        drop(patient.await);
        assert_eq!(free(&precedence), 1);
    }

    #[tokio::test]
    async fn the_line_does_not_grow_by_those_who_left() {
        let precedence = Precedence::new(1);
        let _place = precedence.place(1).await;
        for _ in 0..100 {
            assert!(precedence.place(5).now_or_never().is_none());
        }
        let mut all = 0;
        precedence.line().leave(|_| {
            all += 1;
            false
        });
        assert_eq!(all, 1);
    }

    #[tokio::test]
    async fn a_panic_gives_the_place_back() {
        let precedence = Precedence::new(1);
        let place = precedence.place(1).await;
        let waiting = waits(&precedence, 9);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _place = place;
            panic!("in the middle of a batch");
        }));
        assert!(panicked.is_err());
        drop(waiting.await);
        assert_eq!(free(&precedence), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_place_is_lost_and_no_wake_up_whoever_comes_and_goes() {
        const PLACES: usize = 3;
        let precedence = Precedence::new(PLACES);
        let at_it = Arc::new(AtomicUsize::new(0));
        let handlers = (1..=10).map(|priority| {
            let (precedence, at_it) = (precedence.clone(), at_it.clone());
            tokio::spawn(async move {
                for _ in 0..2000 {
                    let patience = rand::rng().random_range(0..5);
                    let Some(place) = polled(precedence.place(priority), patience).await else {
                        continue;
                    };
                    let others = at_it.fetch_add(1, Ordering::SeqCst);
                    assert!(others < PLACES);
                    tokio::task::yield_now().await;
                    at_it.fetch_sub(1, Ordering::SeqCst);
                    drop(place);
                }
                drop(precedence.place(priority).await);
            })
        });
        let all = join_all(handlers.collect::<Vec<_>>());
        let all = tokio::time::timeout(Duration::from_mins(1), all).await;
        assert!(all.unwrap().iter().all(Result::is_ok));
        assert_eq!(free(&precedence), PLACES);
    }

    /// What comes of a future within so many looks at it; for ever where it has the most patience.
    async fn polled<T>(future: impl Future<Output = T>, looks: u32) -> Option<T> {
        let mut future = pin!(future);
        let mut left = looks;
        std::future::poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if looks == 4 => Poll::Pending,
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        })
        .await
    }
}
