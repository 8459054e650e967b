//! Reads `[[inhibitions]]`.

use super::Loader;
use super::state_keys::INHIBITIONS;
use super::tree::Node;
use crate::config::inhibition::{Inhibition, cycles};
use crate::config::matcher::{Matcher, Name};
use crate::json::Path;

impl Loader<'_> {
    pub fn inhibitions(&mut self, node: &Node) -> Vec<Inhibition> {
        let path = Path::root().key(INHIBITIONS);
        self.state.turns_on(node.position, &path);
        let mut rules = Vec::new();
        for (node, path) in self.tables(node, &path) {
            rules.extend(self.inhibition(node, &path));
        }
        for cycle in cycles(&rules) {
            let lines = cycle.iter().filter_map(|index| rules.get(*index));
            let lines: Vec<_> = lines.map(|rule| rule.position.line.to_string()).collect();
            let Some(first) = cycle.first().and_then(|index| rules.get(*index)) else {
                continue;
            };
            let message = format!(
                "the inhibitions in lines {} may mute each other's sources, so that nobody is notified of any; narrow a source or a \
                 target, for example by level",
                lines.join(", ")
            );
            self.report.warning(first.position, path.as_str(), &message);
        }
        rules
    }

    fn inhibition(&mut self, node: &Node, path: &Path) -> Option<Inhibition> {
        let (table, position) = (self.table(node, path.as_str())?, node.position);
        self.known_keys(table, path, &["source", "target", "equal"]);
        let mut side = |key: &str| match table.get(key) {
            Some(node) => self.matcher(node, &path.key(key)),
            None => {
                let message = format!("needs {key} = {{ … }}, which selects its {key} alerts");
                self.report.error(position, path.as_str(), &message);
                Matcher::default()
            }
        };
        let (source, target) = (side("source"), side("target"));
        let equal = match table.get("equal") {
            Some(node) => self.names(node, &path.key("equal")),
            None => Vec::new(),
        };
        if source.to_string() == target.to_string() && self.report.errors.is_empty() {
            let message = "mutes nothing: source and target are the same, and an alert that matches both sides is not muted by another \
                           such alert";
            self.report.warning(position, path.as_str(), message);
        }
        for (key, matcher) in [("source", &source), ("target", &target)] {
            if matcher.has(&Name::Status) {
                let message = "status has no effect on what an inhibition selects: a source fires or is acknowledged, and a resolved is never muted";
                let path = path.key(key);
                self.report.warning(position, path.as_str(), message);
            }
        }
        Some(Inhibition {
            position,
            source,
            target,
            equal,
        })
    }
}
