//! Reads one destination of a receiver. The channel's table of parameters defines the fields; this module defines the
//! options.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Loader;
use super::secrets::Sources;
use super::tree::{Node, Table, TableEntry, Value};
use crate::channels::{self, Channel, ChannelSpec, Fields, Origin, Parameter, ParameterKind};
use crate::config::arguments;
use crate::config::template::Template;
use crate::json::{Json, Path};
use crate::model::capabilities::Protocol;
use crate::model::plan::OwnPolicy;
use crate::model::policy::{ProxySettings, TlsFiles};
use crate::model::problem::FilePosition;
use crate::secret::Secret;
use crate::text::nearest;
use crate::warnings::Warnings;

/// One destination of a receiver.
#[derive(Debug)]
pub struct FileDestination {
    pub sender: &'static str,
    pub channel: Arc<dyn Channel>,
    pub own: OwnPolicy,
    pub allow_mentions: Option<bool>,
    /// The template of the destination's texts.
    pub template: Option<Template>,
    /// Parameters that are templates.
    pub rendered: Vec<RenderedParameter>,
}

/// A parameter that a template renders for each notification.
#[derive(Clone, Debug)]
pub enum RenderedParameter {
    One(&'static str, Template),
    /// A JSON object whose values these templates render.
    Table(&'static str, Vec<(String, Template)>),
}

impl Loader<'_> {
    /// Returns the destinations of one table. A table with a list makes several; a table with an error makes none.
    pub fn destination(
        &mut self,
        spec: &'static ChannelSpec,
        node: &Node,
        path: Path,
    ) -> Vec<FileDestination> {
        let Some(table) = self.table(node, path.as_str()) else {
            return Vec::new();
        };
        let errors = self.report.errors.len();
        let mut read = ReadDestination::new(spec, path.clone(), node.position);
        for member in table.iter().filter(|member| !is_option(&member.key)) {
            self.member(&mut read, member);
        }
        let options = self.options(table, &path);
        // After an unreadable field, the channel would also report it as missing.
        if self.report.errors.len() > errors {
            return Vec::new();
        }
        let channels = self.channels(&read);
        if let Some(proxy) = table.iter().find(|member| member.key == "proxy")
            && channels
                .iter()
                .any(|channel| channel.capabilities().protocol != Protocol::Http)
        {
            self.report.error(
                proxy.node.position,
                path.key("proxy").as_str(),
                &format!(
                    "{} does not go by HTTP, and by no HTTP proxy: leave it out",
                    spec.key
                ),
            );
        }
        let own = OwnPolicy {
            tls: read.tls_files(),
            ..options.own
        };
        let destinations = channels.into_iter().map(|channel| FileDestination {
            sender: spec.key,
            channel,
            own: own.clone(),
            allow_mentions: options.allow_mentions,
            template: options.template.clone(),
            rendered: read.rendered.clone(),
        });
        destinations.collect()
    }

    /// Stores a field under the name that the channel reads.
    fn member(&mut self, read: &mut ReadDestination, member: &TableEntry) {
        let Some(parameter) = self.parameter_of(read, member) else {
            return;
        };
        let path = read.path.key(&member.key);
        let position = member.node.position;
        let value = match parameter.kind {
            ParameterKind::Text | ParameterKind::Number => {
                self.string(parameter, &member.node, &path)
            }
            ParameterKind::Texts | ParameterKind::Destinations => {
                self.strings(parameter, &member.node, &path)
            }
            ParameterKind::Boolean => match member.node.value {
                Value::Boolean(value) => Some(Json::Bool(value)),
                _ => self.wrong_type(&member.node, &path, "true or false"),
            },
            ParameterKind::Headers if member.node.as_str().is_some() => {
                self.string(parameter, &member.node, &path)
            }
            ParameterKind::Headers | ParameterKind::Table => {
                self.string_table(parameter, &member.node, &path)
            }
            ParameterKind::Template => {
                let template = self.template(&member.node, path.as_str());
                let one = |template| RenderedParameter::One(parameter.name, template);
                read.rendered.extend(template.map(one));
                return;
            }
            ParameterKind::Templates => {
                let templates = self.own_templates(&member.node, &path);
                let names = templates
                    .iter()
                    .map(|(name, _)| (name.clone(), Json::String(String::new())));
                read.put(parameter.name, Json::Object(names.collect()), position);
                let table = RenderedParameter::Table(parameter.name, templates);
                read.rendered.push(table);
                return;
            }
            ParameterKind::AuthorityFile => {
                read.tls.authorities = self.authorities(&member.node, &path);
                return;
            }
            ParameterKind::CertificateFile => {
                read.tls.identity = self.client_certificate(&member.node, &path);
                return;
            }
        };
        if let Some(value) = value {
            read.put(parameter.name, value, position);
        }
    }

    /// Returns the parameter that a field sets. Refuses a second field for the same parameter.
    fn parameter_of(
        &mut self,
        read: &mut ReadDestination,
        member: &TableEntry,
    ) -> Option<&'static Parameter> {
        let Some(parameter) = parameter(read.spec, &member.key) else {
            self.unknown_field(read.spec, member, &read.path);
            return None;
        };
        if !read.seen.insert(parameter.name) {
            let message = format!(
                "{} stands twice, under its long and its short name",
                parameter.name
            );
            let path = read.path.key(&member.key);
            self.report.error(member.position, path.as_str(), &message);
            return None;
        }
        Some(parameter)
    }

