//! influxdb3-notifier delivers notifications from inside InfluxDB 3.
//!
//! Each layer uses the layers below it, never above, never sideways:
//!
//! - [`plugin`] is a call's whole path: in comes what the engine passed, out goes what the caller reads.
//! - [`offline`] is what the command line asks of a configuration file: who would get what, without sending anything.
//! - [`alerts`] makes notifications of events: state, groups, and what each destination was notified of.
//! - [`routing`] makes a plan of a request: which notification goes to which destination, composed.
//! - [`config`] resolves a trigger's arguments; [`api`] reads requests and renders answers; [`delivery`] runs plans.
//! - [`channels`] compose messages and classify replies without I/O; [`transport`] sends without knowing a channel;
//!   [`store`] keeps accepted requests when the process ends; [`observe`] turns events into log lines and metrics.
//! - [`model`] is the vocabulary of all of them.
//! - [`json`], [`secret`], [`text`], [`warnings`], [`panics`] and [`time_limit`] are small libraries that know nothing of notifications.
//!
//! The Python module and the stores on servers are crates of their own that use this one.

pub mod alerts;
pub mod api;
pub mod channels;
pub mod config;
pub mod delivery;
pub mod json;
pub mod model;
pub mod observe;
pub mod offline;
pub mod panics;
pub mod plugin;
pub mod routing;
pub mod secret;
pub mod store;
pub mod text;
pub mod time_limit;
pub mod transport;
pub mod warnings;
