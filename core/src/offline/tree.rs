//! The routes and the alert state of a file, with inherited settings.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Serialize;

use crate::config::alerts::{AlertSettings, GroupSettings};
use crate::config::file::{Config, Route};

/// A route with inherited settings.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct RouteSummary {
    /// The route's number, from 1, in the order of the file.
    pub number: usize,
    pub line: usize,
    /// The number of ancestors.
    pub depth: usize,
    pub name: Option<String>,
    /// The matcher as `match` writes it. Empty: the route matches everything.
    #[serde(rename = "match")]
    pub matcher: String,
    pub receivers: Vec<String>,
    #[serde(rename = "continue")]
    pub continue_matching: bool,
    /// `None`: alert state is off.
    pub group: Option<GroupSummary>,
}

/// How the alerts of a route are grouped. Durations have the form `30s`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct GroupSummary {
    /// `None`: each alert forms its own group.
    pub group_by: Option<Vec<String>>,
    pub group_wait: String,
    pub group_interval: String,
    /// `None`: alerts do not resolve by time.
    pub resolve_timeout: Option<String>,
}

/// The alert state settings of a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct StateSummary {
    /// The first key that turns alert state on.
    pub enabled_by: String,
    pub line: usize,
    /// Whether a restart loses the state.
    pub in_memory: bool,
    pub alert_key: Vec<String>,
    pub max_alerts: usize,
}

/// Returns all routes of the file, each after its parent.
pub fn tree(config: &Config) -> Vec<RouteSummary> {
    let mut summaries: Vec<RouteSummary> = Vec::with_capacity(config.routes.len());
    for (index, route) in config.routes.iter().enumerate() {
        let parent = route.parent.and_then(|parent| summaries.get(parent));
        let depth = parent.map_or(0, |parent| parent.depth + 1);
        summaries.push(RouteSummary {
            number: index + 1,
            line: route.position.line,
            depth,
            name: route.name.clone(),
            matcher: route.matcher.to_string(),
            receivers: receivers(config, route),
            continue_matching: route.continue_matching,
            group: config
                .alerts
                .is_state_on()
                .then(|| GroupSummary::of(&route.group)),
        });
    }
    summaries
}

/// Returns the names of a route's receivers.
pub fn receivers(config: &Config, route: &Route) -> Vec<String> {
    let name = |index: &usize| {
        let receiver = config.receivers.get(*index);
        receiver.map(|receiver| receiver.name.clone())
    };
    route.receivers.iter().filter_map(name).collect()
}

impl GroupSummary {
    fn of(group: &GroupSettings) -> Self {
        let names = group.group_by.as_deref();
        Self {
            group_by: names.map(|names| names.iter().map(ToString::to_string).collect()),
            group_wait: shown(group.group_wait),
            group_interval: shown(group.group_interval),
            resolve_timeout: group.resolve_timeout.map(shown),
        }
    }
}

impl StateSummary {
    /// Returns the summary, or `None` without alert state.
    pub fn of(alerts: &AlertSettings) -> Option<Self> {
        let key = alerts.enabled_by.as_ref()?;
        Some(Self {
            enabled_by: key.path.clone(),
            line: key.position.line,
            in_memory: alerts.is_in_memory,
            alert_key: alerts.alert_key.iter().map(ToString::to_string).collect(),
            max_alerts: alerts.max_alerts,
        })
    }
}

fn shown(duration: Duration) -> String {
    let duration = SignedDuration::try_from(duration).unwrap_or_default();
    format!("{duration:#}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::channels::OperatorSettings;
    use crate::config::file;

    /// A file that turns alert state on.
    const FILE: &str = r#"
[settings]
alert_key = ["title", "fields.host"]
state = "memory"
[receivers.ops.slack]
webhook_url = "https://a.example"
[receivers.log.slack]
webhook_url = "https://b.example"
[[routes]]
name = "databases"
match = { level = ["error", "critical"], fields.host = "~^db" }
receivers = ["ops", "log"]
group_by = ["fields.region"]
resolve_timeout = "90min"
[[routes.routes]]
match = { fields.env = "!live" }
receivers = "log"
group_wait = "1500ms"
continue = true
"#;

    fn config(text: &str) -> Config {
        let none = BTreeMap::new();
        let loaded = file::load(
            text.as_bytes(),
            Path::new("/"),
            &none,
            OperatorSettings::default(),
            true,
        );
        loaded.config.unwrap_or_else(|report| panic!("{report:?}"))
    }

    #[test]
    fn a_route_is_shown_with_inherited_values() {
        let group = |wait: &str| GroupSummary {
            group_by: Some(vec!["fields.region".to_owned()]),
            group_wait: wait.to_owned(),
            group_interval: "5m".to_owned(),
            resolve_timeout: Some("1h 30m".to_owned()),
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(
            tree(&config(FILE)),
            [
                RouteSummary {
                    number: 1,
                    line: 9,
                    depth: 0,
                    name: Some("databases".to_owned()),
                    matcher: r#"level = ["error", "critical"], fields.host = "~^db""#.to_owned(),
                    receivers: names(&["ops", "log"]),
                    continue_matching: false,
                    group: Some(group("30s")),
                },
                RouteSummary {
                    number: 2,
                    line: 15,
                    depth: 1,
                    name: None,
                    matcher: r#"fields.env = "!live""#.to_owned(),
                    receivers: names(&["log"]),
                    continue_matching: true,
                    group: Some(group("1s 500ms")),
                },
            ]
        );
        assert_eq!(
            StateSummary::of(&config(FILE).alerts),
            Some(StateSummary {
                enabled_by: "routes[0].group_by".to_owned(),
                line: 13,
                in_memory: true,
                alert_key: names(&["title", "fields.host"]),
                max_alerts: 20_000,
            })
        );
    }

    #[test]
    fn a_file_without_state_shows_no_groups() {
        let config = config(&FILE.replace("group_", "#").replace("resolve_timeout", "#"));
        assert!(tree(&config).iter().all(|route| route.group.is_none()));
        assert_eq!(StateSummary::of(&config.alerts), None);
    }
}
