//! Alert state: events become alerts, alerts form groups, and groups make notifications.
//!
//! Each stage is a file, and each stage is a function of state, input and time: [`ingest`] (applies an event to its
//! alert), [`event`] and [`decision`] (choose the destinations to notify now), [`group`] (when a group's next
//! notification is due), [`flush`] (the notifications of a due group), [`dedup`] (compares with the notification log in
//! [`log`]), [`render`] (the text) and [`renew`] (the present content of a notification that nobody has seen yet).
//! [`destinations`] finds a group's destinations in the configuration file as it is now. [`state`] holds the alerts and groups of one scope, and [`view`] shows them.

pub mod alert;
pub mod decision;
pub mod dedup;
pub mod destinations;
pub mod event;
pub mod flush;
pub mod group;
pub mod ingest;
pub mod log;
pub mod plan;
pub mod record;
pub mod render;
pub mod renew;
pub mod state;
#[cfg(test)]
mod tests;
pub mod view;
