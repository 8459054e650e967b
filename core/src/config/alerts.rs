//! Settings of alert state in the configuration file.

use std::sync::Arc;
use std::time::Duration;

use super::matcher::Name;
use super::outbox::{OutboxLocation, OutboxSettings};
use super::report::problem;
use crate::model::problem::{FilePosition, Location, Problem};

/// The settings of alert state that apply to the whole file.
#[derive(Clone, Debug)]
pub struct AlertSettings {
    /// The first key of the file that turns alert state on. `None`: alert state is off.
    pub enabled_by: Option<StateKey>,
    /// The names whose values identify an alert without a dedup key. Empty: such an alert has no identity.
    pub alert_key: Vec<Name>,
    /// Whether the operator accepts that a restart loses the alert state.
    pub is_in_memory: bool,
    /// The maximum number of alerts with state. Further alerts have no state.
    pub max_alerts: usize,
    /// The group settings of notifications that no route matches.
    pub without_route: GroupSettings,
}

/// A key of the file that turns alert state on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    pub position: FilePosition,
    /// The path of the key, such as `routes[0].group_by`.
    pub path: String,
}

/// How the alerts of one route are grouped, including inherited settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// Alerts with equal values of these names form one group. `None`: each alert forms its own group.
    pub group_by: Option<Arc<[Name]>>,
    /// The time that a new group waits for more alerts.
    pub group_wait: Duration,
    /// The time that a group waits between two notifications.
    pub group_interval: Duration,
    /// An alert without a report for this long resolves. `None`: it never resolves by itself.
    pub resolve_timeout: Option<Duration>,
    /// How long after its last notification a destination is reminded of what fires. `None`: it is not.
    pub remind_every: Option<Duration>,
}

pub const DEFAULT_MAX_ALERTS: u32 = 20_000;
/// Alertmanager's default, for routes with `group_by`:
/// <https://prometheus.io/docs/alerting/latest/configuration/#route>
pub const DEFAULT_GROUP_WAIT: Duration = Duration::from_secs(30);
pub const DEFAULT_GROUP_INTERVAL: Duration = Duration::from_secs(5 * 60);

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            enabled_by: None,
            alert_key: Vec::new(),
            is_in_memory: false,
            max_alerts: DEFAULT_MAX_ALERTS as usize,
            without_route: GroupSettings::default(),
        }
    }
}

impl AlertSettings {
    pub const fn is_state_on(&self) -> bool {
        self.enabled_by.is_some()
    }

    /// Checks that alert state has a store. Adds a warning for each setting without effect.
    pub(super) fn check(
        &self,
        outbox: Option<&OutboxSettings>,
        without_effect: impl Iterator<Item = &'static str>,
        warnings: &mut Vec<String>,
    ) -> Result<(), Problem> {
        let Some(key) = &self.enabled_by else {
            return Ok(());
        };
        let message = match outbox.map(|outbox| &outbox.location) {
            Some(OutboxLocation::Servers(..)) => {
                "turns alert state on, which works with an outbox in a file, not yet with one on NATS"
            }
            None if !self.is_in_memory => {
                "turns alert state on, which needs a store: set outbox in [settings] to the path of a file, or \
                 state = \"memory\" where a restart may lose the alerts"
            }
            _ => {
                warnings.extend(without_effect.map(|name| {
                    format!(
                        "{name}: has no effect, since {} in line {} turns alert state on",
                        key.path, key.position.line
                    )
                }));
                return Ok(());
            }
        };
        Err(problem(
            Location::in_file(key.position, key.path.as_str()),
            message,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn settings() -> AlertSettings {
        AlertSettings {
            enabled_by: Some(StateKey {
                position: FilePosition { line: 3, column: 1 },
                path: "routes[0].group_by".to_owned(),
            }),
            ..AlertSettings::default()
        }
    }

    fn outbox(location: &str) -> OutboxSettings {
        let location =
            OutboxLocation::parse(location, &Environment::default(), &Default::default());
        OutboxSettings {
            location: location.unwrap(),
            seal: None,
            for_workers: false,
        }
    }

    #[test]
    fn state_needs_a_store_on_this_machine_or_leave_to_be_lost() {
        for (is_in_memory, location, expected) in [
            (false, None, Some("needs a store")),
            (true, None, None),
            (false, Some("/outbox.db"), None),
            (true, Some("/outbox.db"), None),
            (false, Some("nats://a"), Some("not yet with one on NATS")),
            (true, Some("nats://a"), Some("not yet with one on NATS")),
        ] {
            let settings = AlertSettings {
                is_in_memory,
                ..settings()
            };
            let outbox = location.map(outbox);
            let checked = settings.check(outbox.as_ref(), [].into_iter(), &mut Vec::new());
            let error = checked.err().map(|error| error.to_string());
            assert_eq!(error.is_some(), expected.is_some(), "{error:?}");
            if let (Some(error), Some(expected)) = (error, expected) {
                assert!(error.contains(expected), "{error}");
                assert!(
                    error.starts_with("line 3, column 1: routes[0].group_by: turns alert state on")
                );
            }
            let off = AlertSettings {
                enabled_by: None,
                ..settings
            };
            assert!(
                off.check(outbox.as_ref(), [].into_iter(), &mut Vec::new())
                    .is_ok()
            );
        }
    }

    #[test]
    fn settings_without_effect_are_warned_of_where_state_is_on() {
        let mut warnings = Vec::new();
        let names = ["repeat_interval", "max_per_batch"];
        let off = AlertSettings::default();
        assert!(off.check(None, names.into_iter(), &mut warnings).is_ok());
        assert!(warnings.is_empty());
        let outbox = outbox("/outbox.db");
        let settings = AlertSettings {
            is_in_memory: true,
            ..settings()
        };
        let on = settings.check(Some(&outbox), names.into_iter(), &mut warnings);
        assert!(on.is_ok());
        assert_eq!(
            warnings,
            names.map(|name| format!(
                "{name}: has no effect, since routes[0].group_by in line 3 turns alert state on"
            ))
        );
    }
}
