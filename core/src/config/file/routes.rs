//! Reads `[[routes]]`: a tree, in the order of the file.

use std::collections::HashMap;
use std::sync::Arc;

use super::state_keys::{
    GROUP_BY, GROUP_INTERVAL, GROUP_WAIT, GroupKeys, REMIND_EVERY, RESOLVE_TIMEOUT,
};
use super::tree::{Node, Table, Value};
use super::{Config, Loader};
use crate::config::alerts::GroupSettings;
use crate::config::matcher::Matcher;
use crate::config::time_interval::TimeInterval;
use crate::json::Path;
use crate::model::extract::Extraction;
use crate::model::problem::FilePosition;
use crate::secret::digest;
use crate::text::did_you_mean;

/// A route selects the receivers of a notification without explicit receivers. One list holds all routes of a file;
/// children follow their parent.
#[derive(Debug)]
pub struct Route {
    /// The position in the file.
    pub position: FilePosition,
    pub name: Option<String>,
    /// The parent's index in the list.
    pub parent: Option<usize>,
    /// The index after the last descendant.
    pub end: usize,
    pub matcher: Matcher,
    /// Indexes of the file's receivers. A route without receivers inherits its parent's.
    pub receivers: Vec<usize>,
    /// Whether matching continues with the next sibling.
    pub continue_matching: bool,
    /// Expressions that extract fields from the text of a matching notification.
    pub extract: Vec<Extraction>,
    pub group: GroupSettings,
    /// Indexes of the file's time intervals: the route is muted during the first, and active only during the second. A child
    /// inherits none.
    pub mute_intervals: Vec<usize>,
    pub active_intervals: Vec<usize>,
    /// Identifies the route in the keys of its groups: the route's name, or the matchers of its path. An edit elsewhere
    /// in the file does not change it.
    pub group_key: Arc<str>,
}

impl Route {
    /// Returns whether the route matches every notification and stops the search.
    pub const fn is_last(&self) -> bool {
        self.matcher.is_for_all() && !self.continue_matching
    }
}

const REPEAT_INTERVAL: &str = "repeat_interval";
const MUTE_TIME_INTERVALS: &str = "mute_time_intervals";
const ACTIVE_TIME_INTERVALS: &str = "active_time_intervals";
const ROUTE_KEYS: &[&str] = &[
    "name",
    "match",
    "receivers",
    "continue",
    "extract",
    "routes",
    GROUP_BY,
    GROUP_WAIT,
    GROUP_INTERVAL,
    RESOLVE_TIMEOUT,
    REMIND_EVERY,
    MUTE_TIME_INTERVALS,
    ACTIVE_TIME_INTERVALS,
];
/// The loader refuses deeper trees.
pub const MAX_DEPTH: usize = 16;
/// A group key with longer matchers contains their digest instead.
const MAX_KEY_BYTES: usize = 512;

/// The routes that the loader has read.
struct Routes<'a> {
    receivers: &'a HashMap<String, usize>,
    intervals: &'a [TimeInterval],
    list: Vec<Route>,
    names: HashMap<String, FilePosition>,
}

/// Settings that a route inherits from its parent.
#[derive(Clone, Default)]
struct Inherited {
    parent: Option<usize>,
    depth: usize,
    receivers: Vec<usize>,
    groups: GroupKeys,
}

