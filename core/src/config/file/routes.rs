//! `[[routes]]`: a tree, in the order of the file.

use std::collections::HashMap;
use std::sync::Arc;

use super::Loader;
use super::state_keys::{GROUP_BY, GROUP_INTERVAL, GROUP_WAIT, GroupKeys, RESOLVE_TIMEOUT};
use super::tree::{Node, Table, Value};
use crate::config::alerts::GroupSettings;
use crate::config::matcher::Matcher;
use crate::json::Path;
use crate::model::extract::Extraction;
use crate::model::problem::FilePosition;
use crate::secret::digest;
use crate::text::did_you_mean;

/// Who gets a notification that names nobody. All routes of a file are one list; children stand behind their parent.
#[derive(Debug)]
pub struct Route {
    /// In the file.
    pub place: FilePosition,
    pub name: Option<String>,
    /// The parent's place in the list.
    pub parent: Option<usize>,
    /// The place behind the last descendant.
    pub end: usize,
    pub matcher: Matcher,
    /// Places of the file's receivers; the parent's where it names none.
    pub receivers: Vec<usize>,
    /// Whether the siblings after it are asked as well.
    pub continue_matching: bool,
    /// What makes fields of the text where it matches.
    pub extract: Vec<Extraction>,
    pub group: GroupSettings,
    /// Names the route in the keys of its groups: its name, else the matchers of its path. An edit elsewhere in the file keeps it.
    pub group_key: Arc<str>,
}

impl Route {
    /// Whether no notification gets past it.
    pub const fn is_last(&self) -> bool {
        self.matcher.is_for_all() && !self.continue_matching
    }
}

const REPEAT_INTERVAL: &str = "repeat_interval";
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
];
/// Deeper trees are refused.
pub const MAX_DEPTH: usize = 16;
/// A group's key with longer matchers has their digest.
const MAX_KEY_BYTES: usize = 512;

/// The routes that have been read.
struct Routes<'a> {
    receivers: &'a HashMap<String, usize>,
    list: Vec<Route>,
    names: HashMap<String, FilePosition>,
}

/// What a route has from its parent.
#[derive(Clone, Default)]
struct Inherited {
    parent: Option<usize>,
    depth: usize,
    receivers: Vec<usize>,
    groups: GroupKeys,
}

impl Loader<'_> {
    pub fn routes(&mut self, node: &Node, receivers: &HashMap<String, usize>) -> Vec<Route> {
        let mut routes = Routes {
            receivers,
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

    /// Reads the routes of one level, each with its children behind it.
    fn siblings(
        &mut self,
        node: &Node,
        path: &Path,
        inherited: &Inherited,
        routes: &mut Routes<'_>,
    ) {
        if inherited.depth == MAX_DEPTH {
            let message = format!("routes stand in each other more than {MAX_DEPTH} deep");
            self.report.error(node.place, path.as_str(), &message);
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
                self.report.warning(node.place, path.as_str(), &message);
                is_told = true;
            }
            let place = routes.list.len();
            self.route_with_children(node, &path, inherited, routes);
            let route = routes.list.get(place).filter(|route| route.is_last());
            last = last.or(route.map(|route| route.place));
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
        let place = routes.list.len();
        let mut groups = inherited.groups.clone();
        let mut route = Route {
            place: node.place,
            name: None,
            parent: inherited.parent,
            end: place + 1,
            matcher: Matcher::default(),
            receivers: inherited.receivers.clone(),
            continue_matching: false,
            extract: Vec::new(),
            group: GroupSettings::default(),
            group_key: Arc::default(),
        };
        self.route(table, path, &mut route, &mut groups, routes);
        let has_none = match table.get("receivers") {
            Some(names) => names.one_or_several().is_empty(),
            None => inherited.parent.is_none(),
        };
        if has_none {
            let message = "names no receiver; give receivers = [\"NAME\"]";
            self.report.error(node.place, path.as_str(), message);
        }
        route.group = groups.settings();
        let receivers = route.receivers.clone();
        routes.list.push(route);
        if let Some(children) = table.get("routes") {
            let inherited = Inherited {
                parent: Some(place),
                depth: inherited.depth + 1,
                receivers,
                groups,
            };
            self.siblings(children, &path.key("routes"), &inherited, routes);
            let end = routes.list.len();
            if let Some(route) = routes.list.get_mut(place) {
                route.end = end;
            }
        }
    }

    /// Reads the keys of a route but its children.
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
                (GROUP_BY | GROUP_WAIT | GROUP_INTERVAL | RESOLVE_TIMEOUT, _) => {
                    self.group_key(member, &path, groups);
                }
                (REPEAT_INTERVAL, _) => {
                    let message = "a route repeats nothing: reminders will be set by remind_every, which is not available yet";
                    self.report.error(member.place, path.as_str(), message);
                }
                // Read when the route is.
                ("routes", _) => {}
                _ => self.unknown_key(member, &path, ROUTE_KEYS),
            }
        }
    }

    /// A name that no other route has.
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
                names.insert(name.clone(), node.place);
                return Some(name);
            }
        };
        self.report.error(node.place, path.as_str(), &message);
        None
    }

    /// Names of the file's receivers as their places.
    pub fn receiver_names(
        &mut self,
        node: &Node,
        path: &Path,
        receivers: &HashMap<String, usize>,
    ) -> Vec<usize> {
        let mut places = Vec::new();
        for node in node.one_or_several() {
            let Some(name) = node.as_str() else {
                self.mismatch(node, path, "a list of receivers' names");
                continue;
            };
            match receivers.get(name) {
                Some(place) if !places.contains(place) => places.push(*place),
                Some(_) => {}
                None => {
                    let meant = did_you_mean(name, receivers.keys().map(String::as_str));
                    let message = format!("there is no such receiver{meant}");
                    self.report.error(node.place, path.as_str(), &message);
                }
            }
        }
        places
    }
}

/// Gives each route the key of its groups. Never by a place in the file: a route before it would change it.
fn set_group_keys(routes: &mut [Route], mut taken: HashMap<String, usize>) {
    for place in 0..routes.len() {
        let Some(route) = routes.get(place) else {
            continue;
        };
        let key = match &route.name {
            Some(name) => name.clone(),
            None => {
                let parent = route.parent.and_then(|parent| routes.get(parent));
                let parent = parent.map_or("", |parent| &parent.group_key);
                unique(path_key(parent, &route.matcher), &mut taken)
            }
        };
        if let Some(route) = routes.get_mut(place) {
            route.group_key = key.into();
        }
    }
}

/// The parent's key and the route's matcher.
fn path_key(parent: &str, matcher: &Matcher) -> String {
    let key = format!("{parent}{{{matcher}}}");
    match key.len() > MAX_KEY_BYTES {
        true => format!("{{{}}}", digest(&key)),
        false => key,
    }
}

/// Of equal keys the second is numbered 2.
fn unique(key: String, taken: &mut HashMap<String, usize>) -> String {
    loop {
        let count = taken.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            return key;
        }
        let numbered = format!("{key}#{count}");
        // Another route may be called so.
        if !taken.contains_key(&numbered) {
            taken.insert(numbered.clone(), 1);
            return numbered;
        }
    }
}
