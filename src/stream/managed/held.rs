//! Who holds a lock.

use std::fs::{File, TryLockError};

/// Whether somebody else has the lock.
pub(super) fn is_held(file: &File) -> bool {
    let locked = file.try_lock_shared();
    if locked.is_ok() {
        // The file is closed before long, which unlocks it too.
        let _ = file.unlock();
    }
    matches!(locked, Err(TryLockError::WouldBlock))
}
