//! Reads a sender's configuration by the channel's table of parameters. Each reader passes the parameter itself, so
//! that a channel reads only declared parameters.

use std::borrow::Cow;

use url::Url;

use super::encoded::decode;
use super::errors::{Warning, invalid};
use super::lists::{self, Lists};
use super::values::text;
use super::{OPTIONS, Parameter, ParameterKind, parse_url};
use crate::json::{Json, Path};
use crate::model::problem::Problem;
use crate::secret::Secret;
use crate::text::{nearest, shown};
use crate::warnings::Warnings;

/// The author of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Request,
    /// The author of the trigger's configuration, who may set every field.
    Operator,
}

/// One sender's configuration as a channel reads it.
pub struct Fields<'a> {
    sender: &'static str,
    origin: Origin,
    parameters: &'static [Parameter],
    /// The value of each parameter that the origin may set.
    values: Vec<Option<&'a Json>>,
    /// The first unknown names. One of them may be a misspelt parameter.
    unknown: Vec<&'a str>,
    path: Path,
    pub(super) lists: Lists<'a>,
    /// The index of the current destination.
    pub(super) index: usize,
    warnings: &'a mut Warnings<Warning>,
}

/// The maximum number of unknown fields to compare with a missing field.
const MAX_UNKNOWN: usize = 10;

/// Names and values.
pub type NamedValues<'a> = Cow<'a, [(String, Json)]>;

impl<'a> Fields<'a> {
    /// Finds the parameters among the members in one pass. Warns about every field that `parameters` does not contain,
    /// or that its origin may not set.
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

    /// Returns the count of [`Self::destinations`] without reading the configuration.
    pub fn count(parameters: &[Parameter], configuration: &Json) -> usize {
        lists::count(parameters, configuration)
    }

    /// Returns the warnings since the last call.
    pub fn take_warnings(&mut self) -> Warnings<Warning> {
        std::mem::take(self.warnings)
    }

    /// Selects the destination at this index.
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

    /// Returns the parameters with a value.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static Parameter, &'a Json)> {
        let given = self.parameters.iter().zip(&self.values);
        given.filter_map(|(parameter, value)| Some((parameter, (*value)?)))
    }

    /// Returns the names of the fields that this origin may set.
    fn known(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let origin = self.origin;
        let parameters = self.parameters.iter();
        let known = parameters.filter(move |parameter| may_set(origin, parameter));
        known.map(|parameter| parameter.name)
    }

    /// Whether the name, with or without the sender's prefix, is a field that this origin may not set.
    fn is_operators(&self, name: &str) -> bool {
        let bare = name.strip_prefix(self.sender);
        let bare = bare.and_then(|rest| rest.strip_prefix('_')).unwrap_or(name);
        let mut parameters = self.parameters.iter().chain(OPTIONS);
        parameters.any(|parameter| parameter.name == bare && !may_set(self.origin, parameter))
    }

    /// Returns the sender's name. One file may serve several senders.
    pub fn sender(&self) -> &'static str {
        self.sender
    }

    /// Returns a required field.
    pub fn required(&self, field: &Parameter) -> Result<Cow<'a, str>, Problem> {
        self.optional(field)?.ok_or_else(|| self.missing(field))
    }

    /// Returns a field that may be absent, `null` or blank.
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

    /// Whether a field is a number, not a string.
    pub fn is_number(&self, field: &Parameter) -> bool {
        matches!(self.member(field), Some(Json::Number(_)))
    }

    /// Returns the strings of an optional field, which holds one string or a list, each with its path.
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

    /// Whether the operator wrote the configuration in the file.
    pub fn is_of_operator(&self) -> bool {
        self.origin == Origin::Operator
    }

    /// Whether the field is a template. Only the configuration file contains templates.
    pub fn is_rendered(&self, field: &Parameter) -> bool {
        let is_template = matches!(
            field.kind,
            ParameterKind::Template | ParameterKind::Templates
        );
        is_template && self.is_of_operator()
    }

    /// Returns an optional table of strings. The file's templates have only names here.
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

    /// Returns the members of a headers field: of the object in base64, or of the file's table.
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

    /// Returns a field that an environment variable may replace.
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

    /// Returns a web address: `http` or `https`, with a host, at most 8 KiB, without control characters.
    pub fn url(&self, field: &Parameter) -> Result<Url, Problem> {
        let name = field.name;
        parse_url(&self.required(field)?)
            .map_err(|message| self.error(field, format!("{name} {message}")))
    }

    /// Returns the base URL of a provider's API. The default is the parameter's example, the provider's own URL.
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

    pub(super) fn wrong_type(&self, field: &Parameter, expected: &str, found: &Json) -> Problem {
        let (name, kind) = (field.name, found.kind());
        self.error(field, format!("{name} must be {expected}, found {kind}"))
    }

    pub fn error(&self, field: &Parameter, message: impl Into<String>) -> Problem {
        invalid(&self.path.key(field.name), message)
    }

    /// Adds a warning about the field to the response.
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

    /// Returns the value of a parameter that the origin may set.
    pub(super) fn member(&self, field: &Parameter) -> Option<&'a Json> {
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
