//! Views of the plugin's state, which send nothing: `?view=status`, `?view=metrics`, `?view=alerts`.

use serde::Serialize;

use super::response::{ErrorDetail, Results};
use crate::observe::RecentError;

/// The views by the query parameter's value.
pub const NAMES: &[&str] = &["status", "metrics", "alerts"];

/// The plugin's status.
#[derive(Debug, Serialize)]
pub struct StatusView {
    /// `ok`; `outdated`: the present configuration file is invalid and the plugin uses its earlier content; `unusable`:
    /// there are no settings.
    pub status: &'static str,
    /// Always empty, because every response has this member.
    pub results: Results,
    pub version: &'static str,
    /// The versions of the plugin file that the library supports.
    pub plugin_api: &'static [i64],
    pub channels: Vec<&'static str>,
    pub receivers: Vec<String>,
    /// The number of unfinished deliveries.
    pub in_flight: usize,
    /// The number of unfinished deliveries after the response to their call.
    pub pending: usize,
    /// The number of paused and disabled destinations.
    pub paused: usize,
    /// The last failed deliveries as log lines, latest first.
    pub last_errors: Vec<RecentError>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ViewError>,
}

/// The reason why the settings are unusable.
#[derive(Debug, Serialize)]
pub struct ViewError {
    pub message: String,
    #[serde(flatten)]
    pub detail: ErrorDetail,
}
