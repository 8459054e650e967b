//! Code that several channels use.

pub mod addresses;
pub mod alert_list;
pub mod body;
pub mod classify;
pub mod compact;
pub mod endpoint;
pub mod http_channel;
pub mod incident;
pub mod json_reply;
pub mod level_style;
pub mod lines;
pub mod look_alikes;
pub mod names;
pub mod rich;
pub mod texts;

/// The default `User-Agent`.
pub const USER_AGENT: &str = concat!("influxdb3-notifier/", env!("CARGO_PKG_VERSION"));
