//! Tests of several parts together, in one program, which links the shared parts once.

// The whole crate is a test, including the code outside of `#[test]` functions.
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
mod groups;
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
