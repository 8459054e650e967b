//! How much of everything there may be at once, and how callers share it.

pub mod capacity;
pub mod connections;
pub mod pacing;
