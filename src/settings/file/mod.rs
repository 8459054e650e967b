//! The TOML file: receivers, routes, templates, silences, and settings in place of the trigger's arguments.
//!
//! It is checked as a whole: every problem is found, each with line and column, and a file with an error is not used.

mod receivers;
mod rules;
pub mod secrets;
#[cfg(test)]
mod tests;
pub(super) mod tree;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path as FilePath;
use std::sync::Arc;

use regex::Regex;

pub use self::receivers::{FileDestination, Receiver, Rendered};
pub use self::rules::Route;
use self::secrets::{Files, Sources};
use self::tree::{Member, Node, Table, Value};
use super::arguments::{self, Argument};
use super::deep_stack;
use super::matcher::Matcher;
use super::outbox::OutboxConfig;
use super::problem::{Place, Report};
use super::silence::Silence;
use super::template::{Template, Templates};
use super::written::Written;
use crate::channels::{self, Operator};
use crate::model::json::Path;
use crate::model::policy::TlsFiles;
use crate::model::secret::{Secret, digest};
use crate::model::text::nearest;
use crate::outbox::{MIN_KEY_BYTES, Seal};
use crate::transport;

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
    /// Those of `[templates]`, in the order of the file.
    pub named_templates: Vec<(String, Template)>,
    pub silences: Vec<Silence>,
    /// Rows of tables that do not fit become no notifications.
    pub row_filter: Matcher,
    pub outbox: OutboxConfig,
    /// Of the text: what is settled by another text is another scope.
    pub digest: String,
}

impl Config {
    /// A template of `[templates]`.
    pub fn template(&self, name: &str) -> Option<&Template> {
        let mut named = self.named_templates.iter();
        named
            .find(|(known, _)| known == name)
            .map(|(_, template)| template)
    }

    /// The name in `[templates]` of what a template says.
    pub fn name_of(&self, template: &Template) -> Option<&str> {
        let mut named = self.named_templates.iter();
        named
            .find(|(_, known)| known.id() == template.id())
            .map(|(name, _)| name.as_str())
    }
}

/// A file that was read: what it says, or why it cannot be used.
pub struct Loaded {
    pub config: Result<Config, Report>,
    /// Warnings of a file that can be used.
    pub warnings: Report,
    /// Whose change is a change of the file.
    pub files: Files,
    /// Every template, also those of parameters, and of a file that cannot be used.
    pub templates: Vec<Checked>,
}

/// A template, and what there is to say of it.
#[derive(Debug)]
pub struct Checked {
    /// `templates.short.text`
    pub path: String,
    pub place: Place,
    pub report: Report,
    /// None where it cannot be used.
    pub template: Option<Template>,
}

/// Reads the names of the environment's variables that a file's bytes refer to.
pub fn variables(bytes: &[u8]) -> BTreeSet<String> {
    let read = || {
        let mut report = Report::default();
        let table = tree::parse(tree::decode(bytes, &mut report)?, &mut report)?;
        Some(secrets::variables(&table))
    };
    deep_stack::once(read).ok().flatten().unwrap_or_default()
}

/// Reads a file's bytes. With `look_up` secrets are looked up, and their absence is an error.
pub fn load(
    bytes: &[u8],
    directory: &FilePath,
    environment: &BTreeMap<String, Option<Secret>>,
    operator: Operator,
    look_up: bool,
) -> Loaded {
    let load = || {
        let mut report = Report::default();
        match tree::decode(bytes, &mut report) {
            Some(text) => Loader::new(text, directory, environment, operator, look_up).load(),
            None => Loaded::unusable(report),
        }
    };
    deep_stack::once(load).unwrap_or_else(|deep_stack::NotDone| {
        let mut report = Report::default();
        report.error(
            Place::default(),
            "",
            "it cannot be read on this machine now",
        );
        Loaded::unusable(report)
    })
}

impl Loaded {
    fn unusable(report: Report) -> Self {
        Self {
            config: Err(report),
            warnings: Report::default(),
            files: Files::default(),
            templates: Vec::new(),
        }
    }
}

/// Goes through a file, and notes all that is wrong.
struct Loader<'a> {
    text: &'a str,
    report: Report,
    sources: Sources<'a>,
    operator: Operator,
    templates: Templates,
    named_templates: Vec<(String, Template)>,
    checked: Vec<Checked>,
    regexes: HashMap<String, Option<Regex>>,
}

