//! The line before the places at the database. Pure: no clock, nothing async.
//!
//! Its time is counted in places given, so that it means the same with a database of any speed. In milliseconds,
//! all who wait for a slow one would have aged alike before anybody had a place, and the priorities meant nothing.

use std::collections::BTreeMap;

/// So many places that others get are worth one step of priority. With all ten handlers at it without a pause,
/// the types of priority 1 and 2 get four of five places, and each of 9 still one in seventy.
const STEP: u64 = 8;
/// For so many places it is remembered that somebody had to wait: it announces what it stored, fetches the next
/// batch, and comes again.
const LATELY: u64 = 8;

/// Places, and who waits for one; `T` is how a waiter is called.
pub(super) struct Line<T> {
    free: usize,
    /// How many places were given so far.
    given: u64,
    /// In the order in which they came. Nobody waits while a place is free.
    waiting: Vec<Waiter<T>>,
    /// When somebody of a priority last got a place that had to be waited for.
    waited: BTreeMap<u8, u64>,
}

struct Waiter<T> {
    priority: u8,
    /// Its standing, lower is better. It never changes: all who wait age alike, and who comes later is due later.
    due: u64,
    caller: T,
}

impl<T> Line<T> {
    pub(super) fn new(places: usize) -> Self {
        Self {
            free: places,
            given: 0,
            waiting: Vec::new(),
            waited: BTreeMap::new(),
        }
    }

    /// Takes a free place; whether there was one.
    pub(super) fn take(&mut self) -> bool {
        let Some(free) = self.free.checked_sub(1) else {
            return false;
        };
        self.free = free;
        self.given += 1;
        true
    }

    /// Waits for a place, since none is free.
    pub(super) fn join(&mut self, priority: u8, caller: T) {
        self.waiting.push(Waiter {
            priority,
            due: self.given + STEP * u64::from(priority),
            caller,
        });
    }

    /// Those who wait no longer leave the line.
    pub(super) fn leave(&mut self, mut is_gone: impl FnMut(&T) -> bool) {
        self.waiting.retain(|waiter| !is_gone(&waiter.caller));
    }

    /// A place is given back; to whom it goes. `None`: nobody waits, and it is free.
    pub(super) fn next(&mut self) -> Option<T> {
        // Of equals the first, who came first.
        let waiting = self.waiting.iter().enumerate();
        let Some((next, _)) = waiting.min_by_key(|(_, waiter)| waiter.due) else {
            self.free += 1;
            return None;
        };
        let next = self.waiting.remove(next);
        self.given += 1;
        self.waited.insert(next.priority, self.given);
        Some(next.caller)
    }

