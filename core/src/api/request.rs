//! A body's bytes to a request; every error with the place where it is.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problems::{INVALID_JSON, NO_BODY, error, missing, wrong_type};
use super::{encoding, members};
use crate::json::{self, Json, Path};
use crate::model::notification::{Level, LevelMap, Members, Notification};
use crate::model::plan::Fingerprint;
use crate::model::problem::{Location, Problem};
use crate::model::read_options::ReadOptions;
use crate::text::{did_you_mean, shown};
use crate::warnings::{MAX_WARNINGS, Warnings};

/// Bodies beyond this are refused.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// What a caller asks for.
#[derive(Debug)]
pub struct Request {
    pub notification: Arc<Notification>,
    /// Each sender with its configuration, in the order of the request; `None` where there is no `senders_config`.
    pub senders: Option<Vec<(String, Json)>>,
    /// Names of receivers, in order, each once.
    pub receivers: Vec<String>,
    pub dry_run: bool,
    /// The template that makes the text, by name.
    pub template: Option<String>,
    /// For templates.
    pub data: Option<Arc<Json>>,
    pub idempotency_key: Option<String>,
    /// The same for all bodies that mean the same, wherever the key stands and in whatever order the members do.
    pub fingerprint: Fingerprint,
    /// The first members that are not documented: one of them may be meant to be another.
    pub unknown: Vec<String>,
    pub warnings: Warnings,
}

