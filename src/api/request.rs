//! A body's bytes to a request; every error with the place where it is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use url::Url;

use super::encoding;
use crate::model::json::{self, Json, Path};
use crate::model::notification::{Level, Notification, Status};
use crate::model::plan::Fingerprint;
use crate::model::text::{did_you_mean, nearest, printable, truncate};

/// Bodies beyond this are refused.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// What a caller asks for.
#[derive(Debug)]
pub struct Request {
    pub notification: Notification,
    /// Each sender with its configuration, in the order of the request; `None` where there is no `senders_config`.
    pub senders: Option<Vec<(String, Json)>>,
    /// Names of receivers, in order, each once.
    pub receivers: Vec<String>,
    pub dry_run: bool,
    /// The template that makes the text, by name.
    pub template: Option<String>,
    /// For templates.
    pub data: Option<Json>,
    pub idempotency_key: Option<String>,
    /// The same for all bodies that mean the same, wherever the key stands and in whatever order the members do.
    pub fingerprint: Fingerprint,
    /// Members that are not documented: one of them may be meant to be another.
    pub unknown: Vec<String>,
    pub warnings: Vec<String>,
    members: Vec<(String, Json)>,
}

impl Request {
    /// The request as JSON, without whom it goes to: what may be kept as it is. A member that is not documented may be a
    /// misspelt one of those, with secrets.
    pub fn without_destinations(&self) -> String {
        let kept = |(name, _): &&(String, Json)| {
            KNOWN.contains(&name.as_str()) && !DESTINATIONS.contains(&name.as_str())
        };
        let members = self.members.iter().filter(kept).cloned().collect();
        serde_json::to_string(&Json::Object(members)).unwrap_or_default()
    }
}

/// Members that say where to, and by what key.
const DESTINATIONS: &[&str] = &["senders_config", "receivers", "idempotency_key"];

/// Why no request could be read. Nothing was sent.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestError {
    pub code: &'static str,
    pub message: String,
    pub path: Option<String>,
    pub hint: String,
}

/// Sentences that users of the Python plugin know.
const NO_BODY: &str = "No request body provided.";
const INVALID_JSON: &str = "Invalid JSON in request body.";
const MISSING_FIELDS: &str = "Missing required fields: 'senders_config' or 'notification_text'.";

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
pub fn read(bytes: &[u8], headers: &BTreeMap<String, String>) -> Result<Request, RequestError> {
    if bytes.is_empty() {
        return Err(error(
            "no_body",
            NO_BODY,
            "POST a JSON object with notification_text and senders_config.",
        ));
    }
    if bytes.len() > MAX_BODY_BYTES {
        return Err(error(
            "too_large",
            &format!(
                "The request body has {} bytes; at most {MAX_BODY_BYTES} are taken.",
                bytes.len()
            ),
            "Shorten notification_text, or send it in several requests.",
        ));
    }
    let mut warnings = Vec::new();
    match parse(bytes, &mut warnings)? {
        Json::Object(members) => of_members(members, headers, warnings),
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
pub fn of_members(
    members: Vec<(String, Json)>,
    headers: &BTreeMap<String, String>,
    mut warnings: Vec<String>,
) -> Result<Request, RequestError> {
    let mut reader = Reader {
        members: &members,
        unknown: warn_unknown(&members, &mut warnings),
        warnings,
    };
    let text = reader.notification_text()?;
    let receivers = reader.receivers()?;
    let senders = reader.senders()?;
    let dry_run = reader.dry_run()?;
    let idempotency_key = reader.idempotency_key(headers)?;
    let notification = reader.notification(text);
    let template = reader.text("template").map(str::to_owned);
    let data = reader.data();
    let Reader {
        warnings, unknown, ..
    } = reader;
    let fingerprint = fingerprint(&members);
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
        members,
    })
}

