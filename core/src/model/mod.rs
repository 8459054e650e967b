//! The types that all other modules share. They do no I/O and use no other module.

pub mod capabilities;
pub mod channel;
pub mod dedup_key;
pub mod extract;
pub mod group;
pub mod level;
pub mod notification;
pub mod observer;
pub mod outcome;
pub mod plan;
pub mod policy;
pub mod problem;
pub mod read_options;
pub mod report;
pub mod row;
pub mod status;
pub mod wire;
