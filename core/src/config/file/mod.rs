//! Reads the TOML file: receivers, routes, templates, silences, and settings that replace the trigger's arguments.
//!
//! The loader checks the whole file and reports every problem with line and column. The plugin does not use a file with
//! an error.

mod alerts;
mod destination;
mod extract;
mod inhibitions;
mod matchers;
mod receivers;
mod routes;
pub mod secrets;
mod settings;
mod silences;
mod state_keys;
mod templates;
#[cfg(test)]
mod tests;
mod time_intervals;
pub(super) mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path as FilePath;
use std::sync::Arc;

use regex::Regex;

pub use self::destination::{FileDestination, RenderedParameter};
pub use self::receivers::Receiver;
pub use self::routes::Route;
use self::secrets::{Files, SecretText, Sources};
use self::state_keys::{GroupKeys, INHIBITIONS, StateKeys, TIME_INTERVALS};
pub use self::templates::Checked;
use self::tree::{Node, Table, TableEntry, Value};
use super::alerts::AlertSettings;
use super::big_stack;
use super::inhibition::Inhibition;
use super::matcher::Matcher;
use super::outbox::OutboxConfig;
use super::report::ProblemReport;
use super::silence::Silence;
use super::template::{Template, Templates};
use super::time_interval::TimeInterval;
use crate::channels::OperatorSettings;
use crate::json::Path;
use crate::model::level::LevelMap;
use crate::model::problem::FilePosition;
use crate::model::read_options::ReadOptions;
use crate::secret::{Secret, digest};
use crate::text::nearest;

/// The plugin refuses larger files.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// The content of a configuration file.
#[derive(Debug, Default)]
pub struct Config {
    /// Settings that replace the trigger's arguments, by the arguments' names.
    pub arguments: BTreeMap<String, Secret>,
    pub receivers: Vec<Receiver>,
    pub by_name: HashMap<String, usize>,
    pub routes: Vec<Route>,
    /// The indexes of routes, by the keys of their groups.
    pub routes_by_key: HashMap<Arc<str>, usize>,
    /// `None`: the file does not set them.
    pub default_receivers: Option<Vec<usize>>,
    pub templates: Templates,
    /// The templates of `[templates]`, in the order of the file.
    pub named_templates: Vec<(String, Template)>,
    pub silences: Vec<Silence>,
    pub time_intervals: Vec<TimeInterval>,
    pub inhibitions: Arc<[Inhibition]>,
    /// The number of regular expressions in routes and silences.
    pub regexes: usize,
    pub read_options: ReadOptions,
    /// A row that does not match becomes no notification.
    pub row_filter: Matcher,
    pub outbox: OutboxConfig,
    pub alerts: AlertSettings,
    /// A digest of the file's text. A file with another text has another scope.
    pub digest: String,
}

impl Config {
    /// Returns a template of `[templates]`.
    pub fn template(&self, name: &str) -> Option<&Template> {
        let mut named = self.named_templates.iter();
        named
            .find(|(known, _)| known == name)
            .map(|(_, template)| template)
    }

    /// Returns the name in `[templates]` of an equal template.
    pub fn name_of(&self, template: &Template) -> Option<&str> {
        let mut named = self.named_templates.iter();
        named
            .find(|(_, known)| known.id() == template.id())
            .map(|(name, _)| name.as_str())
    }
}

/// The result of reading a file: its configuration, or the errors that make it unusable.
pub struct Loaded {
    pub config: Result<Config, ProblemReport>,
    /// The warnings of a usable file.
    pub warnings: ProblemReport,
    /// The files that this file depends on. A change of one counts as a change of this file.
    pub files: Files,
    /// Whether one of these files did not respond in time.
    pub no_answer: bool,
    /// Every template, including templates of parameters and of an unusable file.
    pub templates: Vec<Checked>,
}

/// Returns the names of the environment variables that a file refers to.
pub fn variables(bytes: &[u8]) -> BTreeSet<String> {
    let read = || {
        let mut report = ProblemReport::default();
        let table = tree::parse(tree::decode(bytes, &mut report)?, &mut report)?;
        Some(secrets::variables(&table))
    };
    big_stack::run(read).ok().flatten().unwrap_or_default()
}

