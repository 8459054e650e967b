//! Opsgenie: `POST /v2/alerts`, and `POST /v2/alerts/{alias}/close` and `/acknowledge` with `identifierType=alias`. The same
//! paths below `/jsm/ops/integration` are Jira Service Management.
//!
//! Limits are those of [Opsgenie docs: alert fields], counted in UTF-16 code units; replies those of [Opsgenie docs: response].
//! Keys that begin with `bad` are invalid.

use hyper::Method;
use hyper::header::AUTHORIZATION;
use serde_json::{Map, Value, json};

use super::{Call, Provider, Verdict, utf16_units};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "opsgenie",
    paths: &[ALERTS],
    handle: |world, call| handle(world, call, "opsgenie", &call.path),
    too_many,
};

pub const JSM: Provider = Provider {
    name: "jsm",
    paths: &["/jsm/ops/integration/v2/alerts"],
    handle: |world, call| {
        let path = call.path.strip_prefix("/jsm/ops/integration");
        handle(world, call, "jsm", path.unwrap_or_default())
    },
    too_many,
};

const ALERTS: &str = "/v2/alerts";

fn too_many(_: &Call) -> Reply {
    let message = "You are making too many requests!";
    Reply::json(
        429,
        &json!({ "message": message, "took": 0.001, "requestId": "r" }),
    )
    .with("x-ratelimit-state", "THROTTLED")
    .with("x-ratelimit-period-in-sec", "60")
}

/// Fields of an alert, and the maximum length of their values.
const LONGEST: [(&str, usize); 7] = [
    ("message", 130),
    ("alias", 512),
    ("entity", 512),
    ("description", 15_000),
    ("source", 100),
    ("user", 100),
    ("note", 25_000),
];
const MAX_DETAILS: usize = 8_000;
/// The maximum number of entries, and the maximum length of each.
const MAX_TAGS: (usize, usize) = (20, 50);
const MAX_ACTIONS: (usize, usize) = (10, 50);
const MAX_RESPONDERS: usize = 50;

fn handle(world: &World, call: &Call, provider: &'static str, path: &str) -> Verdict {
    let id = format!("43a29c5c-3dbf-4fa4-9c26-{:012}", world.next_id());
    let refuse = |status, message: &str, errors: Value| {
        let body = json!({ "message": message, "errors": errors, "took": 0.001, "requestId": id });
        Verdict::rejected(Reply::json(status, &body), format!("{message} {errors}"))
    };
    let key = call.header(AUTHORIZATION).strip_prefix("GenieKey ");
    if key.is_none_or(|key| key.is_empty() || key.starts_with("bad")) {
        return refuse(401, "Could not authenticate", Value::Null);
    }
    let body = call
        .json()
        .ok()
        .filter(|_| call.is_json() && call.method == Method::POST);
    let Some(Value::Object(body)) = body else {
        return refuse(400, "Request body is not valid JSON", Value::Null);
    };
    let change = change(call, path);
    let checked = match change {
        Some(_) => check_lengths(&body, &[("note", 25_000), ("source", 100), ("user", 100)]),
        None if path != ALERTS => return refuse(404, "No handler found", Value::Null),
        None => check_alert(&body),
    };
    if let Err((field, what)) = checked {
        let message = "Request body is not processable. Please check the errors.";
        return refuse(422, message, json!({ field: what }));
    }
    let text = |name| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let shown = match change {
        Some((alias, verb)) => format!("{verb} {alias}: {}", text("note")),
        // Without a title the message is the beginning of the description.
        None if text("description").is_empty() => text("message").to_owned(),
        None => text("description").to_owned(),
    };
    let message = Message {
        provider,
        destination: call.full_path.clone(),
        text: shown,
        mentions: Vec::new(),
        id: Some(id.clone()),
        detail: body.into(),
    };
    let taken = json!({ "result": "Request will be processed", "took": 0.302, "requestId": id });
    Verdict::accepted(Reply::json(202, &taken), message)
}

/// The alias and the action in the path.
fn change<'a>(call: &Call, path: &'a str) -> Option<(&'a str, &'a str)> {
    let (alias, verb) = path.strip_prefix("/v2/alerts/")?.split_once('/')?;
    let by_alias = call.parameter("identifierType").as_deref() == Some("alias");
    (by_alias && matches!(verb, "close" | "acknowledge")).then_some((alias, verb))
}

type Wrong = (&'static str, &'static str);

fn check_lengths(
    body: &Map<String, Value>,
    longest: &[(&'static str, usize)],
) -> Result<(), Wrong> {
    for (name, longest) in longest {
        match body.get(*name) {
            None => {}
            Some(Value::String(text)) if utf16_units(text) <= *longest => {}
            Some(_) => return Err((*name, "is too long, or no text")),
        }
    }
    Ok(())
}

fn check_alert(body: &Map<String, Value>) -> Result<(), Wrong> {
    if body
        .get("message")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err(("message", "Message can not be empty."));
    }
    check_lengths(body, &LONGEST)?;
    let priority = body.get("priority").map_or(Some("P3"), Value::as_str);
    if !priority.is_some_and(|priority| matches!(priority, "P1" | "P2" | "P3" | "P4" | "P5")) {
        return Err(("priority", "should be one of [ P1, P2, P3, P4, P5 ]"));
    }
    let details = body
        .get("details")
        .map_or(Some(Map::new()), |details| details.as_object().cloned());
    let sum = details.ok_or(("details", "must be a map"))?;
    let lengths: Option<Vec<usize>> = sum
        .iter()
        .map(|(name, value)| Some(utf16_units(name) + utf16_units(value.as_str()?)))
        .collect();
    if lengths
        .ok_or(("details", "must be texts"))?
        .iter()
        .sum::<usize>()
        > MAX_DETAILS
    {
        return Err(("details", "are too long"));
    }
    check_list(body, "tags", MAX_TAGS)?;
    check_list(body, "actions", MAX_ACTIONS)?;
    check_people(
        body,
        "responders",
        &["team", "user", "escalation", "schedule"],
    )?;
    check_people(body, "visibleTo", &["team", "user"])
}

fn check_list(
    body: &Map<String, Value>,
    name: &'static str,
    (most, longest): (usize, usize),
) -> Result<(), Wrong> {
    let Some(list) = body.get(name) else {
        return Ok(());
    };
    let fits = |one: &Value| {
        one.as_str()
            .is_some_and(|text| utf16_units(text) <= longest)
    };
    match list.as_array() {
        Some(list) if list.len() <= most && list.iter().all(fits) => Ok(()),
        _ => Err((name, "are too many or too long")),
    }
}

/// Responders, each with a type and an ID or name [Opsgenie docs: alert fields].
fn check_people(
    body: &Map<String, Value>,
    name: &'static str,
    types: &[&str],
) -> Result<(), Wrong> {
    let Some(list) = body.get(name) else {
        return Ok(());
    };
    let is_named = |one: &Value| {
        ["id", "name", "username"]
            .iter()
            .any(|key| one[*key].is_string())
    };
    let is_valid = |one: &Value| {
        one["type"]
            .as_str()
            .is_some_and(|kind| types.contains(&kind))
            && is_named(one)
    };
    match list.as_array() {
        Some(list) if list.len() <= MAX_RESPONDERS && list.iter().all(is_valid) => Ok(()),
        _ => Err((name, "have a member that is invalid")),
    }
}
