//! How much may wait at once. Taken as a body comes, so that no burst grows the
//! memory beyond it, and that nobody takes room by announcing what never comes.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this size, so that a bound of any size fits a
/// semaphore's counters.
const UNIT_BYTES: usize = 1024;

/// A bound by number and by bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    number: Arc<Semaphore>,
    units: Arc<Semaphore>,
}

/// The right to hold one delivery of some size; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _number: OwnedSemaphorePermit,
    held: OwnedSemaphorePermit,
    units: Arc<Semaphore>,
    bytes: usize,
}

impl Limits {
    /// At most `deliveries` of together `bytes` at once.
    #[must_use]
    pub fn new(deliveries: usize, bytes: usize) -> Self {
        Self {
            number: Arc::new(Semaphore::new(deliveries)),
            units: Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES))),
        }
    }

    /// A permit for a delivery of which nothing has come yet, if there is room now.
    #[must_use]
    pub fn take(&self) -> Option<Permit> {
        Some(Permit {
            _number: Arc::clone(&self.number).try_acquire_owned().ok()?,
            held: Arc::clone(&self.units).try_acquire_owned().ok()?,
            units: Arc::clone(&self.units),
            bytes: 0,
        })
    }
}

impl Permit {
    /// Room for `bytes` more, if there is any now.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> Option<()> {
        self.bytes = self.bytes.saturating_add(bytes);
        let needed = self.bytes.div_ceil(UNIT_BYTES);
        let more = u32::try_from(needed.saturating_sub(self.held.num_permits())).ok()?;
        let more = Arc::clone(&self.units).try_acquire_many_owned(more).ok()?;
        self.held.merge(more);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use super::*;

    fn take(limits: &Limits, bytes: usize) -> Option<Permit> {
        let mut permit = limits.take()?;
        permit.grow(bytes)?;
        Some(permit)
    }

    #[test]
    fn bounds_number_and_bytes() {
        let limits = Limits::new(2, 10 * 1024);
        let first = take(&limits, 9 * 1024);
        assert!(first.is_some());
        assert!(take(&limits, 2 * 1024).is_none(), "too many bytes");
        let second = take(&limits, 10);
        assert!(second.is_some());
        assert!(take(&limits, 0).is_none(), "too many deliveries");
        drop(first);
        assert!(take(&limits, 0).is_some());
    }

    #[test]
    fn bytes_count_as_they_come() {
        let limits = Limits::new(9, 4 * 1024);
        let mut growing = take(&limits, 500).expect("room");
        // Together a unit still.
        growing.grow(524).expect("room");
        let others: Vec<_> = (0..3).map_while(|_| take(&limits, 1024)).collect();
        assert_eq!(others.len(), 3);
        assert!(growing.grow(1).is_none());
        drop(others);
        assert!(growing.grow(3 * 1024 - 1).is_some());
        drop(growing);
        assert!(take(&limits, 4 * 1024).is_some(), "all is given back");
    }
}