/// Reads a file's bytes. With `look_up`, reads the secrets, and a missing secret is an error.
pub fn load(
    bytes: &[u8],
    directory: &FilePath,
    environment: &BTreeMap<String, Option<Secret>>,
    operator: OperatorSettings,
    look_up: bool,
) -> Loaded {
    let load = || {
        let mut report = ProblemReport::default();
        match tree::decode(bytes, &mut report) {
            Some(text) => Loader::new(text, directory, environment, operator, look_up).load(),
            None => Loaded::unusable(report),
        }
    };
    big_stack::run(load).unwrap_or_else(|big_stack::Unavailable| {
        let mut report = ProblemReport::default();
        report.error(
            FilePosition::default(),
            "",
            "it cannot be read on this machine now",
        );
        Loaded::unusable(report)
    })
}

impl Loaded {
    fn unusable(report: ProblemReport) -> Self {
        Self {
            config: Err(report),
            warnings: ProblemReport::default(),
            files: Files::default(),
            no_answer: false,
            templates: Vec::new(),
        }
    }
}

/// Reads a file and collects all problems.
struct Loader<'a> {
    text: &'a str,
    report: ProblemReport,
    sources: Sources<'a>,
    operator: OperatorSettings,
    templates: Templates,
    named_templates: Vec<(String, Template)>,
    checked: Vec<Checked>,
    regexes: HashMap<String, Option<Regex>>,
    /// The levels of `level_map`, which matchers also use.
    levels: LevelMap,
    state: StateKeys,
    /// The group settings of `[settings]`, which all routes inherit.
    groups: GroupKeys,
}

/// The file's tables.
const SECTIONS: &[&str] = &[
    "settings",
    "receivers",
    "routes",
    "templates",
    "silences",
    TIME_INTERVALS,
    INHIBITIONS,
];

impl<'a> Loader<'a> {
    fn new(
        text: &'a str,
        directory: &'a FilePath,
        environment: &'a BTreeMap<String, Option<Secret>>,
        mut operator: OperatorSettings,
        look_up: bool,
    ) -> Self {
        if !look_up {
            // Without lookup, the loader assumes that Twilio's credentials are present.
            let placeholder = || Some(Secret::new("AC"));
            operator.twilio_sid = operator.twilio_sid.or_else(placeholder);
            operator.twilio_token = operator.twilio_token.or_else(placeholder);
        }
        Self {
            text,
            report: ProblemReport::default(),
            sources: Sources::new(directory, environment, look_up),
            operator,
            templates: Templates::default(),
            named_templates: Vec::new(),
            checked: Vec::new(),
            regexes: HashMap::new(),
            levels: LevelMap::default(),
            state: StateKeys::default(),
            groups: GroupKeys::default(),
        }
    }

    fn load(mut self) -> Loaded {
        if self.text.trim().is_empty() {
            // A full disk leaves empty files behind.
            let start = FilePosition { line: 1, column: 1 };
            self.report.error(start, "", "the file is empty");
        }
        let table = tree::parse(self.text, &mut self.report);
        let mut config = table.map(|table| self.config(&table)).unwrap_or_default();
        config.digest = digest(self.text);
        config.templates = self.templates;
        config.named_templates = self.named_templates;
        config.read_options.levels = self.levels;
        let no_answer = self.sources.no_answer;
        let (files, mut report) = (self.sources.files, self.report);
        report.name_sources(&self.sources.origins);
        report.sort();
        let (config, warnings) = match report.errors.is_empty() {
            true => (Ok(config), report),
            false => (Err(report), ProblemReport::default()),
        };
        Loaded {
            config,
            warnings,
            files,
            no_answer,
            templates: self.checked,
        }
    }
}