const DEFAULT_RECEIVERS: &str = "default_receivers";
const OUTBOX_KEY: &str = "outbox_key";
const ROW_FILTER: &str = "row_filter";
const NATS_CREDENTIALS: &str = "nats_credentials";
const NATS_CA_FILE: &str = "nats_ca_file";
const NATS_CLIENT_CERTIFICATE: &str = "nats_client_certificate";
const DELIVERED_BY: &str = "delivered_by";
/// Settings that are no arguments.
const OWN_SETTINGS: [&str; 6] = [
    DELIVERED_BY,
    OUTBOX_KEY,
    ROW_FILTER,
    NATS_CREDENTIALS,
    NATS_CA_FILE,
    NATS_CLIENT_CERTIFICATE,
];

/// The file's tables.
const SECTIONS: &[&str] = &["settings", "receivers", "routes", "templates", "silences"];

impl<'a> Loader<'a> {
    fn new(
        text: &'a str,
        directory: &'a FilePath,
        environment: &'a BTreeMap<String, Option<Secret>>,
        mut operator: Operator,
        look_up: bool,
    ) -> Self {
        if !look_up {
            // What would come from the environment counts as being there too.
            let given = || Some(Secret::new("AC"));
            operator.twilio_sid = operator.twilio_sid.or_else(given);
            operator.twilio_token = operator.twilio_token.or_else(given);
        }
        Self {
            text,
            report: Report::default(),
            sources: Sources::new(directory, environment, look_up),
            operator,
            templates: Templates::default(),
            named_templates: Vec::new(),
            checked: Vec::new(),
            regexes: HashMap::new(),
        }
    }

    fn load(mut self) -> Loaded {
        if self.text.trim().is_empty() {
            // A disk that is full leaves such files behind.
            let start = Place { line: 1, column: 1 };
            self.report.error(start, "", "the file is empty");
        }
        let table = tree::parse(self.text, &mut self.report);
        let mut config = table.map(|table| self.config(&table)).unwrap_or_default();
        config.digest = digest(self.text);
        config.templates = self.templates;
        config.named_templates = self.named_templates;
        let (files, mut report) = (self.sources.files, self.report);
        report.sort();
        let (config, warnings) = match report.errors.is_empty() {
            true => (Ok(config), report),
            false => (Err(report), Report::default()),
        };
        Loaded {
            config,
            warnings,
            files,
            templates: self.checked,
        }
    }
}

