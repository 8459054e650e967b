//! The views, which send nothing: `?view=status`, `?view=metrics`.

use serde::Serialize;

use super::response::{ErrorDetail, Results};
use crate::observe::RecentError;

/// The views, by the query parameter's value.
pub const NAMES: &[&str] = &["status", "metrics"];

/// How the notifier is.
#[derive(Debug, Serialize)]
pub struct StatusView {
    /// `ok`; `outdated` if the current configuration file is invalid and an earlier one is in use; `unusable` if there
    /// are no settings.
    pub status: &'static str,
    /// Always empty: every answer has the member.
    pub results: Results,
    pub version: &'static str,
    /// The plugin files that the library works with.
    pub plugin_api: &'static [i64],
    pub channels: Vec<&'static str>,
    pub receivers: Vec<String>,
    /// Deliveries that have not ended.
    pub in_flight: usize,
    /// Of these, those whose call has been answered.
    pub pending: usize,
    /// Destinations that are paused or refuse.
    pub paused: usize,
    /// The last deliveries that failed, the latest first, as log lines.
    pub last_errors: Vec<RecentError>,
    pub warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ViewError>,
}

/// Why the settings cannot be used.
#[derive(Debug, Serialize)]
pub struct ViewError {
    pub message: String,
    #[serde(flatten)]
    pub detail: ErrorDetail,
}
