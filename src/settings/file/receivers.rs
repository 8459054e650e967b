//! `[receivers.NAME]`: named sets of destinations, each read by its channel's own table of parameters.

use std::collections::HashMap;
use std::sync::Arc;

use super::Loader;
use super::secrets::Text;
use super::tree::{Member, Node, Table, Value};
use crate::channels::{self, Channel, ChannelSpec, Fields, Kind, Origin, Parameter};
use crate::model::json::{Json, Path};
use crate::model::plan::OwnPolicy;
use crate::model::policy::{ProxySettings, TlsFiles};
use crate::model::secret::Secret;
use crate::model::text::nearest;
use crate::settings::arguments;
use crate::settings::problem::Place;
use crate::settings::template::Template;
use crate::transport;

/// A named set of destinations.
#[derive(Debug)]
pub struct Receiver {
    pub name: String,
    pub destinations: Vec<FileDestination>,
}

/// One destination of a receiver.
#[derive(Debug)]
pub struct FileDestination {
    pub sender: &'static str,
    pub channel: Arc<dyn Channel>,
    pub own: OwnPolicy,
    pub allow_mentions: Option<bool>,
    /// The template of its texts.
    pub template: Option<Template>,
    /// Parameters that are templates.
    pub rendered: Vec<Rendered>,
}

