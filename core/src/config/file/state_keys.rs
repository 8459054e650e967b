//! The keys of alert state while the loader reads the file.

use std::sync::Arc;
use std::time::Duration;

use crate::config::alerts::{DEFAULT_GROUP_INTERVAL, DEFAULT_GROUP_WAIT, GroupSettings, StateKey};
use crate::config::matcher::Name;
use crate::json::Path;
use crate::model::problem::FilePosition;

pub const ALERT_KEY: &str = "alert_key";
pub const STATE: &str = "state";
pub const MAX_ALERTS: &str = "max_alerts";
pub const RESOLVE_TIMEOUT: &str = "resolve_timeout";
pub const GROUP_BY: &str = "group_by";
pub const GROUP_WAIT: &str = "group_wait";
pub const GROUP_INTERVAL: &str = "group_interval";
pub const REMIND_EVERY: &str = "remind_every";
pub const SEND_RESOLVED: &str = "send_resolved";
pub const INHIBITIONS: &str = "inhibitions";
pub const TIME_INTERVALS: &str = "time_intervals";

/// The group settings of a route. A child inherits each key that it does not set.
#[derive(Clone, Default)]
pub struct GroupKeys {
    pub group_by: Option<Arc<[Name]>>,
    pub group_wait: Option<Duration>,
    pub group_interval: Option<Duration>,
    pub resolve_timeout: Option<Duration>,
    pub remind_every: Option<Duration>,
}

impl GroupKeys {
    /// Returns the settings with defaults. A group of a single alert does not wait for other alerts.
    pub fn settings(&self) -> GroupSettings {
        let default = |with_others: Duration| match self.group_by {
            Some(_) => with_others,
            None => Duration::ZERO,
        };
        GroupSettings {
            group_by: self.group_by.clone(),
            group_wait: self.group_wait.unwrap_or(default(DEFAULT_GROUP_WAIT)),
            group_interval: self
                .group_interval
                .unwrap_or(default(DEFAULT_GROUP_INTERVAL)),
            resolve_timeout: self.resolve_timeout,
            remind_every: self.remind_every,
        }
    }
}

/// The keys of alert state while the loader reads the file.
#[derive(Default)]
pub struct StateKeys {
    pub enabled_by: Option<StateKey>,
    /// Keys that have no effect unless another key turns alert state on.
    pub dependent: Vec<(FilePosition, String)>,
}

impl StateKeys {
    /// Records a key that turns alert state on. The first one in the file wins.
    pub fn turns_on(&mut self, position: FilePosition, path: &Path) {
        let first = self.enabled_by.as_ref();
        if first.is_none_or(|first| position < first.position) {
            let path = path.as_str().to_owned();
            self.enabled_by = Some(StateKey { position, path });
        }
    }
}
