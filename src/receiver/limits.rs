//! How much may wait at once. Taken before a body is read, so that no burst
//! grows the memory beyond it.

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
    _units: OwnedSemaphorePermit,
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

    /// A permit for a delivery of `bytes`, if there is room now.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<Permit> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES).max(1)).ok()?;
        Some(Permit {
            _number: Arc::clone(&self.number).try_acquire_owned().ok()?,
            _units: Arc::clone(&self.units).try_acquire_many_owned(units).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_number_and_bytes() {
        let limits = Limits::new(2, 10 * 1024);
        let first = limits.take(9 * 1024);
        assert!(first.is_some());
        assert!(limits.take(2 * 1024).is_none(), "too many bytes");
        let second = limits.take(10);
        assert!(second.is_some());
        assert!(limits.take(0).is_none(), "too many deliveries");
        drop(first);
        assert!(limits.take(0).is_some());
    }
}