impl Request {
    /// The request with a notification as JSON, without whom it goes to: what may be kept as it is. A member that is not documented may be a
    /// misspelt one of those, with secrets: it is not there.
    pub fn without_destinations(&self, notification: &Notification) -> String {
        let stored = Stored {
            notification_text: &notification.text,
            members: Members::of(notification),
            template: self.template.as_deref(),
            data: self.data.as_deref(),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Stored<'a> {
    notification_text: &'a Json,
    #[serde(flatten)]
    members: Members<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
}

const KNOWN: &[&str] = &[
    "notification_text",
    "senders_config",
    "title",
    "level",
    "status",
    "fields",
    "link",
    "timestamp",
    "dedup_key",
    "receivers",
    "template",
    "data",
    "idempotency_key",
    "dry_run",
];

/// Reads a body and the headers that belong to it (names in lower case).
pub fn read(
    bytes: &[u8],
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
) -> Result<Request, Problem> {
    if bytes.is_empty() {
        return Err(error(
            "no_body",
            NO_BODY,
            "POST a JSON object with notification_text and senders_config.",
        ));
    }
    if bytes.len() > MAX_BODY_BYTES {
        return Err(too_large(bytes.len()));
    }
    let mut warnings = Warnings::default();
    let text = decode(bytes, &mut warnings)?;
    of_text(&text, headers, options, warnings)
}

/// Reads what [`Request::without_destinations`] has written, which may be longer than a body.
pub fn read_stored(text: &str, options: &ReadOptions) -> Result<Request, Problem> {
    of_text(text, &BTreeMap::new(), options, Warnings::default())
}

/// A body of so many bytes is not read.
pub fn too_large(bytes: usize) -> Problem {
    error(
        "too_large",
        &format!("The request body has {bytes} bytes; at most {MAX_BODY_BYTES} are taken."),
        "Shorten notification_text, or send it in several requests.",
    )
}

fn decode(bytes: &[u8], warnings: &mut Warnings) -> Result<String, Problem> {
    let decoded = encoding::decode(bytes).map_err(|no_text| {
        error(
            "invalid_encoding",
            &format!(
                "{INVALID_JSON} It is no {}: the byte at offset {} cannot stand there.",
                no_text.encoding, no_text.offset
            ),
            "Send the body as UTF-8.",
        )
    })?;
    if decoded.replaced_surrogates {
        warnings.push(|| "the body holds lone surrogates; each became U+FFFD".to_owned());
    }
    Ok(decoded.text)
}

fn of_text(
    text: &str,
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
    mut warnings: Warnings,
) -> Result<Request, Problem> {
    let parsed = json::parse(text).map_err(|problem| {
        error(
            "invalid_json",
            &format!(
                "{INVALID_JSON} At line {}, column {}: {}.",
                problem.line, problem.column, problem.what
            ),
            "Check the body with a JSON linter; a shell needs quotes around it.",
        )
    })?;
    warnings.append(parsed.duplicates, |path| {
        format!("{path}: the key stands twice; the last value counts")
    });
    warnings.append(parsed.not_finite, |path| {
        format!(
            "{path}: JSON has no such number (NaN, infinite, or beyond a double); taken as text"
        )
    });
    match parsed.json {
        Json::Object(members) => of_members(members, headers, options, warnings),
        other => Err(error(
            "invalid_json",
            &format!(
                "{INVALID_JSON} It must be an object, found {}.",
                other.kind()
            ),
            "POST a JSON object with notification_text and senders_config.",
        )),
    }
}

/// Reads the members of a request's object, and adds to what there is to warn of.
fn of_members(
    members: Vec<(String, Json)>,
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
    warnings: Warnings,
) -> Result<Request, Problem> {
    let fingerprint = fingerprint(&members);
    let mut reader = Reader::new(members, warnings);
    let text = reader.notification_text()?;
    let receivers = reader.receivers()?;
    let senders = reader.senders()?;
    let dry_run = reader.dry_run()?;
    let idempotency_key = reader.idempotency_key(headers)?;
    let notification = reader.notification(text, &options.levels);
    let notification = members::with_text_read(notification, options);
    let template = reader.text("template");
    let data = reader.data();
    let Reader {
        warnings, unknown, ..
    } = reader;
    Ok(Request {
        notification,
        senders,
        receivers,
        dry_run,
        template,
        data,
        idempotency_key,
        fingerprint,
        unknown,
        warnings,
    })
}

fn fingerprint(members: &[(String, Json)]) -> Fingerprint {
    let mut hash = Sha256::new();
    let said = members.iter().filter(|(name, _)| name != "idempotency_key");
    json::canonical_object(said, &mut |part| hash.update(part));
    hash.finalize().into()
}

/// Takes the members of a request one after the other.
struct Reader {
    /// By [`KNOWN`].
    members: [Option<Json>; KNOWN.len()],
    unknown: Vec<String>,
    warnings: Warnings,
}

impl Reader {
    fn new(members: Vec<(String, Json)>, warnings: Warnings) -> Self {
        let mut reader = Self {
            members: [const { None }; KNOWN.len()],
            unknown: Vec::new(),
            warnings,
        };
        for (name, value) in members {
            match reader.place(&name) {
                Some(place) => *place = Some(value),
                None => reader.add_unknown(name),
            }
        }
        reader
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<Json>> {
        let mut places = KNOWN.iter().zip(&mut self.members);
        places
            .find(|(known, _)| **known == name)
            .map(|(_, place)| place)
    }

    fn add_unknown(&mut self, name: String) {
        self.warnings.push(|| {
            let meant = did_you_mean(&name, KNOWN.iter().copied());
            format!("{}: unknown field, ignored{meant}", shown(&name))
        });
        if self.unknown.len() < MAX_WARNINGS {
            self.unknown.push(name);
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.place(name)?.take()
    }

    /// A member that is neither `null` nor `""`.
    fn present(&mut self, name: &str) -> Option<Json> {
        self.take(name).filter(|value| !value.is_absent())
    }

    fn notification_text(&mut self) -> Result<Json, Problem> {
        self.take("notification_text")
            .ok_or_else(|| missing("notification_text", &self.unknown))
    }

    fn senders(&mut self) -> Result<Option<Vec<(String, Json)>>, Problem> {
        match self.take("senders_config") {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(senders)) => Ok(Some(senders)),
            Some(other) => Err(wrong_type("senders_config", "an object of senders", &other)),
        }
    }

    fn receivers(&mut self) -> Result<Vec<String>, Problem> {
        let items = match self.present("receivers") {
            None => return Ok(Vec::new()),
            Some(Json::Array(items)) => items,
            Some(other) => return Err(wrong_type("receivers", "a list of names", &other)),
        };
        let mut names = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match item {
                Json::String(name) if !name.trim().is_empty() => names.push(name),
                other => {
                    let path = Path::root().key("receivers").index(index);
                    return Err(wrong_type(path.as_str(), "a name", &other));
                }
            }
        }
        let mut known = HashSet::with_capacity(names.len());
        names.retain(|name| known.insert(name.clone()));
        Ok(names)
    }

    fn dry_run(&mut self) -> Result<bool, Problem> {
        match self.present("dry_run") {
            None => Ok(false),
            Some(Json::Bool(dry_run)) => Ok(dry_run),
            // Rather no message than one that was meant as a test.
            Some(other) => Err(wrong_type("dry_run", "true or false", &other)),
        }
    }

    fn idempotency_key(
        &mut self,
        headers: &BTreeMap<String, String>,
    ) -> Result<Option<String>, Problem> {
        let header = headers.get("idempotency-key").map(|value| value.trim());
        let header = header.filter(|value| !value.is_empty());
        let field = match self.present("idempotency_key") {
            None => None,
            Some(Json::String(key)) => Some(key),
            Some(other) => return Err(wrong_type("idempotency_key", "a string", &other)),
        };
        if let (Some(header), Some(field)) = (header, &field)
            && header != field
        {
            return Err(Problem {
                location: Location::path("idempotency_key"),
                ..error(
                    "idempotency_conflict",
                    "The header Idempotency-Key and the field idempotency_key differ.",
                    "Give the key in one place.",
                )
            });
        }
        match header.map(str::to_owned).or(field) {
            Some(key) if key.len() > MAX_KEY_BYTES => Err(Problem {
                location: Location::path("idempotency_key"),
                ..error(
                    "invalid_field",
                    &format!("The idempotency key is longer than {MAX_KEY_BYTES} bytes."),
                    "Use a UUID.",
                )
            }),
            key => Ok(key),
        }
    }

    /// The text with all that is optional; what cannot be used is left out, with a warning.
    fn notification(&mut self, text: Json, levels: &LevelMap) -> Notification {
        Notification {
            text,
            title: self.text("title"),
            level: self.level(levels),
            level_in_text: None,
            status: self.read("status", members::status).flatten(),
            fields: self.fields(),
            link: self.read("link", members::link).flatten(),
            timestamp: self.read("timestamp", members::timestamp).flatten(),
            dedup_key: self.read("dedup_key", members::dedup_key),
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.present(name)? {
            Json::String(text) => Some(text),
            other => {
                self.warn_type(name, "a string", &other);
                None
            }
        }
    }

    /// What is made of a text.
    fn read<T>(&mut self, name: &str, read: impl FnOnce(&str, &mut Warnings) -> T) -> Option<T> {
        let text = self.text(name)?;
        Some(read(&text, &mut self.warnings))
    }

    fn level(&mut self, levels: &LevelMap) -> Option<Level> {
        let found = self.present("level")?;
        match found.as_word() {
            Some(word) => members::level(word, levels, &mut self.warnings),
            None => Some(members::unknown_level(found.kind(), &mut self.warnings)),
        }
    }

    fn fields(&mut self) -> Vec<(String, Json)> {
        let mut fields = match self.present("fields") {
            None => return Vec::new(),
            Some(Json::Object(fields)) => fields,
            Some(other) => {
                self.warn_type("fields", "an object", &other);
                return Vec::new();
            }
        };
        fields.retain(|(name, value)| match value {
            Json::Null => false,
            Json::String(_) | Json::Number(_) | Json::Bool(_) => true,
            other => {
                self.warnings.push(|| {
                    let path = Path::root().key("fields").key(name);
                    let expected = "a string, a number or a boolean";
                    of_wrong_type(path.as_str(), expected, other)
                });
                false
            }
        });
        fields
    }

    fn data(&mut self) -> Option<Arc<Json>> {
        match self.present("data")? {
            data @ Json::Object(_) => Some(Arc::new(data)),
            other => {
                self.warn_type("data", "an object", &other);
                None
            }
        }
    }

    fn warn_type(&mut self, name: &str, expected: &str, found: &Json) {
        self.warnings.push(|| of_wrong_type(name, expected, found));
    }
}

fn of_wrong_type(name: &str, expected: &str, found: &Json) -> String {
    let found = found.kind();
    format!("{name}: must be {expected}, found {found}; left out")
}

const MAX_KEY_BYTES: usize = 1024;

/// The request names no destination, where nothing else gives one.
pub fn no_destination(request: &Request) -> Problem {
    missing("senders_config", &request.unknown)
}
