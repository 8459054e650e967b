//! Work that holds the interpreter for longer than others should wait.

use std::time::{Duration, Instant};

use pyo3::prelude::*;

/// How long work goes on before other Python threads may run.
const LENGTH: Duration = Duration::from_millis(2);

/// Time for which work has held the interpreter.
pub struct Slice(Instant);

impl Slice {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// Lets other Python threads run where it is their turn. Native code is interrupted nowhere else.
    pub fn pause(&mut self, py: Python<'_>) {
        if self.0.elapsed() >= LENGTH {
            py.detach(|| ());
            *self = Self::begin();
        }
    }
}
