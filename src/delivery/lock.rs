//! One way to lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic of one delivery is its own: the others go on with what is locked.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
