//! Parses a body as a request. Every error has its location.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problems::{FORMS, INVALID_JSON, NO_BODY, error, missing};
use super::reader::MemberReader;
use super::stored_group::{self, GROUP, SENT_LEVELS, StoredGroup};
use super::{encoding, members};
use crate::json::{self, Json};
use crate::model::notification::{Notification, NotificationMembers};
use crate::model::plan::Fingerprint;
use crate::model::problem::Problem;
use crate::model::read_options::ReadOptions;
use crate::warnings::Warnings;

/// The plugin refuses larger bodies.
pub const MAX_BODY_BYTES: usize = 1_048_576;

/// A caller's request.
#[derive(Debug)]
pub struct Request {
    pub notification: Arc<Notification>,
    /// Each sender with its configuration, in the order of the request. `None`: the request has no `senders_config`.
    pub senders: Option<Vec<(String, Json)>>,
    /// The names of receivers in order, without duplicates.
    pub receivers: Vec<String>,
    pub dry_run: bool,
    /// The name of the template that renders the text.
    pub template: Option<String>,
    /// The data for templates.
    pub data: Option<Arc<Json>>,
    pub idempotency_key: Option<String>,
    /// A value that is equal for all bodies with the same meaning. It does not depend on the key's position or the
    /// members' order.
    pub fingerprint: Fingerprint,
    /// The first undocumented members, which may be misspelt.
    pub unknown: Vec<String>,
    /// The times of an alert that another system reports.
    pub alert: Option<ReportedAlert>,
    pub warnings: Warnings,
}

/// The times of an alert that Prometheus, Alertmanager or Grafana reports. They report a firing alert again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedAlert {
    pub starts_at: Option<Timestamp>,
    /// The end. An alert that fires until a time of the future resolves then, unless it is reported again.
    pub ends_at: Option<Timestamp>,
}

impl Request {
    /// Returns a request for a notification without a caller.
    pub fn of_notification(notification: Arc<Notification>) -> Self {
        Self {
            notification,
            senders: None,
            receivers: Vec::new(),
            dry_run: false,
            template: None,
            data: None,
            idempotency_key: None,
            fingerprint: [0; 32],
            unknown: Vec::new(),
            alert: None,
            warnings: Warnings::default(),
        }
    }

    /// Returns an idempotency key of a reported alert: every report of the alert since it began has the same one, and the
    /// report of its end another.
    pub fn report_key(&self) -> Option<String> {
        let starts_at = self.alert?.starts_at?;
        let key = self.notification.dedup_key.as_ref()?;
        let status = self.notification.status?;
        Some(format!("alert:{key}:{status}:{starts_at}"))
    }

    /// Returns the request with a notification as JSON, but without destinations, so that it can be stored in plain
    /// text. Omits undocumented members: one may be a misspelt destination with secrets.
    pub fn without_destinations(&self, notification: &Notification) -> String {
        let stored = StoredRequestJson {
            notification_text: &notification.text,
            members: NotificationMembers::of(notification),
            group: notification.group.as_deref().map(StoredGroup::of),
            sent_levels: stored_group::level_words(&notification.sent_levels),
            template: self.template.as_deref(),
            data: self.data.as_deref(),
        };
        serde_json::to_string(&stored).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct StoredRequestJson<'a> {
    notification_text: &'a Json,
    #[serde(flatten)]
    members: NotificationMembers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<StoredGroup<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sent_levels: Vec<Option<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Json>,
}

/// Reads a body with a request, and its headers (names in lower case).
pub fn read(
    bytes: &[u8],
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
) -> Result<Request, Problem> {
    let mut warnings = Warnings::default();
    let body = parse(bytes, &mut warnings)?;
    of_json(body, headers, options, warnings)
}

/// Parses the JSON of a body.
pub(super) fn parse(bytes: &[u8], warnings: &mut Warnings) -> Result<Json, Problem> {
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
    let text = decode(bytes, warnings)?;
    parse_text(&text, warnings)
}

/// Reads the output of [`Request::without_destinations`], which may be longer than a body.
pub fn read_stored(text: &str, options: &ReadOptions) -> Result<Request, Problem> {
    let mut warnings = Warnings::default();
    let mut body = parse_text(text, &mut warnings)?;
    let mut take = |name: &str| match &mut body {
        Json::Object(members) => {
            let found = members.iter().position(|(known, _)| known == name);
            found.map(|at| members.swap_remove(at).1)
        }
        _ => None,
    };
    let group = take(GROUP).and_then(|group| stored_group::read(&group));
    let sent_levels = take(SENT_LEVELS).map(|levels| stored_group::read_levels(&levels));
    let mut request = of_json(body, &BTreeMap::new(), options, warnings)?;
    if group.is_some() || sent_levels.is_some() {
        let notification = Arc::make_mut(&mut request.notification);
        notification.group = group.map(Arc::new);
        notification.sent_levels = sent_levels.unwrap_or_default();
    }
    Ok(request)
}

/// Reports a body that is too large to read.
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

fn parse_text(text: &str, warnings: &mut Warnings) -> Result<Json, Problem> {
    let parsed = json::parse(text).map_err(|problem| {
        error(
            "invalid_json",
            &format!(
                "{INVALID_JSON} At line {}, column {}: {}.",
                problem.line, problem.column, problem.message
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
    Ok(parsed.json)
}

/// Reads a request from its JSON.
pub(super) fn of_json(
    body: Json,
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
    warnings: Warnings,
) -> Result<Request, Problem> {
    match body {
        Json::Object(members) => of_members(members, headers, options, warnings),
        other => Err(error(
            "invalid_json",
            &format!(
                "{INVALID_JSON} It must be an object, found {}.",
                other.kind()
            ),
            FORMS,
        )),
    }
}

/// Reads the members of a request's object and adds warnings.
fn of_members(
    members: Vec<(String, Json)>,
    headers: &BTreeMap<String, String>,
    options: &ReadOptions,
    warnings: Warnings,
) -> Result<Request, Problem> {
    let fingerprint = fingerprint(&members);
    let mut reader = MemberReader::new(members, warnings);
    let text = reader.notification_text()?;
    let receivers = reader.receivers()?;
    let senders = reader.senders()?;
    let dry_run = reader.dry_run()?;
    let idempotency_key = reader.idempotency_key(headers)?;
    let notification = reader.notification(text, &options.levels);
    let notification = members::with_extracted(notification, options);
    let template = reader.text("template");
    let data = reader.data();
    let MemberReader {
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
        alert: None,
        warnings,
    })
}

fn fingerprint(members: &[(String, Json)]) -> Fingerprint {
    let mut hash = Sha256::new();
    let content = members.iter().filter(|(name, _)| name != "idempotency_key");
    json::canonical_object(content, &mut |part| hash.update(part));
    hash.finalize().into()
}

/// Reports a request without a destination.
pub fn no_destination(request: &Request) -> Problem {
    missing("senders_config", &request.unknown)
}