    /// How many events of `most` to take at a time. Whoever gets a place keeps it for a batch, whoever comes
    /// meanwhile. So where somebody of better priority has to wait, or had to lately, a batch is half as large. Not
    /// smaller: what each batch costs beside its rows would take from all.
    pub(super) fn batch(&self, priority: u8, most: usize) -> usize {
        let waits = |better: &u8| *better < priority;
        let now = self.waiting.iter().map(|waiter| &waiter.priority);
        let is_recent = |(_, at): &(&u8, &u64)| self.given - **at < LATELY;
        let lately = self.waited.iter().filter(is_recent);
        let mut all = now.chain(lately.map(|(priority, _)| priority));
        if all.any(waits) {
            most.div_ceil(2)
        } else {
            most
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// One place, which somebody has.
    fn taken<T>() -> Line<T> {
        let mut line = Line::new(1);
        assert!(line.take());
        line
    }

    #[test]
    fn places_are_taken_until_none_is_free() {
        let mut line = Line::<()>::new(2);
        assert!(line.take() && line.take());
        assert!(!line.take());
        assert_eq!(line.next(), None);
        assert!(line.take());
    }

    #[test]
    fn the_better_priority_goes_first_and_of_equals_the_first() {
        let mut line = taken();
        for (priority, who) in [
            (9, "insights"),
            (2, "comment"),
            (1, "message"),
            (1, "postback"),
        ] {
            line.join(priority, who);
        }
        let order: Vec<&str> = std::iter::from_fn(|| line.next()).collect();
        assert_eq!(order, ["message", "postback", "comment", "insights"]);
    }

    #[test]
    fn a_step_of_priority_is_worth_so_many_places() {
        let mut line = taken();
        line.join(2, "comment");
        for _ in 0..=STEP {
            line.join(1, "message");
        }
        let order: Vec<&str> = std::iter::from_fn(|| line.next()).collect();
        // They came at the same time, so that waiting made none of them better than another.
        assert_eq!(order.last(), Some(&"comment"));

        let mut line = taken();
        line.join(2, "comment");
        for passed in 0..STEP {
            line.join(1, "message");
            assert_eq!(line.next(), Some("message"), "after {passed} places");
        }
        line.join(1, "message");
        assert_eq!(line.next(), Some("comment"));
    }

    #[test]
    fn who_left_is_not_called() {
        let mut line = taken();
        line.join(1, "gone");
        line.join(9, "patient");
        line.leave(|who| *who == "gone");
        assert_eq!(line.next(), Some("patient"));
        assert_eq!(line.next(), None);
    }

    #[test]
    fn batches_are_smaller_where_somebody_better_has_to_wait() {
        let mut line = taken();
        assert_eq!(line.batch(8, 500), 500, "nobody waits");
        line.join(1, ());
        assert_eq!(line.batch(8, 500), 250);
        assert_eq!(line.batch(2, 500), 250);
        assert_eq!(line.batch(1, 500), 500, "nobody better");
        assert_eq!(line.batch(10, 1), 1, "never none");
        line.next().unwrap();
        assert_eq!(line.batch(8, 500), 250, "it had to wait lately");
        for _ in 0..LATELY {
            assert_eq!(line.next(), None);
            assert!(line.take());
        }
        assert_eq!(line.batch(8, 500), 500, "that is long ago");
    }

    /// The priorities of the ten types.
    const TEN: [u8; 10] = [1, 1, 2, 2, 3, 5, 5, 8, 9, 9];

    /// How many of `places` each of those gets who come again as soon as they are called.
    fn shares(priorities: &[u8], places: usize) -> Vec<usize> {
        let mut line = taken();
        let mut shares = vec![0; priorities.len()];
        for (who, priority) in priorities.iter().enumerate() {
            line.join(*priority, who);
        }
        for _ in 0..places {
            let who = line.next().unwrap();
            shares[who] += 1;
            line.join(priorities[who], who);
        }
        shares
    }

    #[test]
    fn the_important_get_nearly_all_and_nobody_nothing() {
        let shares = shares(&TEN, 7000);
        let important: usize = shares[..4].iter().sum();
        assert!(important > 5600, "{shares:?}");
        assert!(shares.iter().all(|share| *share > 90), "{shares:?}");
        assert!(shares.is_sorted_by(|a, b| a + 5 >= *b), "{shares:?}");
    }

    proptest! {
        /// Whoever waits, with whatever others, is passed over so often at most.
        #[test]
        fn nobody_starves(
            priority in 1u8..=10,
            before in vec(1u8..=10, 0..9),
            later in vec(1u8..=10, 200),
        ) {
            let mut line = taken();
            for other in &before {
                line.join(*other, false);
            }
            line.join(priority, true);
            let mut passed = 0;
            for other in later {
                line.join(other, false);
                if line.next().unwrap() {
                    break;
                }
                passed += 1;
            }
            let most = STEP * (u64::from(priority) - 1) + before.len() as u64;
            prop_assert!(passed <= most, "{passed} of {most}");
        }

        /// Whatever is done, places are neither lost nor made, and none is free while somebody waits.
        #[test]
        fn places_are_neither_lost_nor_made(
            places in 1usize..4,
            steps in vec((0u8..3, 1u8..=10), 0..200),
        ) {
            let mut line = Line::new(places);
            let mut held = 0;
            for (who, (what, priority)) in steps.into_iter().enumerate() {
                match what {
                    0 if line.take() => held += 1,
                    0 => line.join(priority, who),
                    1 if held > 0 => {
                        if line.next().is_none() {
                            held -= 1;
                        }
                    }
                    _ => line.leave(|waiter| waiter % 3 == 0),
                }
                prop_assert_eq!(line.free + held, places);
                prop_assert!(line.free == 0 || line.waiting.is_empty());
                prop_assert!(line.batch(priority, 500) >= 250);
            }
        }
    }
}
