//! One way to lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks whatever happened to another holder: what is kept here is never half-written.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
