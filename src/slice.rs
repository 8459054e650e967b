//! Time slices for long work that holds the interpreter's lock.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// The time after which other Python threads may run.
const LENGTH: Duration = Duration::from_millis(2);

/// The start of the current hold of the interpreter's lock.
pub struct GilSlice(Instant);

impl GilSlice {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Releases the interpreter's lock for a moment if the slice is over. Python does not interrupt native code.
    pub fn yield_if_due(&mut self, py: Python<'_>) {
        if self.0.elapsed() >= LENGTH {
            py.detach(|| ());
            *self = Self::begin();
        }
    }
}
