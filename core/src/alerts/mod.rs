//! Alert state: events become alerts, alerts form groups, and groups make notifications.
//!
//! One file a stage, each a function of state, input and time: [`ingest`] (what an event means for its alert), [`event`] and [`decision`]
//! (which destinations are notified of it now), [`group`] (when a group's next notification is due), [`flush`] (what it says to whom), [`dedup`]
//! (what a destination knows already, by the notification log in [`log`]) and [`render`]. [`state`] holds the alerts and groups
//! of one scope.

pub mod alert;
pub mod decision;
pub mod dedup;
pub mod event;
pub mod flush;
pub mod group;
pub mod ingest;
pub mod log;
pub mod plan;
pub mod record;
pub mod render;
pub mod state;
#[cfg(test)]
mod tests;
