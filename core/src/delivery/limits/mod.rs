//! The limits of all resources, and how callers share them.

pub mod capacity;
pub mod connections;
pub mod pacing;