    /// Reads a string or a number, which the channel validates. A secret that is not looked up is valid: the
    /// parameter's example replaces it.
    fn string(&mut self, parameter: &Parameter, node: &Node, path: &Path) -> Option<Json> {
        if let Value::Integer(_) | Value::Float(_) = node.value {
            return node.scalar().map(Json::Number);
        }
        let expected = "a string, { env = \"NAME\" } or { file = \"PATH\" }";
        let text = self.text_or_secret(node, path, expected)?.known();
        Some(Json::String(
            text.unwrap_or_else(|| parameter.example.to_owned()),
        ))
    }

    fn strings(&mut self, parameter: &Parameter, node: &Node, path: &Path) -> Option<Json> {
        let Value::Array(nodes) = &node.value else {
            return self.string(parameter, node, path);
        };
        let each = nodes.iter().enumerate();
        let strings = each.map(|(index, node)| self.string(parameter, node, &path.index(index)));
        strings.collect::<Option<Vec<_>>>().map(Json::Array)
    }

    fn string_table(&mut self, parameter: &Parameter, node: &Node, path: &Path) -> Option<Json> {
        // A secret form replaces the base64 text of headers.
        if parameter.kind == ParameterKind::Headers && Sources::is_text(node) {
            return self.string(parameter, node, path);
        }
        let Value::Table(table) = &node.value else {
            return self.wrong_type(node, path, "a table of strings");
        };
        let members = table.iter().map(|member| {
            let value = self.string(parameter, &member.node, &path.key(&member.key))?;
            Some((member.key.clone(), value))
        });
        members.collect::<Option<Vec<_>>>().map(Json::Object)
    }

    fn own_templates(&mut self, node: &Node, path: &Path) -> Vec<(String, Template)> {
        let Value::Table(table) = &node.value else {
            self.mismatch(node, path, "a table of templates");
            return Vec::new();
        };
        let each = table.iter().filter_map(|member| {
            let template = self.template(&member.node, path.key(&member.key).as_str())?;
            Some((member.key.clone(), template))
        });
        each.collect()
    }

    /// Parses the members as the configuration of a request. Reports each error at the member's position.
    fn channels(&mut self, read: &ReadDestination) -> Vec<Arc<dyn Channel>> {
        let spec = read.spec;
        let mut warnings = Warnings::default();
        let mut fields = Fields::new(
            spec.key,
            Origin::Operator,
            spec.parameters,
            &read.members,
            read.path.clone(),
            &mut warnings,
        );
        let each = 0..fields.destinations();
        let parsed = each.map(|index| (spec.parse)(fields.at(index), &self.operator));
        let parsed: Vec<_> = parsed.collect();
        for warning in warnings.iter() {
            let position = read.position(warning.path.as_str());
            self.report
                .warning(position, warning.path.as_str(), &warning.message);
        }
        let mut channels = Vec::new();
        let mut wrong = Vec::new();
        for parsed in parsed {
            match parsed {
                Ok(channel) => channels.push(channel),
                // Report an error that concerns the whole list only once.
                Err(problem) if wrong.contains(&problem.location.path) => {}
                Err(problem) => {
                    let path = problem.location.path.as_deref().unwrap_or_default();
                    self.report
                        .error(read.position(path), path, &problem.message);
                    wrong.push(problem.location.path);
                }
            }
        }
        channels
    }

