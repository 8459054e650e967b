//! Alert state: events become alerts, alerts form groups, and groups make notifications.
//!
//! Each stage is a file, and each stage is a function of state, input and time: [`ingest`] (applies an event to its
//! alert), [`muting`] with [`inhibit`], [`time_intervals`], [`silence`] and [`acknowledge`] (whether it is muted), [`event`] and
//! [`decision`] (choose the destinations to notify now), [`group`] (when a group's next
//! notification is due), [`flush`] (the notifications of a due group), [`dedup`] (compares with the notification log in
//! [`log`]), [`render`] (the text) and [`renew`] (the present content of a notification that nobody has seen yet).
//! [`destinations`] finds a group's destinations in the configuration file as it is now. [`state`] holds the alerts and groups of one scope, and [`view`] shows them.

pub mod acknowledge;
mod acknowledging;
pub mod alert;
pub mod decision;
pub mod dedup;
pub mod destination_flush;
pub mod destinations;
pub mod event;
pub mod flush;
pub mod group;
pub mod ingest;
pub mod inhibit;
pub mod log;
pub mod mute;
pub mod muting;
pub mod plan;
pub mod record;
pub mod release;
pub mod render;
pub mod renew;
pub mod silence;
pub mod state;
#[cfg(test)]
mod tests;
pub mod time_intervals;
pub mod view;
