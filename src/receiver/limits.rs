//! How much may wait at once. Taken before a body is read, so that no burst
//! grows the memory beyond it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this size, so that a bound of any size fits a
/// semaphore's counters.
const UNIT_BYTES: usize = 1024;
/// Nearly all of Instagram's deliveries are smaller. Larger ones leave a quarter of the room to them:
/// whoever announces much and sends nothing cannot keep all out.
const SMALL_BYTES: usize = 64 * 1024;

/// A bound by number and by bytes.
#[derive(Debug, Clone)]
pub struct Limits {
    number: Arc<Semaphore>,
    units: Arc<Semaphore>,
    /// What deliveries that are not small may have of the units.
    units_of_large: Arc<Semaphore>,
}

/// The right to hold one delivery of some size; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _number: OwnedSemaphorePermit,
    _units: OwnedSemaphorePermit,
    _units_of_large: Option<OwnedSemaphorePermit>,
}

impl Limits {
    /// At most `deliveries` of together `bytes` at once, each of at most `largest`
    /// bytes.
    #[must_use]
    pub fn new(deliveries: usize, bytes: usize, largest: usize) -> Self {
        let large = (bytes / 4 * 3).max(largest).min(bytes);
        Self {
            number: Arc::new(Semaphore::new(deliveries)),
            units: Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES))),
            units_of_large: Arc::new(Semaphore::new(large.div_ceil(UNIT_BYTES))),
        }
    }

    /// A permit for a delivery of `bytes`, if there is room now.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Permit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).ok()?;
        let take = |of: &Arc<Semaphore>| Arc::clone(of).try_acquire_many_owned(units).ok();
        Some(Permit {
            _number: Arc::clone(&self.number).try_acquire_owned().ok()?,
            _units_of_large: if bytes > SMALL_BYTES {
                Some(take(&self.units_of_large)?)
            } else {
                None
            },
            _units: take(&self.units)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_number_and_bytes() {
        let limits = Limits::new(2, 10 * 1024, 1024);
        let first = limits.take(9 * 1024);
        assert!(first.is_some());
        assert!(limits.take(2 * 1024).is_none(), "too many bytes");
        let second = limits.take(10);
        assert!(second.is_some());
        assert!(limits.take(0).is_none(), "too many deliveries");
        drop(first);
        assert!(limits.take(0).is_some());
    }
    #[test]
    fn large_deliveries_leave_room_to_small_ones() {
        let megabyte = 1024 * 1024;
        let limits = Limits::new(100, 4 * megabyte, megabyte);
        let large: Vec<_> = (0..4).map(|_| limits.take(megabyte)).collect();
        assert_eq!(large.iter().flatten().count(), 3);
        let small: Vec<_> = (0..32).map(|_| limits.take(SMALL_BYTES)).collect();
        assert_eq!(small.iter().flatten().count(), 16);
    }

    #[test]
    fn the_largest_delivery_always_fits() {
        let largest = 1024 * 1024;
        assert!(Limits::new(1, largest, largest).take(largest).is_some());
    }
}
