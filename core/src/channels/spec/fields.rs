//! Reading a sender's configuration by the channel's table of parameters. Whoever reads a value gives the parameter itself, so
//! that what is read is what is declared.

use std::borrow::Cow;

use url::Url;

use super::encoded::decode;
use super::errors::{Warning, invalid};
use super::lists::{self, Lists};
use super::parameter::ValueFormat;
use super::values::text;
use super::{OPTIONS, Parameter, ParameterKind, parse_url};
use crate::json::{Json, Path};
use crate::model::problem::Problem;
use crate::secret::Secret;
use crate::text::{nearest, shown};
use crate::warnings::Warnings;

/// Who wrote a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Request,
    /// Who runs the trigger, and may set every field.
    Operator,
}

/// One sender's configuration on its way to a channel.
pub struct Fields<'a> {
    sender: &'static str,
    origin: Origin,
    parameters: &'static [Parameter],
    /// What stands under each of the parameters that its origin may set.
    values: Vec<Option<&'a Json>>,
    /// The first names that no parameter has: one of them may be meant to be one.
    unknown: Vec<&'a str>,
    path: Path,
    pub(super) lists: Lists<'a>,
    /// Which of their destinations is read.
    pub(super) index: usize,
    warnings: &'a mut Warnings<Warning>,
}

/// Unknown fields among which a missing one is looked for.
const MAX_UNKNOWN: usize = 10;

/// Names and values.
pub type NamedValues<'a> = Cow<'a, [(String, Json)]>;

impl<'a> Fields<'a> {
    /// Finds the parameters among the members, each of which is looked at once. Warns of every field that `parameters` does
    /// not know, or that its origin may not set.
    pub fn new(
        sender: &'static str,
        origin: Origin,
        parameters: &'static [Parameter],
        members: &'a [(String, Json)],
        path: Path,
        warnings: &'a mut Warnings<Warning>,
    ) -> Self {
        let mut fields = Self {
            sender,
            origin,
            parameters,
            values: vec![None; parameters.len()],
            unknown: Vec::new(),
            path,
            lists: Lists::default(),
            index: 0,
            warnings,
        };
        for (name, value) in members {
            fields.add(name, value);
        }
        fields.read_lists();
        fields
    }

    fn add(&mut self, name: &'a str, value: &'a Json) {
        let origin = self.origin;
        let mut places = self.parameters.iter().zip(&mut self.values);
        let place =
            places.find(|(parameter, _)| parameter.name == name && may_set(origin, parameter));
        if let Some((_, place)) = place {
            *place = Some(value);
        } else if self.is_operators(name) {
            self.warn_of(name, "only the configuration file may set it; ignored");
        } else {
            if self.unknown.len() < MAX_UNKNOWN {
                self.unknown.push(name);
            }
            self.warn_unknown(name);
        }
    }

    fn read_lists(&mut self) {
        let given: Vec<_> = self.given().collect();
        let (lists, twice) = lists::read(given, &self.path);
        self.lists = lists;
        for parameter in twice {
            self.warn_of(parameter, "an address stands twice; it gets one message");
        }
    }

    /// [`Self::destinations`] of a configuration that is not read yet.
    pub fn count(parameters: &[Parameter], configuration: &Json) -> usize {
        lists::count(parameters, configuration)
    }

    /// What there was to warn of since this was last asked.
    pub fn take_warnings(&mut self) -> Warnings<Warning> {
        std::mem::take(self.warnings)
    }

    /// The configuration of the destination at this place.
    pub fn at(&mut self, index: usize) -> &mut Self {
        self.index = index;
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    /// The parameters that are given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Parameter, &'a Json)> {
        let given = self.parameters.iter().zip(&self.values);
        given.filter_map(|(parameter, value)| Some((parameter, (*value)?)))
    }

    /// The fields that this origin may set.
    fn known(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let origin = self.origin;
        let parameters = self.parameters.iter();
        let known = parameters.filter(move |parameter| may_set(origin, parameter));
        known.map(|parameter| parameter.name)
    }

    /// Whether it names, with the sender's name before it or without, what this origin may not set.
    fn is_operators(&self, name: &str) -> bool {
        let bare = name.strip_prefix(self.sender);
        let bare = bare.and_then(|rest| rest.strip_prefix('_')).unwrap_or(name);
        let mut parameters = self.parameters.iter().chain(OPTIONS);
        parameters.any(|parameter| parameter.name == bare && !may_set(self.origin, parameter))
    }