fn parse(bytes: &[u8], warnings: &mut Vec<String>) -> Result<Json, RequestError> {
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
        warnings.push("the body holds lone surrogates; each became U+FFFD".to_owned());
    }
    let parsed = json::parse(&decoded.text).map_err(|problem| {
        error(
            "invalid_json",
            &format!(
                "{INVALID_JSON} At line {}, column {}: {}.",
                problem.line, problem.column, problem.what
            ),
            "Check the body with a JSON linter; a shell needs quotes around it.",
        )
    })?;
    for path in parsed.duplicates {
        warnings.push(format!(
            "{path}: the key stands twice; the last value counts"
        ));
    }
    Ok(parsed.json)
}

fn fingerprint(members: &[(String, Json)]) -> Fingerprint {
    let mut hash = Sha256::new();
    let said = members.iter().filter(|(name, _)| name != "idempotency_key");
    json::canonical_object(said, &mut |part| hash.update(part));
    hash.finalize().into()
}

struct Reader<'a> {
    members: &'a [(String, Json)],
    unknown: Vec<String>,
    warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    fn notification_text(&self) -> Result<Json, RequestError> {
        let text = self.member("notification_text");
        text.cloned()
            .ok_or_else(|| missing("notification_text", &self.unknown))
    }

    fn senders(&self) -> Result<Option<Vec<(String, Json)>>, RequestError> {
        match self.member("senders_config") {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(senders)) => Ok(Some(senders.clone())),
            Some(other) => Err(wrong_type("senders_config", "an object of senders", other)),
        }
    }

    fn receivers(&self) -> Result<Vec<String>, RequestError> {
        let Some(value) = self.present("receivers") else {
            return Ok(Vec::new());
        };
        let Json::Array(items) = value else {
            return Err(wrong_type("receivers", "a list of names", value));
        };
        let mut names = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = Path::root().key("receivers").index(index);
            let name = item.as_str().filter(|name| !name.trim().is_empty());
            let name = name.ok_or_else(|| wrong_type(path.as_str(), "a name", item))?;
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn dry_run(&self) -> Result<bool, RequestError> {
        match self.present("dry_run") {
            None => Ok(false),
            Some(Json::Bool(dry_run)) => Ok(*dry_run),
            // Rather no message than one that was meant as a test.
            Some(other) => Err(wrong_type("dry_run", "true or false", other)),
        }
    }

    fn idempotency_key(
        &self,
        headers: &BTreeMap<String, String>,
    ) -> Result<Option<String>, RequestError> {
        let header = headers.get("idempotency-key").map(|value| value.trim());
        let header = header.filter(|value| !value.is_empty());
        let field = match self.present("idempotency_key") {
            None => None,
            Some(Json::String(key)) => Some(key.as_str()),
            Some(other) => return Err(wrong_type("idempotency_key", "a string", other)),
        };
        if let (Some(header), Some(field)) = (header, field)
            && header != field
        {
            return Err(RequestError {
                path: Some("idempotency_key".to_owned()),
                ..error(
                    "idempotency_conflict",
                    "The header Idempotency-Key and the field idempotency_key differ.",
                    "Give the key in one place.",
                )
            });
        }
        let key = header.or(field).map(str::to_owned);
        match key {
            Some(key) if key.len() > MAX_KEY_BYTES => Err(RequestError {
                path: Some("idempotency_key".to_owned()),
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
    fn notification(&mut self, text: Json) -> Notification {
        Notification {
            text,
            title: self.text("title").map(str::to_owned),
            level: self.word("level", &Level::ALL.map(Level::word), Level::parse),
            status: self.word("status", &Status::ALL.map(Status::word), Status::parse),
            fields: self.fields(),
            link: self.link(),
            timestamp: self.timestamp(),
            dedup_key: self.text("dedup_key").map(str::to_owned),
        }
    }

    fn text(&mut self, name: &str) -> Option<&'a str> {
        match self.present(name)? {
            Json::String(text) => Some(text),
            other => {
                self.warn_type(name, "a string", other);
                None
            }
        }
    }

    fn word<T>(
        &mut self,
        name: &str,
        known: &[&str],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let word = parse(text);
        if word.is_none() {
            self.warn_value(name, &format!("one of {}", known.join(", ")), text);
        }
        word
    }

    fn fields(&mut self) -> Vec<(String, Json)> {
        let Some(value) = self.present("fields") else {
            return Vec::new();
        };
        let Json::Object(members) = value else {
            self.warn_type("fields", "an object", value);
            return Vec::new();
        };
        let mut fields = Vec::with_capacity(members.len());
        for (name, value) in members {
            match value {
                Json::Null => {}
                Json::String(_) | Json::Number(_) | Json::Bool(_) => {
                    fields.push((name.clone(), value.clone()));
                }
                other => {
                    let path = Path::root().key("fields").key(name);
                    self.warn_type(path.as_str(), "a string, a number or a boolean", other);
                }
            }
        }
        fields
    }

    fn link(&mut self) -> Option<String> {
        let text = self.text("link")?;
        let url = Url::parse(text.trim()).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.filter(|url| url.as_str().len() <= MAX_LINK_BYTES);
        if url.is_none() {
            // Not quoted: it may be a webhook's, by mistake.
            self.warnings.push(format!(
                "link: must be an http or https URL of at most {MAX_LINK_BYTES} bytes; left out"
            ));
        }
        url.map(String::from)
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        let text = self.text("timestamp")?;
        let timestamp = text.trim().parse().ok();
        if timestamp.is_none() {
            let expected = "a time of RFC 3339, such as 2026-01-31T12:00:00Z";
            self.warn_value("timestamp", expected, text);
        }
        timestamp
    }

    fn data(&mut self) -> Option<Json> {
        match self.present("data")? {
            data @ Json::Object(_) => Some(data.clone()),
            other => {
                self.warn_type("data", "an object", other);
                None
            }
        }
    }

    fn warn_value(&mut self, name: &str, expected: &str, found: &str) {
        let found = truncate(&printable(found), 64);
        self.warnings.push(format!(
            "{name}: must be {expected}, found '{found}'; left out"
        ));
    }

    fn warn_type(&mut self, name: &str, expected: &str, found: &Json) {
        let found = found.kind();
        self.warnings.push(format!(
            "{name}: must be {expected}, found {found}; left out"
        ));
    }

    /// A member that is neither `null` nor `""`.
    fn present(&self, name: &str) -> Option<&'a Json> {
        self.member(name).filter(|value| !value.is_absent())
    }

    fn member(&self, name: &str) -> Option<&'a Json> {
        let mut members = self.members.iter();
        members
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

const MAX_KEY_BYTES: usize = 1024;
/// No channel takes longer ones.
const MAX_LINK_BYTES: usize = 2000;

/// Gives back the names.
fn warn_unknown(members: &[(String, Json)], warnings: &mut Vec<String>) -> Vec<String> {
    let mut unknown = Vec::new();
    for (name, _) in members {
        if KNOWN.contains(&name.as_str()) {
            continue;
        }
        let meant = did_you_mean(name, KNOWN.iter().copied());
        let shown = truncate(&printable(name), 64);
        warnings.push(format!("{shown}: unknown field, ignored{meant}"));
        unknown.push(name.clone());
    }
    unknown
}

/// The request names no destination, where nothing else gives one.
pub fn no_destination(request: &Request) -> RequestError {
    missing("senders_config", &request.unknown)
}

fn missing(field: &str, unknown: &[String]) -> RequestError {
    let meant = unknown.iter().find(|name| nearest(name, [field]).is_some());
    let hint = match meant {
        Some(name) => format!(
            "{field} is missing; is `{}` meant to be it?",
            truncate(&printable(name), 64)
        ),
        None if field == "senders_config" => {
            "Add senders_config, or receivers where the trigger has a configuration file."
                .to_owned()
        }
        None => format!("Add {field}."),
    };
    RequestError {
        path: Some(field.to_owned()),
        ..error("missing_field", MISSING_FIELDS, &hint)
    }
}

fn wrong_type(path: &str, expected: &str, found: &Json) -> RequestError {
    RequestError {
        path: Some(path.to_owned()),
        ..error(
            "invalid_field",
            &format!(
                "The field {path} must be {expected}, found {}.",
                found.kind()
            ),
            &format!("Give {path} as {expected}."),
        )
    }
}

fn error(code: &'static str, message: &str, hint: &str) -> RequestError {
    RequestError {
        code,
        message: message.to_owned(),
        path: None,
        hint: hint.to_owned(),
    }
}