impl Loader<'_> {
    fn config(&mut self, table: &Table) -> Config {
        self.known_keys(table, &Path::root(), SECTIONS);
        let mut config = Config::default();
        // Settings come first: they may set Twilio's address, and they define names that receivers use.
        if let Some(node) = table.get("settings") {
            self.settings(node, &mut config);
        }
        if let Some(node) = table.get("templates") {
            self.templates(node);
        }
        if let Some(node) = table.get("receivers") {
            config.receivers = self.receivers(node);
        }
        let names = config.receivers.iter().enumerate();
        config.by_name = names
            .map(|(index, receiver)| (receiver.name.clone(), index))
            .collect();
        if let Some(node) = table.get(TIME_INTERVALS) {
            config.time_intervals = self.time_intervals(node);
        }
        if let Some(node) = table.get("routes") {
            config.routes = self.routes(node, &config);
        }
        let routes = config.routes.iter().enumerate();
        config.routes_by_key = routes
            .map(|(place, route)| (Arc::clone(&route.group_key), place))
            .collect();
        if let Some(node) = table.get("silences") {
            config.silences = self.silences(node);
        }
        if let Some(node) = table.get(INHIBITIONS) {
            config.inhibitions = self.inhibitions(node).into();
        }
        let routes = config.routes.iter();
        let routes = routes.map(|route| route.matcher.regexes() + route.extract.len());
        let silences = config.silences.iter();
        let silences = silences.map(|silence| silence.matcher.regexes());
        let sides = config.inhibitions.iter();
        let sides = sides.map(|rule| rule.source.regexes() + rule.target.regexes());
        config.regexes = routes.chain(silences).chain(sides).sum();
        if let Some(node) = table.get("settings") {
            self.default_receivers(node, &mut config);
        }
        self.finish_state(&mut config);
        config
    }

    fn known_keys(&mut self, table: &Table, path: &Path, known: &[&str]) {
        for member in table
            .iter()
            .filter(|member| !known.contains(&member.key.as_str()))
        {
            self.unknown_key(member, &path.key(&member.key), known);
        }
    }

    fn unknown_key(&mut self, member: &TableEntry, path: &Path, known: &[&str]) {
        let message = match nearest(&member.key, known.iter().copied()) {
            Some(meant) => format!("unknown key; did you mean {meant}?"),
            None => format!("unknown key; there are {}", known.join(", ")),
        };
        self.report.error(member.position, path.as_str(), &message);
    }

    /// Reads a string or a secret form. Returns `None` for another type, or for a secret that is unavailable; reports
    /// both.
    fn text_or_secret(&mut self, node: &Node, path: &Path, expected: &str) -> Option<SecretText> {
        let text = self.sources.text(node);
        self.warn_of_left_out(node, path);
        match text {
            Some(Ok(text)) => Some(text),
            Some(Err(message)) => {
                self.report.error(node.position, path.as_str(), &message);
                None
            }
            None => self.wrong_type(node, path, expected),
        }
    }

    /// Reads a PEM file. Returns `None` without lookup, or for an unreadable file, which it reports.
    fn pem(&mut self, node: &Node, path: &Path) -> Option<Vec<u8>> {
        let Some(name) = node.as_str() else {
            return self.wrong_type(node, path, "the path of a file");
        };
        let pem = self.sources.pem(name, node.position);
        self.warn_of_left_out(node, path);
        pem.unwrap_or_else(|message| {
            self.report.error(node.position, path.as_str(), &message);
            None
        })
    }

    /// Warns of characters that were removed from an external value.
    fn warn_of_left_out(&mut self, node: &Node, path: &Path) {
        for warning in self.sources.take_warnings() {
            self.report.warning(node.position, path.as_str(), &warning);
        }
    }

    fn table<'t>(&mut self, node: &'t Node, path: &str) -> Option<&'t Table> {
        let table = node.as_table();
        if table.is_none() {
            let message = format!("must be a table, found {}", node.kind());
            self.report.error(node.position, path, &message);
        }
        table
    }

    /// Returns the elements of `[[name]]` with their paths.
    fn tables<'t>(&mut self, node: &'t Node, path: &Path) -> Vec<(&'t Node, Path)> {
        let Value::Array(nodes) = &node.value else {
            // Name the section as the user writes it, without the indexes of its parents.
            let name = match path.as_str() {
                name if name.contains('[') => "routes.routes",
                name => name,
            };
            let message = format!("must be written [[{name}]], found {}", node.kind());
            self.report.error(node.position, path.as_str(), &message);
            return Vec::new();
        };
        let each = nodes.iter().enumerate();
        each.map(|(index, node)| (node, path.index(index)))
            .collect()
    }

    /// Reports a value of the wrong type and returns `None`.
    fn wrong_type<T>(&mut self, node: &Node, path: &Path, expected: &str) -> Option<T> {
        self.mismatch(node, path, expected);
        None
    }

    fn mismatch(&mut self, node: &Node, path: &Path, expected: &str) {
        let message = format!("must be {expected}, found {}", node.kind());
        self.report.error(node.position, path.as_str(), &message);
    }
}