impl Loader<'_> {
    pub fn routes(&mut self, node: &Node, config: &Config) -> Vec<Route> {
        let mut routes = Routes {
            receivers: &config.by_name,
            intervals: &config.time_intervals,
            list: Vec::new(),
            names: HashMap::new(),
        };
        let root = Inherited {
            groups: self.groups.clone(),
            ..Inherited::default()
        };
        self.siblings(node, &Path::root().key("routes"), &root, &mut routes);
        let Routes {
            mut list, names, ..
        } = routes;
        set_group_keys(&mut list, names.into_keys().map(|name| (name, 1)).collect());
        list
    }

    /// Reads the routes of one level. Each route's children follow it.
    fn siblings(
        &mut self,
        node: &Node,
        path: &Path,
        inherited: &Inherited,
        routes: &mut Routes<'_>,
    ) {
        if inherited.depth == MAX_DEPTH {
            let message = format!("routes stand in each other more than {MAX_DEPTH} deep");
            self.report.error(node.position, path.as_str(), &message);
            return;
        }
        let mut last: Option<FilePosition> = None;
        let mut is_told = false;
        for (node, path) in self.tables(node, path) {
            if let Some(last) = last.filter(|_| !is_told) {
                let message = format!(
                    "is never asked: the route in line {} matches everything; give it continue = true, or put it last",
                    last.line
                );
                self.report.warning(node.position, path.as_str(), &message);
                is_told = true;
            }
            let index = routes.list.len();
            self.route_with_children(node, &path, inherited, routes);
            let route = routes.list.get(index).filter(|route| route.is_last());
            last = last.or(route.map(|route| route.position));
        }
    }

    fn route_with_children(
        &mut self,
        node: &Node,
        path: &Path,
        inherited: &Inherited,
        routes: &mut Routes<'_>,
    ) {
        let Some(table) = self.table(node, path.as_str()) else {
            return;
        };
        let index = routes.list.len();
        let mut groups = inherited.groups.clone();
        let mut route = Route {
            position: node.position,
            name: None,
            parent: inherited.parent,
            end: index + 1,
            matcher: Matcher::default(),
            receivers: inherited.receivers.clone(),
            continue_matching: false,
            extract: Vec::new(),
            group: GroupSettings::default(),
            mute_intervals: Vec::new(),
            active_intervals: Vec::new(),
            group_key: Arc::default(),
        };
        self.route(table, path, &mut route, &mut groups, routes);
        let has_none = match table.get("receivers") {
            Some(names) => names.one_or_several().is_empty(),
            None => inherited.parent.is_none(),
        };
        if has_none {
            let message = "names no receiver; give receivers = [\"NAME\"]";
            self.report.error(node.position, path.as_str(), message);
        }
        route.group = groups.settings();
        let receivers = route.receivers.clone();
        routes.list.push(route);
        if let Some(children) = table.get("routes") {
            let inherited = Inherited {
                parent: Some(index),
                depth: inherited.depth + 1,
                receivers,
                groups,
            };
            self.siblings(children, &path.key("routes"), &inherited, routes);
            let end = routes.list.len();
            if let Some(route) = routes.list.get_mut(index) {
                route.end = end;
            }
        }
    }

    /// Reads the keys of a route, except its children.
    fn route(
        &mut self,
        table: &Table,
        path: &Path,
        route: &mut Route,
        groups: &mut GroupKeys,
        routes: &mut Routes<'_>,
    ) {
        for member in table.iter() {
            let (node, path) = (&member.node, path.key(&member.key));
            match (member.key.as_str(), &node.value) {
                ("name", _) => route.name = self.route_name(node, &path, &mut routes.names),
                ("match", _) => route.matcher = self.matcher(node, &path),
                ("receivers", _) => {
                    route.receivers = self.receiver_names(node, &path, routes.receivers);
                }
                ("extract", _) => route.extract = self.extractions(node, &path),
                ("continue", Value::Boolean(value)) => route.continue_matching = *value,
                ("continue", _) => self.mismatch(node, &path, "true or false"),
                (GROUP_BY | GROUP_WAIT | GROUP_INTERVAL | RESOLVE_TIMEOUT | REMIND_EVERY, _) => {
                    self.group_key(member, &path, groups);
                }
                (MUTE_TIME_INTERVALS, _) => {
                    route.mute_intervals = self.interval_names(node, &path, routes.intervals);
                }
                (ACTIVE_TIME_INTERVALS, _) => {
                    route.active_intervals = self.interval_names(node, &path, routes.intervals);
                }
                (REPEAT_INTERVAL, _) => {
                    let message = "a route repeats nothing; set remind_every for reminders of what still fires";
                    self.report.error(member.position, path.as_str(), message);
                }
                // The loader reads the children after the route.
                ("routes", _) => {}
                _ => self.unknown_key(member, &path, ROUTE_KEYS),
            }
        }
    }

    /// Reads the route's name. Refuses the name of another route.
    fn route_name(
        &mut self,
        node: &Node,
        path: &Path,
        names: &mut HashMap<String, FilePosition>,
    ) -> Option<String> {
        let name = self.text(node, path, "a name")?;
        let message = match names.get(&name) {
            _ if name.trim().is_empty() => "the name is blank".to_owned(),
            _ if name.len() > MAX_KEY_BYTES => {
                format!("the name is longer than {MAX_KEY_BYTES} bytes")
            }
            Some(other) => format!("the route in line {} has the same name", other.line),
            None => {
                names.insert(name.clone(), node.position);
                return Some(name);
            }
        };
        self.report.error(node.position, path.as_str(), &message);
        None
    }

    /// Reads names of receivers and returns their indexes.
    pub fn receiver_names(
        &mut self,
        node: &Node,
        path: &Path,
        receivers: &HashMap<String, usize>,
    ) -> Vec<usize> {
        let mut indices = Vec::new();
        for node in node.one_or_several() {
            let Some(name) = node.as_str() else {
                self.mismatch(node, path, "a list of receivers' names");
                continue;
            };
            match receivers.get(name) {
                Some(index) if !indices.contains(index) => indices.push(*index),
                Some(_) => {}
                None => {
                    let meant = did_you_mean(name, receivers.keys().map(String::as_str));
                    let message = format!("there is no such receiver{meant}");
                    self.report.error(node.position, path.as_str(), &message);
                }
            }
        }
        indices
    }
}

/// Assigns each route the key of its groups. The key contains no index: a new route earlier in the file would change
/// it.
fn set_group_keys(routes: &mut [Route], mut counts: HashMap<String, usize>) {
    for index in 0..routes.len() {
        let Some(route) = routes.get(index) else {
            continue;
        };
        let key = match &route.name {
            Some(name) => name.clone(),
            None => {
                let parent = route.parent.and_then(|parent| routes.get(parent));
                let parent = parent.map_or("", |parent| &parent.group_key);
                unique(path_key(parent, &route.matcher), &mut counts)
            }
        };
        if let Some(route) = routes.get_mut(index) {
            route.group_key = key.into();
        }
    }
}

/// Returns a key from the parent's key and the route's matcher.
fn path_key(parent: &str, matcher: &Matcher) -> String {
    let key = format!("{parent}{{{matcher}}}");
    match key.len() > MAX_KEY_BYTES {
        true => format!("{{{}}}", digest(&key)),
        false => key,
    }
}

/// Returns a unique key. The second of two equal keys gets the number 2.
fn unique(key: String, counts: &mut HashMap<String, usize>) -> String {
    loop {
        let count = counts.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            return key;
        }
        let numbered = format!("{key}#{count}");
        // Another route may already have the numbered name.
        if !counts.contains_key(&numbered) {
            counts.insert(numbered.clone(), 1);
            return numbered;
        }
    }
}