    /// The sender's name: the same file may serve several.
    pub fn sender(&self) -> &'static str {
        self.sender
    }

    /// A field that must be there.
    pub fn required(&self, field: &Parameter) -> Result<Cow<'a, str>, Problem> {
        self.optional(field)?.ok_or_else(|| self.missing(field))
    }

    /// A field that may be absent, `null` or blank.
    pub fn optional(&self, field: &Parameter) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(value) = self.member(field).filter(|value| **value != Json::Null) else {
            return Ok(None);
        };
        match text(value) {
            Some(text) if text.trim().is_empty() => Ok(None),
            Some(text) => Ok(Some(Cow::Borrowed(text))),
            None => Err(self.wrong_type(field, "a string", value)),
        }
    }

    /// Whether a field is given as a number, not as a string.
    pub fn is_number(&self, field: &Parameter) -> bool {
        matches!(self.member(field), Some(Json::Number(_)))
    }

    /// A field that may be absent, one string, or a list of them; each with its place.
    pub fn several(&self, field: &Parameter) -> Result<Vec<(Path, &'a str)>, Problem> {
        let name = field.name;
        let path = || self.path.key(name);
        let places = match self.member(field) {
            None | Some(Json::Null) => return Ok(Vec::new()),
            Some(Json::Array(items)) => {
                let (path, items) = (path(), items.iter().enumerate());
                items.map(|(n, item)| (path.index(n), item)).collect()
            }
            Some(one) => vec![(path(), one)],
        };
        let strings = places.into_iter().map(|(path, value)| match text(value) {
            Some(text) => Ok((path, text)),
            None => {
                let message = format!("{name} must be a string, found {}", value.kind());
                Err(invalid(&path, message))
            }
        });
        strings.collect()
    }

    /// A port that may be absent.
    pub fn port(&self, field: &Parameter) -> Result<Option<u16>, Problem> {
        let port = |text: &str| text.trim().parse().ok().filter(|port| *port > 0);
        self.optional(field)?
            .map(|text| {
                let Parameter { name, example, .. } = field;
                let message = format!("{name} must be a number from 1 to 65535, such as {example}");
                port(&text).ok_or_else(|| self.error(field, message))
            })
            .transpose()
    }

    /// A boolean that may be absent.
    pub fn flag(&self, field: &Parameter) -> Result<Option<bool>, Problem> {
        match self.member(field) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(self.wrong_type(field, "true or false", other)),
        }
    }

    /// Whether the operator wrote the configuration, in the file.
    pub fn is_of_operator(&self) -> bool {
        self.origin == Origin::Operator
    }

    /// Whether what a field gives is a template, rendered for each notification: templates stand in the configuration file alone.
    pub fn is_rendered(&self, field: &Parameter) -> bool {
        let is_template = matches!(
            field.kind,
            ParameterKind::Template | ParameterKind::Templates
        );
        is_template && self.is_of_operator()
    }

    /// A table of strings that may be absent; of templates those of the file have their names alone.
    pub fn table(&self, field: &Parameter) -> Result<Option<Vec<(String, String)>>, Problem> {
        let members = match self.member(field) {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Object(members)) => members,
            Some(other) => return Err(self.wrong_type(field, "a table of strings", other)),
        };
        let strings = members.iter().map(|(key, value)| match text(value) {
            Some(text) => Ok((key.clone(), text.to_owned())),
            None => Err(self.wrong_type(field, "a table of strings", value)),
        });
        strings.collect::<Result<_, _>>().map(Some)
    }

    /// The members of a headers field: of the object that base64 holds, or, where the file has a table, of that.
    pub fn headers(&self, field: &Parameter) -> Option<Result<NamedValues<'a>, String>> {
        match self.member(field)? {
            Json::Object(members) if self.origin == Origin::Operator => {
                Some(Ok(Cow::Borrowed(members)))
            }
            _ => match self.optional(field) {
                Ok(encoded) => encoded.map(|encoded| match decode(&encoded) {
                    Ok(members) => Ok(Cow::Owned(members)),
                    Err(message) => Err(format!("{message}; sent without these headers. Give base64 of a JSON object of strings")),
                }),
                Err(error) => Some(Err(format!("{}; sent without these headers", error.message))),
            },
        }
    }

    /// A field that the environment may stand in for.
    pub fn or_environment(
        &self,
        field: &Parameter,
        environment: Option<&Secret>,
    ) -> Result<Secret, Problem> {
        match (self.optional(field)?, environment) {
            (Some(value), _) => Ok(Secret::new(value.trim())),
            (None, Some(secret)) => Ok(secret.clone()),
            (None, None) => Err(self.missing(field)),
        }
    }

    /// A web address: `http` or `https`, with a host, at most 8 KiB, without control characters.
    pub fn url(&self, field: &Parameter) -> Result<Url, Problem> {
        let name = field.name;
        parse_url(&self.required(field)?)
            .map_err(|message| self.error(field, format!("{name} {message}")))
    }

    /// A field that must be there, in the form that its parameter declares.
    pub fn formed(&self, field: &Parameter) -> Result<String, Problem> {
        let text = self.required(field)?;
        self.check_form(field, &text)
    }

    /// The same of a field that may be absent.
    pub fn formed_or_none(&self, field: &Parameter) -> Result<Option<String>, Problem> {
        let text = self.optional(field)?;
        text.map(|text| self.check_form(field, &text)).transpose()
    }

    fn check_form(&self, field: &Parameter, text: &str) -> Result<String, Problem> {
        let text = text.trim();
        let Parameter {
            name,
            form,
            example,
            ..
        } = field;
        debug_assert!(form.is_some(), "{name} declares no form");
        match form.filter(|form| !(form.fits)(text)) {
            None => Ok(text.to_owned()),
            Some(ValueFormat { words, .. }) => {
                Err(self.error(field, format!("{name} must be {words}, such as {example}")))
            }
        }
    }

    /// Where a provider's API is: what the operator says, or the provider's own address, which is the parameter's example.
    pub fn base_url(&self, field: &Parameter) -> Result<Url, Problem> {
        let name = field.name;
        let given = self.optional(field)?;
        let url = parse_url(given.as_deref().unwrap_or(field.example))
            .map_err(|message| self.error(field, format!("{name} {message}")))?;
        if url.username().is_empty() && url.password().is_none() {
            return Ok(url);
        }
        let message = format!("{name} must not hold a user name or a password");
        Err(self.error(field, message))
    }

    fn wrong_type(&self, field: &Parameter, expected: &str, found: &Json) -> Problem {
        let (name, kind) = (field.name, found.kind());
        self.error(field, format!("{name} must be {expected}, found {kind}"))
    }

    pub fn error(&self, field: &Parameter, message: impl Into<String>) -> Problem {
        invalid(&self.path.key(field.name), message)
    }

    /// A warning of the answer that names the field.
    pub fn warn(&mut self, field: &Parameter, message: &str) {
        self.warn_of(field.name, message);
    }

    fn warn_of(&mut self, name: &str, message: &str) {
        let path = &self.path;
        self.warnings.push(|| Warning {
            path: path.key(name),
            message: message.to_owned(),
        });
    }

    pub(super) fn missing(&self, field: &Parameter) -> Problem {
        let Parameter {
            name,
            example,
            environment,
            ..
        } = field;
        let environment = match environment {
            Some(variable) => {
                format!(", and the server's environment variable {variable} is not set either")
            }
            None => String::new(),
        };
        let mut unknown = self.unknown.iter();
        let meant = unknown.find(|key| nearest(key, [*name]).is_some());
        let meant = meant.map_or(String::new(), |key| {
            format!("; is `{}` meant to be it?", shown(key))
        });
        self.error(
            field,
            format!("{name} is required{environment}: for example {example}{meant}"),
        )
    }

    /// What stands under a parameter's name, where its origin may set it.
    fn member(&self, field: &Parameter) -> Option<&'a Json> {
        let mut all = self.parameters.iter().zip(&self.values);
        let found = all.find(|(known, _)| known.name == field.name);
        debug_assert!(found.is_some(), "{} is not in the table", field.name);
        found.and_then(|(_, value)| *value)
    }

    fn warn_unknown(&mut self, name: &str) {
        let (known, sender, path) = (self.known(), self.sender, &self.path);
        self.warnings.push(|| Warning {
            path: path.key(name),
            message: match nearest(name, known.clone()) {
                Some(meant) => format!("unknown field, ignored; did you mean {meant}?"),
                None => format!(
                    "unknown field, ignored; {sender} knows {}",
                    known.collect::<Vec<_>>().join(", ")
                ),
            },
        });
    }
}

fn may_set(origin: Origin, parameter: &Parameter) -> bool {
    !parameter.operator_only || origin == Origin::Operator
}
