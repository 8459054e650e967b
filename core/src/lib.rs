//! influxdb3-notifier delivers notifications from inside InfluxDB 3.
//!
//! Each layer uses only the layers below it, never a layer above or beside it:
//!
//! - [`plugin`] handles a call, from the engine's input to the response to the caller.
//! - [`offline`] checks a configuration file and shows who would get which notification, without sending it.
//! - [`alerts`] makes notifications from events. It keeps the alerts, the groups, and the last notification of each
//!   destination.
//! - [`routing`] plans a request: it selects destinations and composes messages.
//! - [`config`] resolves a trigger's arguments; [`api`] reads requests and writes responses; [`delivery`] runs plans.
//! - [`channels`] compose messages and classify replies without I/O; [`transport`] sends requests of any channel;
//!   [`store`] preserves accepted requests after the end of the process; [`observe`] writes log lines and metrics.
//! - [`model`] defines the types that all layers share.
//! - [`json`], [`secret`], [`text`], [`warnings`], [`panics`] and [`time_limit`] are small libraries without knowledge
//!   of notifications.
//!
//! The Python module and the stores on servers are separate crates that use this one.

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
