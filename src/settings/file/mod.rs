//! The TOML file: receivers, routes, templates, silences, and settings in place of the trigger's arguments.
//!
//! It is checked as a whole: every problem is found, each with line and column, and a file with an error is not used.

pub mod problem;
mod receivers;
mod rules;
pub mod secrets;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use regex::Regex;

use self::problem::{Place, Report};
pub use self::receivers::{FileDestination, Receiver, Rendered};
pub use self::rules::Route;
use self::secrets::Sources;
use self::tree::{Node, Table, Value};
use super::arguments::{self, Argument};
use super::silence::Silence;
use super::template::Templates;
use crate::channels::{self, Operator};
use crate::model::json::Path;
use crate::model::secret::{Secret, digest};
use crate::model::text::nearest;
use crate::outbox::{MIN_KEY_BYTES, Seal};

/// Files beyond this are refused.
pub const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// What a file says.
#[derive(Debug, Default)]
pub struct Config {
    /// In place of the trigger's arguments, by their names.
    pub arguments: BTreeMap<String, Secret>,
    pub receivers: Vec<Receiver>,
    pub by_name: HashMap<String, usize>,
    pub routes: Vec<Route>,
    /// None: the file does not say.
    pub default_receivers: Option<Vec<usize>>,
    pub templates: Templates,
    pub silences: Vec<Silence>,
    /// Seals the destinations that requests bring, where they are kept.
    pub outbox_key: Option<Arc<Seal>>,
    /// Of the text: what is settled by another text is another scope.
    pub digest: String,
}

/// A file that was read: what it says, or why it cannot be used.
pub struct Loaded {
    pub config: Result<Config, Report>,
    /// Warnings of a file that can be used.
    pub warnings: Report,
    /// Whose change is a change of the file.
    pub files: BTreeSet<PathBuf>,
}

/// Reads the names of the environment's variables that a text refers to.
pub fn variables(text: &str) -> BTreeSet<String> {
    let table = tree::parse(text, &mut Report::default());
    table
        .map(|table| secrets::variables(&table))
        .unwrap_or_default()
}

/// Reads a file's text. With `look_up` secrets are looked up, and their absence is an error.
pub fn load(
    text: &str,
    directory: &FilePath,
    environment: &BTreeMap<String, Option<Secret>>,
    operator: Operator,
    look_up: bool,
) -> Loaded {
    let mut loader = Loader {
        report: Report::default(),
        sources: Sources::new(directory, environment, look_up),
        operator,
        templates: Templates::default(),
        named_templates: Vec::new(),
        regexes: HashMap::new(),
    };
    let table = tree::parse(text, &mut loader.report);
    let mut config = table.map(|table| loader.config(&table)).unwrap_or_default();
    config.digest = digest(text);
    config.templates = loader.templates;
    let files = loader.sources.files;
    let mut report = loader.report;
    report.sort();
    if report.errors.is_empty() {
        Loaded {
            config: Ok(config),
            warnings: report,
            files,
        }
    } else {
        Loaded {
            config: Err(report),
            warnings: Report::default(),
            files,
        }
    }
}

/// Goes through a file, and notes all that is wrong.
struct Loader<'a> {
    report: Report,
    sources: Sources<'a>,
    operator: Operator,
    templates: Templates,
    /// Templates that receivers name, and where: they may stand further down.
    named_templates: Vec<(String, Place, String)>,
    regexes: HashMap<String, Option<Regex>>,
}

const DEFAULT_RECEIVERS: &str = "default_receivers";
const OUTBOX_KEY: &str = "outbox_key";

/// The file's tables.
const SECTIONS: &[&str] = &["settings", "receivers", "routes", "templates", "silences"];