impl Loader<'_> {
    fn config(&mut self, table: &Table) -> Config {
        self.known_keys(table, &Path::root(), SECTIONS);
        let mut config = Config::default();
        // First: where Twilio is may be set here, and what the receivers name must be known.
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
            .map(|(place, receiver)| (receiver.name.clone(), place))
            .collect();
        if let Some(node) = table.get("routes") {
            config.routes = self.routes(node, &config.by_name);
        }
        if let Some(node) = table.get("silences") {
            config.silences = self.silences(node);
        }
        if let Some(node) = table
            .get("settings")
            .and_then(|settings| settings.as_table()?.get(DEFAULT_RECEIVERS))
        {
            let path = Path::root().key("settings").key(DEFAULT_RECEIVERS);
            let places = self.receiver_names(node, &path, &config.by_name);
            let names = places
                .iter()
                .filter_map(|place| config.receivers.get(*place));
            let names: Vec<_> = names.map(|receiver| receiver.name.as_str()).collect();
            config
                .arguments
                .insert(DEFAULT_RECEIVERS.to_owned(), Secret::new(names.join(" ")));
            config.default_receivers = Some(places);
        }
        config
    }

    /// Arguments in TOML's own types.
    fn settings(&mut self, node: &Node, config: &mut Config) {
        let Some(table) = self.table(node, "settings") else {
            return;
        };
        for member in table.iter() {
            let path = Path::root().key("settings").key(&member.key);
            if OWN_SETTINGS.contains(&member.key.as_str()) {
                self.own_setting(member, &path, config);
                continue;
            }
            let Some(argument) =
                arguments::find(&member.key).filter(|argument| argument.name != "config_file_path")
            else {
                let known = arguments::ARGUMENTS.iter().map(|argument| argument.name);
                let known = known.chain(OWN_SETTINGS);
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

    fn own_setting(&mut self, member: &Member, path: &Path, config: &mut Config) {
        let node = &member.node;
        match member.key.as_str() {
            DELIVERED_BY => match node.as_str() {
                Some("server") => config.outbox.for_workers = false,
                Some("workers") => config.outbox.for_workers = true,
                _ => {
                    self.mismatch(node, path, "\"server\" or \"workers\"");
                }
            },
            OUTBOX_KEY => config.outbox.key = self.outbox_key(node, path),
            ROW_FILTER => config.row_filter = self.matcher(node, path),
            NATS_CREDENTIALS => config.outbox.nats.credentials = self.secret(node, path),
            NATS_CA_FILE => {
                let found = self.certificates(node, path, |bytes| TlsFiles {
                    authorities: Some(bytes),
                    identity: None,
                });
                config.outbox.nats.tls.authorities = found.and_then(|found| found.authorities);
            }
            _ => {
                let found = self.certificates(node, path, |bytes| TlsFiles {
                    authorities: None,
                    identity: Some(Secret::new(String::from_utf8_lossy(&bytes).into_owned())),
                });
                config.outbox.nats.tls.identity = found.and_then(|found| found.identity);
            }
        }
    }

    fn outbox_key(&mut self, node: &Node, path: &Path) -> Option<Arc<Seal>> {
        let seal = Seal::new(&self.secret(node, path)?);
        if seal.is_none() {
            let what = format!(
                "the key is shorter than {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32"
            );
            self.report.error(node.place, path.as_str(), &what);
        }
        seal.map(Arc::new)
    }

    /// A secret that stands elsewhere: in the file itself it would lie where its copies do.
    fn secret(&mut self, node: &Node, path: &Path) -> Option<Secret> {
        let text = match &node.value {
            Value::Table(_) => self.sources.text(node),
            _ => None,
        };
        match text {
            Some(Ok(secrets::Text::Known(text))) => Some(Secret::new(text)),
            Some(Ok(secrets::Text::Unknown)) => None,
            Some(Err(what)) => {
                self.report.error(node.place, path.as_str(), &what);
                None
            }
            None => self.wrong_type(node, path, "{ env = \"NAME\" } or { file = \"PATH\" }"),
        }
    }

    /// A PEM file that can be used.
    fn certificates(
        &mut self,
        node: &Node,
        path: &Path,
        made: impl FnOnce(Vec<u8>) -> TlsFiles,
    ) -> Option<TlsFiles> {
        let Some(name) = node.as_str() else {
            return self.wrong_type(node, path, "the path of a file");
        };
        let files = match self.sources.read(name) {
            Ok(bytes) => made(bytes?),
            Err(what) => {
                self.report.error(node.place, path.as_str(), &what);
                return None;
            }
        };
        match transport::client_config(Some(&files)) {
            Ok(_) => Some(files),
            Err(unusable) => {
                let what = format!("the file {name} cannot be used: {}", unusable.0);
                self.report.error(node.place, path.as_str(), &what);
                None
            }
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
        if let Err(what) = argument.check(text.trim()) {
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
                Some(text) => {
                    let taken = self.template(text, path.key("text").as_str());
                    let named = taken.map(|taken| (member.key.clone(), taken));
                    self.named_templates.extend(named);
                }
                None => self.report.error(
                    member.place,
                    path.as_str(),
                    "it has no text; give text = \"{{ notification.text }}\"",
                ),
            }
        }
    }

    /// Takes a template. What there is to say of it has its place in the file.
    fn template(&mut self, node: &Node, path: &str) -> Option<Template> {
        let Some(source) = node.as_str() else {
            let what = format!("must be a template, as a string, found {}", node.kind());
            self.report.error(node.place, path, &what);
            return None;
        };
        let token = self.text.get(node.span.clone()).unwrap_or_default();
        let written = Written::new(node.place, token);
        let (template, findings) = self.templates.add(source, written.clone());
        let mut report = Report::default();
        for finding in findings {
            let place = written.place_of(finding.offset);
            for report in [&mut self.report, &mut report] {
                match finding.is_error {
                    true => report.error(place, path, &finding.what),
                    false => report.warning(place, path, &finding.what),
                }
            }
        }
        self.checked.push(Checked {
            path: path.to_owned(),
            place: node.place,
            report,
            template: template.clone(),
        });
        template
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
