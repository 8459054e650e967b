//! Limits the lines and rows of one kind.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Passes the first lines and counts the rest for a summary line. One request or batch must not displace all other
/// lines in the engine's log.
pub struct LineLimiter {
    most: usize,
    seen: AtomicUsize,
}

/// Lines of one kind that one request or one batch writes.
pub const MAX_LINES: usize = 100;

impl LineLimiter {
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            seen: AtomicUsize::new(0),
        }
    }

    /// Returns whether the next line may be written.
    pub fn admit(&self) -> bool {
        self.seen.fetch_add(1, Ordering::Relaxed) < self.most
    }

    /// Lines that were not.
    pub fn left_out(&self) -> usize {
        self.seen.load(Ordering::Relaxed).saturating_sub(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_pass_and_the_rest_is_counted() {
        for (most, lines, passed, left_out) in
            [(0, 3, 0, 3), (2, 0, 0, 0), (2, 2, 2, 0), (2, 5, 2, 3)]
        {
            let limiter = LineLimiter::new(most);
            let admitted = (0..lines).filter(|_| limiter.admit()).count();
            assert_eq!((admitted, limiter.left_out()), (passed, left_out));
        }
    }
}
