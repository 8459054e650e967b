//! The stages together, in virtual time: events go in, and what each destination is notified of comes out.

mod clock;
mod edits;
mod muting;
mod properties;
mod renew;
mod reported;
mod rules;
mod world;
