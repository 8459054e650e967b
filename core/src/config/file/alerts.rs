//! The keys of alert state in `[settings]`, in routes and in receivers.

use std::time::Duration;

use super::state_keys::{
    ALERT_KEY, GROUP_BY, GROUP_INTERVAL, GROUP_WAIT, GroupKeys, REMIND_EVERY, RESOLVE_TIMEOUT,
    STATE,
};
use super::tree::{Node, TableEntry, Value};
use super::{Config, Loader};
use crate::config::arguments::duration_within;
use crate::config::matcher::Name;
use crate::json::Path;

const LONGEST: &str = "7d";
const STATUS_CHANGES: &str =
    "status changes when an alert resolves, so it cannot tell alerts apart";
/// Alertmanager's value for grouping by all labels, which makes each alert a group.
const ALL_LABELS: &str = "...";
const NO_GROUPING: &str =
    "without group_by each alert is a group of its own: leave it out here and in the routes around";

impl Loader<'_> {
    /// Reads a key of `[settings]`.
    pub fn alert_setting(&mut self, member: &TableEntry, path: &Path, config: &mut Config) {
        let node = &member.node;
        match member.key.as_str() {
            RESOLVE_TIMEOUT => {
                self.state.turns_on(member.position, path);
                self.groups.resolve_timeout = self.duration(node, path, "1s");
                return;
            }
            REMIND_EVERY => {
                self.state.turns_on(member.position, path);
                self.groups.remind_every = self.duration(node, path, "1s");
                return;
            }
            ALERT_KEY => {
                config.alerts.alert_key = self.names(node, path);
                self.warn_of_changing_names(node, path, &config.alerts.alert_key);
                if node.one_or_several().is_empty() {
                    let message =
                        "the list is empty; leave it out where only dedup_key identifies an alert";
                    self.report.error(node.position, path.as_str(), message);
                }
            }
            STATE => match node.as_str() {
                Some("memory") => config.alerts.is_in_memory = true,
                _ => self.mismatch(
                    node,
                    path,
                    "\"memory\"; without it, alerts are kept in the outbox",
                ),
            },
            _ => match node.value {
                Value::Integer(count @ 1..=1_000_000) => {
                    config.alerts.max_alerts = usize::try_from(count).unwrap_or(usize::MAX);
                }
                _ => self.mismatch(node, path, "a whole number from 1 to 1000000"),
            },
        }
        self.depends_on_state(member, path);
    }

    /// Reads a group key of a route.
    pub fn group_key(&mut self, member: &TableEntry, path: &Path, keys: &mut GroupKeys) {
        self.state.turns_on(member.position, path);
        let node = &member.node;
        match member.key.as_str() {
            GROUP_BY => keys.group_by = Some(self.names(node, path).into()),
            GROUP_WAIT => keys.group_wait = self.duration(node, path, "0s"),
            GROUP_INTERVAL => keys.group_interval = self.duration(node, path, "1s"),
            REMIND_EVERY => keys.remind_every = self.duration(node, path, "1s"),
            _ => keys.resolve_timeout = self.duration(node, path, "1s"),
        }
    }

    /// Reads `send_resolved`. Returns `true` by default.
    pub fn send_resolved(&mut self, member: &TableEntry, path: &Path) -> bool {
        self.depends_on_state(member, path);
        match member.node.value {
            Value::Boolean(value) => value,
            _ => {
                self.mismatch(&member.node, path, "true or false");
                true
            }
        }
    }

    /// Stores the keys in the configuration after the loader has read the whole file.
    pub fn finish_state(&mut self, config: &mut Config) {
        config.alerts.without_route = self.groups.settings();
        config.alerts.enabled_by = self.state.enabled_by.take();
        if config.alerts.is_state_on() {
            return;
        }
        for (position, path) in std::mem::take(&mut self.state.dependent) {
            let message = "has no effect: no key turns alert state on, such as group_by in a route or resolve_timeout";
            self.report.warning(position, &path, message);
        }
    }

    fn depends_on_state(&mut self, member: &TableEntry, path: &Path) {
        let path = path.as_str().to_owned();
        self.state.dependent.push((member.position, path));
    }

    /// Reads a list of names without duplicates.
    pub fn names(&mut self, node: &Node, path: &Path) -> Vec<Name> {
        let mut names = Vec::new();
        for node in node.one_or_several() {
            let Some(text) = node.as_str() else {
                self.mismatch(node, path, "a list of names such as \"fields.host\"");
                continue;
            };
            let message = match Name::parse(text) {
                Ok(Name::Status) => STATUS_CHANGES.to_owned(),
                Ok(name) if names.contains(&name) => continue,
                Ok(name) => {
                    names.push(name);
                    continue;
                }
                Err(_) if text == ALL_LABELS => NO_GROUPING.to_owned(),
                Err(message) => message,
            };
            self.report.error(node.position, path.as_str(), &message);
        }
        names
    }

    /// Warns of names whose values change during an alert. An alert keeps its identity when its level rises, and a text
    /// may contain a measured value.
    fn warn_of_changing_names(&mut self, node: &Node, path: &Path, names: &[Name]) {
        for name in [Name::Level, Name::Text] {
            if names.contains(&name) {
                let message = format!(
                    "an event with another {name} is another alert, and resolves none of before; name what stays the same, \
                     such as title or fields.host"
                );
                self.report.warning(node.position, path.as_str(), &message);
            }
        }
    }

    fn duration(&mut self, node: &Node, path: &Path, least: &str) -> Option<Duration> {
        let text = node.as_str().unwrap_or_default();
        match duration_within(text, least, LONGEST) {
            Ok(duration) => Some(duration),
            Err(message) => {
                let message = format!("must be {message}");
                self.report.error(node.position, path.as_str(), &message);
                None
            }
        }
    }
}