    fn options(&mut self, table: &Table, path: &Path) -> DestinationOptions {
        let mut options = DestinationOptions::default();
        for member in table.iter().filter(|member| is_option(&member.key)) {
            let path = path.key(&member.key);
            let node = &member.node;
            match (member.key.as_str(), &node.value) {
                ("template", Value::String(name)) => {
                    options.template = self.named_template(name, node, &path)
                }
                ("allow_mentions", Value::Boolean(value)) => options.allow_mentions = Some(*value),
                ("rate_limit", Value::String(text)) => match arguments::parse_rate(text) {
                    Some(rate) => options.own.rate_limit = Some(rate),
                    None => self.report.error(
                        node.position,
                        path.as_str(),
                        "must be messages per time, such as 5/s or 60/min",
                    ),
                },
                ("proxy", _) => options.own.proxy = self.proxy(node, &path),
                (key, _) => {
                    let expected = if key == "allow_mentions" {
                        "true or false"
                    } else {
                        "a string"
                    };
                    self.mismatch(node, &path, expected);
                }
            }
        }
        options
    }

    fn proxy(&mut self, node: &Node, path: &Path) -> Option<Arc<ProxySettings>> {
        let expected = "a URL, { env = \"NAME\" } or { file = \"PATH\" }";
        let url = self.text_or_secret(node, path, expected)?.known()?;
        if let Err(message) = channels::parse_url(&url) {
            self.report
                .error(node.position, path.as_str(), &format!("proxy {message}"));
            return None;
        }
        let url = Secret::new(url.trim());
        Some(Arc::new(ProxySettings {
            http: Some(url.clone()),
            https: Some(url),
            no_proxy: String::new(),
        }))
    }

    fn unknown_field(&mut self, spec: &ChannelSpec, member: &TableEntry, path: &Path) {
        let short = spec
            .parameters
            .iter()
            .map(|parameter| short(spec, parameter.name));
        let options = channels::OPTIONS.iter().map(|option| option.name);
        let known: Vec<&str> = short.chain(options).collect();
        let long = spec.parameters.iter().map(|parameter| parameter.name);
        let message = match nearest(&member.key, known.iter().copied().chain(long)) {
            Some(meant) => format!("unknown field; did you mean {meant}?"),
            None => format!("unknown field; {} knows {}", spec.key, known.join(", ")),
        };
        self.report
            .error(member.position, path.key(&member.key).as_str(), &message);
    }
}

#[derive(Default)]
struct DestinationOptions {
    own: OwnPolicy,
    allow_mentions: Option<bool>,
    template: Option<Template>,
}

fn is_option(key: &str) -> bool {
    channels::OPTIONS.iter().any(|option| option.name == key)
}

/// Returns the parameter with this key, with or without the sender's prefix.
fn parameter(spec: &ChannelSpec, key: &str) -> Option<&'static Parameter> {
    let is_meant = |parameter: &&Parameter| short(spec, parameter.name) == short(spec, key);
    spec.parameters.iter().find(is_meant)
}

/// Returns a name without the sender's prefix.
fn short<'n>(spec: &ChannelSpec, name: &'n str) -> &'n str {
    let without = |prefix: &str| name.strip_prefix(prefix)?.strip_prefix('_');
    without(spec.key)
        .or_else(|| without("twilio"))
        .unwrap_or(name)
}

/// The fields of a destination, before the channel parses them.
struct ReadDestination {
    spec: &'static ChannelSpec,
    path: Path,
    /// The position of the destination, for errors about missing fields.
    position: FilePosition,
    /// The parameters that the file sets.
    seen: HashSet<&'static str>,
    members: Vec<(String, Json)>,
    /// The positions of fields, by the path in the channel's errors.
    positions: HashMap<String, FilePosition>,
    rendered: Vec<RenderedParameter>,
    tls: TlsFiles,
}

impl ReadDestination {
    fn new(spec: &'static ChannelSpec, path: Path, position: FilePosition) -> Self {
        Self {
            spec,
            path,
            position,
            seen: HashSet::new(),
            members: Vec::new(),
            positions: HashMap::new(),
            rendered: Vec::new(),
            tls: TlsFiles::default(),
        }
    }

    fn put(&mut self, name: &str, value: Json, position: FilePosition) {
        self.positions
            .insert(self.path.key(name).to_string(), position);
        self.members.push((name.to_owned(), value));
    }

    fn tls_files(&self) -> Option<Arc<TlsFiles>> {
        (self.tls != TlsFiles::default()).then(|| Arc::new(self.tls.clone()))
    }

    /// Returns the position of the field that contains a path.
    fn position(&self, path: &str) -> FilePosition {
        let positions = self.positions.iter();
        let parents = positions.filter(|(parent, _)| path.starts_with(*parent));
        let longest = parents.max_by_key(|(parent, _)| parent.len());
        longest.map_or(self.position, |(_, position)| *position)
    }
}