/// A parameter that is made anew for each notification.
#[derive(Clone, Debug)]
pub enum Rendered {
    One(&'static str, Template),
    /// A JSON object of what these templates make.
    Table(&'static str, Vec<(String, Template)>),
}

impl Loader<'_> {
    pub fn receivers(&mut self, node: &Node) -> Vec<Receiver> {
        let Some(table) = self.table(node, "receivers") else {
            return Vec::new();
        };
        let receivers = table.iter().filter_map(|member| self.receiver(member));
        receivers.collect()
    }

    fn receiver(&mut self, member: &Member) -> Option<Receiver> {
        let path = Path::root().key("receivers").key(&member.key);
        if channels::find(&member.key).is_some() {
            let what = format!(
                "{} is a sender's name, and results stand under names: choose another",
                member.key
            );
            self.report.error(member.place, path.as_str(), &what);
        }
        if member.key.trim().is_empty() {
            self.report
                .error(member.place, path.as_str(), "a receiver needs a name");
        }
        let table = self.table(&member.node, path.as_str())?;
        if table.len() == 0 {
            let known: Vec<_> = channels::CHANNELS.iter().map(|spec| spec.key).collect();
            let what = format!(
                "it has no channel; give one or several of {}",
                known.join(", ")
            );
            self.report.error(member.place, path.as_str(), &what);
        }
        let mut destinations = Vec::new();
        for channel in table.iter() {
            let Some(spec) = channels::find(&channel.key) else {
                self.unknown_channel(channel, &path);
                continue;
            };
            let path = path.key(spec.key);
            match &channel.node.value {
                Value::Array(nodes) if nodes.is_empty() => {
                    let what = "the list is empty: nobody would be told";
                    self.report.error(channel.node.place, path.as_str(), what);
                }
                Value::Array(nodes) => {
                    for (index, node) in nodes.iter().enumerate() {
                        destinations.extend(self.destination(spec, node, path.index(index)));
                    }
                }
                _ => destinations.extend(self.destination(spec, &channel.node, path)),
            }
        }
        Some(Receiver {
            name: member.key.clone(),
            destinations,
        })
    }

    fn unknown_channel(&mut self, channel: &Member, path: &Path) {
        let names = channels::CHANNELS.iter().map(|spec| spec.key);
        let what = match nearest(&channel.key, names.clone()) {
            Some(meant) => format!("there is no such channel; did you mean {meant}?"),
            None => format!(
                "there is no such channel; there are {}",
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        self.report
            .error(channel.place, path.key(&channel.key).as_str(), &what);
    }

    fn unknown_field(&mut self, spec: &ChannelSpec, member: &Member, path: &Path) {
        let short = spec
            .parameters
            .iter()
            .map(|parameter| short(spec, parameter.name));
        let options = channels::OPTIONS.iter().map(|option| option.name);
        let known: Vec<&str> = short.chain(options).collect();
        let long = spec.parameters.iter().map(|parameter| parameter.name);
        let what = match nearest(&member.key, known.iter().copied().chain(long)) {
            Some(meant) => format!("unknown field; did you mean {meant}?"),
            None => format!("unknown field; {} knows {}", spec.key, known.join(", ")),
        };
        self.report
            .error(member.place, path.key(&member.key).as_str(), &what);
    }

    fn destination(
        &mut self,
        spec: &'static ChannelSpec,
        node: &Node,
        path: Path,
    ) -> Vec<FileDestination> {
        let Some(table) = self.table(node, path.as_str()) else {
            return Vec::new();
        };
        let errors = self.report.errors.len();
        let mut read = Read::new(spec, path.clone(), node.place);
        for member in table.iter().filter(|member| !is_option(&member.key)) {
            self.member(&mut read, member);
        }
        let options = self.options(table, &path);
        // A field that could not be read would be missed besides.
        if self.report.errors.len() > errors {
            return Vec::new();
        }
        let channels = self.channels(&read);
        let tls = read.tls_files();
        if let Some(Err(unusable)) = tls
            .as_deref()
            .map(|files| transport::client_config(Some(files)))
        {
            let at = read.tls_place.unwrap_or(node.place);
            self.report.error(
                at,
                path.as_str(),
                &format!("the certificates cannot be used: {}", unusable.0),
            );
        }
        if let Some(proxy) = table.iter().find(|member| member.key == "proxy")
            && channels.iter().any(|channel| !channel.is_http())
        {
            self.report.error(
                proxy.node.place,
                path.key("proxy").as_str(),
                &format!(
                    "{} does not go by HTTP, and by no HTTP proxy: leave it out",
                    spec.key
                ),
            );
        }
        let own = OwnPolicy { tls, ..options.own };
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

    /// Puts a field where the channel will look for it.
    fn member(&mut self, read: &mut Read, member: &Member) {
        let Some(parameter) = parameter(read.spec, &member.key) else {
            self.unknown_field(read.spec, member, &read.path);
            return;
        };
        let path = read.path.key(&member.key);
        if read.members.iter().any(|(name, _)| name == parameter.name) {
            let what = format!(
                "{} stands twice, under its long and its short name",
                parameter.name
            );
            self.report.error(member.place, path.as_str(), &what);
            return;
        }
        let place = member.node.place;
        let value = match parameter.kind {
            Kind::Text => self.string(parameter, &member.node, &path),
            Kind::Texts | Kind::Destinations => self.strings(parameter, &member.node, &path),
            Kind::Port => match &member.node.value {
                Value::Integer(port) => Some(Json::Number(port.to_string())),
                _ => self.string(parameter, &member.node, &path),
            },
            Kind::Boolean => match member.node.value {
                Value::Boolean(value) => Some(Json::Bool(value)),
                _ => self.wrong_type(&member.node, &path, "true or false"),
            },
            Kind::Headers if member.node.as_str().is_some() => {
                self.string(parameter, &member.node, &path)
            }
            Kind::Headers | Kind::Table => self.string_table(parameter, &member.node, &path),
            Kind::Template => {
                let template = self.template(&member.node, path.as_str());
                read.rendered
                    .extend(template.map(|template| Rendered::One(parameter.name, template)));
                return;
            }
            Kind::Templates => {
                let templates = self.own_templates(&member.node, &path);
                read.rendered
                    .push(Rendered::Table(parameter.name, templates));
                return;
            }
            Kind::AuthorityFile | Kind::CertificateFile => {
                read.tls_place = Some(place);
                self.pem(read, parameter, &member.node, &path);
                return;
            }
        };
        if let Some(value) = value {
            read.put(parameter.name, value, place);
        }
    }

    fn string(&mut self, parameter: &Parameter, node: &Node, path: &Path) -> Option<Json> {
        match self.sources.text(node) {
            Some(Ok(Text::Known(text))) => Some(Json::String(text)),
            Some(Ok(Text::Unknown)) => Some(Json::String(parameter.example.to_owned())),
            Some(Err(what)) => {
                self.report.error(node.place, path.as_str(), &what);
                None
            }
            None => self.wrong_type(
                node,
                path,
                "a string, { env = \"NAME\" } or { file = \"PATH\" }",
            ),
        }
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
        // The secret form stands for the base64 text of headers.
        if parameter.kind == Kind::Headers && self.sources.text(node).is_some() {
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

    fn pem(&mut self, read: &mut Read, parameter: &Parameter, node: &Node, path: &Path) {
        let Some(name) = node.as_str() else {
            self.mismatch(node, path, "the path of a file");
            return;
        };
        match self.sources.read(name) {
            Ok(None) => {}
            Ok(Some(bytes)) if parameter.kind == Kind::AuthorityFile => {
                read.tls.authorities = Some(bytes)
            }
            Ok(Some(bytes)) => {
                read.tls.identity = Some(Secret::new(String::from_utf8_lossy(&bytes).into_owned()));
            }
            Err(what) => self.report.error(node.place, path.as_str(), &what),
        }
    }

    /// Reads the members as a request's configuration would be read, and puts what is wrong to its place.
    fn channels(&mut self, read: &Read) -> Vec<Arc<dyn Channel>> {
        let spec = read.spec;
        let mut warnings = Vec::new();
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
        for warning in &warnings {
            let place = read.place(warning.path.as_str());
            self.report
                .warning(place, warning.path.as_str(), &warning.what);
        }
        let mut channels = Vec::new();
        let mut wrong: Vec<Path> = Vec::new();
        for parsed in parsed {
            match parsed {
                Ok(channel) => channels.push(channel),
                // What is wrong for all of a list is said once.
                Err(error) if wrong.contains(&error.path) => {}
                Err(error) => {
                    let place = read.place(error.path.as_str());
                    self.report.error(place, error.path.as_str(), &error.what);
                    wrong.push(error.path);
                }
            }
        }
        channels
    }

    fn options(&mut self, table: &Table, path: &Path) -> Options {
        let mut options = Options::default();
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
                        node.place,
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

    fn named_template(&mut self, name: &str, node: &Node, path: &Path) -> Option<Template> {
        let mut named = self.named_templates.iter();
        if let Some((_, template)) = named.find(|(known, _)| known == name) {
            return Some(template.clone());
        }
        let known = self.named_templates.iter().map(|(name, _)| name.as_str());
        let what = match nearest(name, known) {
            Some(meant) => {
                format!("there is no such template in [templates]; did you mean {meant}?")
            }
            None => "there is no such template in [templates]".to_owned(),
        };
        self.report.error(node.place, path.as_str(), &what);
        None
    }

    fn proxy(&mut self, node: &Node, path: &Path) -> Option<Arc<ProxySettings>> {
        let url = match self.sources.text(node) {
            Some(Ok(Text::Known(url))) => url,
            Some(Ok(Text::Unknown)) => return None,
            Some(Err(what)) => {
                self.report.error(node.place, path.as_str(), &what);
                return None;
            }
            None => {
                self.mismatch(
                    node,
                    path,
                    "a URL, { env = \"NAME\" } or { file = \"PATH\" }",
                );
                return None;
            }
        };
        if let Err(what) = channels::parse_url(&url) {
            self.report
                .error(node.place, path.as_str(), &format!("proxy {what}"));
            return None;
        }
        let url = Secret::new(url.trim());
        Some(Arc::new(ProxySettings {
            http: Some(url.clone()),
            https: Some(url),
            no_proxy: String::new(),
        }))
    }

    /// Notes that something else was expected; there is no value then.
    pub fn wrong_type<T>(&mut self, node: &Node, path: &Path, expected: &str) -> Option<T> {
        self.mismatch(node, path, expected);
        None
    }

    pub fn mismatch(&mut self, node: &Node, path: &Path, expected: &str) {
        let what = format!("must be {expected}, found {}", node.kind());
        self.report.error(node.place, path.as_str(), &what);
    }
}

#[derive(Default)]
struct Options {
    own: OwnPolicy,
    allow_mentions: Option<bool>,
    template: Option<Template>,
}

fn is_option(key: &str) -> bool {
    channels::OPTIONS.iter().any(|option| option.name == key)
}

/// The parameter that a key means, with the sender's name before it or without.
fn parameter(spec: &ChannelSpec, key: &str) -> Option<&'static Parameter> {
    let is_meant = |parameter: &&Parameter| short(spec, parameter.name) == short(spec, key);
    spec.parameters.iter().find(is_meant)
}

/// A name without the sender's before it.
fn short<'n>(spec: &ChannelSpec, name: &'n str) -> &'n str {
    let without = |prefix: &str| name.strip_prefix(prefix)?.strip_prefix('_');
    without(spec.key)
        .or_else(|| without("twilio"))
        .unwrap_or(name)
}

/// A destination's fields on their way to its channel.
struct Read {
    spec: &'static ChannelSpec,
    path: Path,
    /// Of the destination, for what is missing.
    place: Place,
    members: Vec<(String, Json)>,
    /// By the path that the channel will name.
    places: HashMap<String, Place>,
    rendered: Vec<Rendered>,
    tls: TlsFiles,
    tls_place: Option<Place>,
}

impl Read {
    fn new(spec: &'static ChannelSpec, path: Path, place: Place) -> Self {
        Self {
            spec,
            path,
            place,
            members: Vec::new(),
            places: HashMap::new(),
            rendered: Vec::new(),
            tls: TlsFiles::default(),
            tls_place: None,
        }
    }

    fn put(&mut self, name: &str, value: Json, place: Place) {
        self.places.insert(self.path.key(name).to_string(), place);
        self.members.push((name.to_owned(), value));
    }

    fn tls_files(&self) -> Option<Arc<TlsFiles>> {
        (self.tls != TlsFiles::default()).then(|| Arc::new(self.tls.clone()))
    }

    /// Where a path stands: the field's own place, also for what is within it.
    fn place(&self, path: &str) -> Place {
        let found = self
            .places
            .iter()
            .filter(|(known, _)| path.starts_with(known.as_str()));
        let longest = found.max_by_key(|(known, _)| known.len());
        longest.map_or(self.place, |(_, place)| *place)
    }
}
