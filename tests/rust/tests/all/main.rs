//! Tests of several parts together, in one program: what they share is linked once.

// All of this is a test, also what stands outside the `#[test]` functions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod costs;
mod digests;
mod docs;
mod events;
mod jetstream;
mod jetstream_model;
mod leaks;
mod names;
mod outbox;
mod pending;
mod rich;
mod round_trips;
mod seeds;
mod signing;
