//! influxdb3-notifier delivers notifications from inside InfluxDB 3.
//!
//! Each layer uses the layers below it, never above, never sideways:
//!
//! - `python` is the only code that knows pyo3: it copies what a call brings, releases the interpreter, hands over log lines.
//! - [`notifier`] is a call's whole path: in comes what the engine passed, out goes what the caller reads.
//! - [`offline`] is what the command line asks of a configuration file: who would get what, without sending anything.
//! - [`routing`] makes a plan of a request: which notification goes to which destination, composed.
//! - [`settings`] resolves a trigger's arguments; [`api`] reads requests and renders answers; [`delivery`] runs plans.
//! - [`channels`] compose messages and judge replies without I/O; [`transport`] sends without knowing a channel;
//!   [`outbox`] keeps what was accepted over the end of the process; [`observe`] turns what happens into log lines and metrics.
//! - [`panics`] keeps a panic from whoever called, and what it says from whoever reads.
//! - [`time_limit`] does what may never end on a thread that can be abandoned.
//! - [`model`] is the vocabulary of all of them.

pub mod api;
pub mod channels;
pub mod delivery;
pub mod model;
pub mod notifier;
pub mod observe;
pub mod offline;
pub mod outbox;
pub mod panics;
#[cfg(feature = "python")]
pub mod python;
pub mod routing;
pub mod settings;
pub mod time_limit;
pub mod transport;
