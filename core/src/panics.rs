//! Handles panics: reports the location, but not the message, which may contain a secret.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`. If `f` panics, returns the location of the panic.
pub fn catch_panic<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|_| {
        let location = PANICKED_AT.with_borrow_mut(Option::take);
        location.unwrap_or_else(|| "an unknown place".to_owned())
    })
}

/// Locks a mutex even if an earlier holder panicked, so that other deliveries continue.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs the panic hook in this library's own copy of the standard library. The hook stores and prints only the
/// location.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        let location = info
            .location()
            .map(|location| format!("{}:{}", location.file(), location.line()));
        let location = location.unwrap_or_else(|| "an unknown place".to_owned());
        eprintln!("influxdb3-notifier: internal error at {location}");
        PANICKED_AT.with_borrow_mut(|last| *last = Some(location));
    }));
}