impl Loader<'_> {
    fn config(&mut self, table: &Table) -> Config {
        self.known_keys(table, &Path::root(), SECTIONS);
        let mut config = Config::default();
        // First: where Twilio is may be set here.
        if let Some(node) = table.get("settings") {
            self.settings(node, &mut config);
        }
        if let Some(node) = table.get("receivers") {
            config.receivers = self.receivers(node);
        }
        let names = config.receivers.iter().enumerate();
        config.by_name = names
            .map(|(place, receiver)| (receiver.name.clone(), place))
            .collect();
        if let Some(node) = table.get("routes") {
            config.routes = self.routes(node, &config.by_name);
        }
        if let Some(node) = table.get("templates") {
            self.templates(node);
        }
        if let Some(node) = table.get("silences") {
            config.silences = self.silences(node);
        }
        if let Some(node) = table
            .get("settings")
            .and_then(|settings| settings.as_table()?.get(DEFAULT_RECEIVERS))
        {
            let path = Path::root().key("settings").key(DEFAULT_RECEIVERS);
            config.default_receivers = Some(self.receiver_names(node, &path, &config.by_name));
        }
        self.check_template_names();
        config
    }

    /// Arguments in TOML's own types.
    fn settings(&mut self, node: &Node, config: &mut Config) {
        let Some(table) = self.table(node, "settings") else {
            return;
        };
        for member in table.iter() {
            let path = Path::root().key("settings").key(&member.key);
            if member.key == OUTBOX_KEY {
                config.outbox_key = self.outbox_key(&member.node, &path);
                continue;
            }
            let Some(argument) =
                arguments::find(&member.key).filter(|argument| argument.name != "config_file_path")
            else {
                let known = arguments::ARGUMENTS.iter().map(|argument| argument.name);
                let known = known.chain([OUTBOX_KEY]);
                let what = match nearest(
                    &member.key,
                    known.filter(|name| *name != "config_file_path"),
                ) {
                    Some(meant) => format!("there is no such setting; did you mean {meant}?"),
                    None => "there is no such setting".to_owned(),
                };
                self.report.error(member.place, path.as_str(), &what);
                continue;
            };
            // Read when the receivers are known.
            if argument.name == DEFAULT_RECEIVERS {
                continue;
            }
            let Some(value) = self.setting(argument, &member.node, &path) else {
                continue;
            };
            if argument.name == "twilio_base_url" {
                self.operator.twilio_base_url = channels::parse_url(&value).ok();
            }
            config
                .arguments
                .insert(argument.name.to_owned(), Secret::new(value));
        }
    }

    fn outbox_key(&mut self, node: &Node, path: &Path) -> Option<Arc<Seal>> {
        // A key in the file itself would lie where its copies do.
        let text = match &node.value {
            Value::Table(_) => self.sources.text(node),
            _ => None,
        };
        match text {
            Some(Ok(secrets::Text::Known(text))) => {
                let seal = Seal::new(&Secret::new(text));
                if seal.is_none() {
                    let what = format!(
                        "the key is shorter than {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32"
                    );
                    self.report.error(node.place, path.as_str(), &what);
                }
                seal.map(Arc::new)
            }
            Some(Ok(secrets::Text::Unknown)) => None,
            Some(Err(what)) => {
                self.report.error(node.place, path.as_str(), &what);
                None
            }
            None => self.wrong_type(node, path, "{ env = \"NAME\" } or { file = \"PATH\" }"),
        }
    }

    /// A setting as the argument that it stands for.
    fn setting(&mut self, argument: &'static Argument, node: &Node, path: &Path) -> Option<String> {
        let text = match &node.value {
            Value::Array(nodes) => {
                let words: Option<Vec<_>> = nodes.iter().map(Node::scalar).collect();
                words.map(|words| words.join(" "))
            }
            Value::Table(_) => match self.sources.text(node) {
                Some(Ok(secrets::Text::Known(text))) => Some(text),
                Some(Ok(secrets::Text::Unknown)) => return None,
                Some(Err(what)) => {
                    self.report.error(node.place, path.as_str(), &what);
                    return None;
                }
                None => None,
            },
            _ => node.scalar(),
        };
        let Some(text) = text else {
            return self.wrong_type(
                node,
                path,
                "a string, a number, a boolean or a list of strings",
            );
        };
        if let Err(what) = argument.expects(text.trim()) {
            self.report
                .error(node.place, path.as_str(), &format!("must be {what}"));
            return None;
        }
        Some(text)
    }

    fn templates(&mut self, node: &Node) {
        let Some(table) = self.table(node, "templates") else {
            return;
        };
        for member in table.iter() {
            let path = Path::root().key("templates").key(&member.key);
            let Some(template) = self.table(&member.node, path.as_str()) else {
                continue;
            };
            self.known_keys(template, &path, &["text"]);
            match template.get("text") {
                Some(Node {
                    value: Value::String(source),
                    place,
                }) => {
                    self.add_template(&member.key, source, *place, path.key("text").as_str());
                }
                Some(other) => {
                    self.mismatch(other, &path.key("text"), "a template, as a string");
                }
                None => self.report.error(
                    member.place,
                    path.as_str(),
                    "it has no text; give text = \"{{ notification.text }}\"",
                ),
            }
        }
    }

    /// Takes a template. Its own line and column stand in what is said, the file's before it.
    fn add_template(&mut self, name: &str, source: &str, place: Place, path: &str) {
        if let Err(error) = self.templates.add(name, source) {
            self.report.error(place, path, &error.to_string());
        }
    }

    fn check_template_names(&mut self) {
        for (name, place, path) in std::mem::take(&mut self.named_templates) {
            if !self.templates.contains(&name) {
                self.report
                    .error(place, &path, "there is no such template in [templates]");
            }
        }
    }

    fn known_keys(&mut self, table: &Table, path: &Path, known: &[&str]) {
        for member in table
            .iter()
            .filter(|member| !known.contains(&member.key.as_str()))
        {
            let what = match nearest(&member.key, known.iter().copied()) {
                Some(meant) => format!("unknown key; did you mean {meant}?"),
                None => format!("unknown key; there are {}", known.join(", ")),
            };
            self.report
                .error(member.place, path.key(&member.key).as_str(), &what);
        }
    }

    fn table<'t>(&mut self, node: &'t Node, path: &str) -> Option<&'t Table> {
        let table = node.as_table();
        if table.is_none() {
            let what = format!("must be a table, found {}", node.kind());
            self.report.error(node.place, path, &what);
        }
        table
    }

    /// The elements of `[[name]]`, with their paths.
    fn tables<'t>(&mut self, node: &'t Node, name: &str) -> Vec<(&'t Node, Path)> {
        let Value::Array(nodes) = &node.value else {
            let what = format!("must be written [[{name}]], found {}", node.kind());
            self.report.error(node.place, name, &what);
            return Vec::new();
        };
        let root = Path::root().key(name);
        let each = nodes.iter().enumerate();
        each.map(|(index, node)| (node, root.index(index)))
            .collect()
    }
}
