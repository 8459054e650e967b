//! Prometheus Alertmanager: `POST /api/v2/alerts`, and by GET the alerts that fire, there and in groups by `alertname` below
//! `/groups`.
//!
//! The checks are those of [Alertmanager: API v2 handler; go-openapi]. `make test-servers` runs the tests against a real one. A
//! request with an invalid structure is rejected with 422. If some alerts are invalid, the valid ones are accepted and the reply
//! is 400 [Alertmanager: api/v2/api.go, postAlertsHandler].

use std::collections::BTreeMap;

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Call, Provider, Verdict, too_many};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "alertmanager",
    paths: &[ALERTS],
    handle,
    too_many,
};

const ALERTS: &str = "/api/v2/alerts";
const GROUPS: &str = "/groups";

fn handle(world: &World, call: &Call) -> Verdict {
    match (&call.method, call.path.strip_prefix(ALERTS)) {
        (&Method::POST, Some("")) => take(call),
        (&Method::GET, Some("")) => lookup(Reply::json(200, &firing(world, call).into())),
        (&Method::GET, Some(GROUPS)) => lookup(Reply::json(200, &groups(firing(world, call)))),
        (_, Some("" | GROUPS)) => Verdict::rejected(Reply::error(405, "GET or POST"), "no POST"),
        _ => Verdict::rejected(Reply::error(404, "path was not found"), "no such path"),
    }
}

fn lookup(reply: Reply) -> Verdict {
    Verdict {
        accepted: false,
        ..Verdict::plain(reply)
    }
}

fn take(call: &Call) -> Verdict {
    let body = call.json().ok().filter(|_| call.is_json());
    let Some(Value::Array(alerts)) = body else {
        return Verdict::rejected(unprocessable("alerts in body must be an array"), "no array");
    };
    if let Some(reply) = alerts.iter().find_map(|alert| check_form(alert).err()) {
        let problem = String::from_utf8_lossy(&reply.body).into_owned();
        return Verdict::rejected(reply, problem);
    }
    let (mut valid, mut errors) = (Vec::new(), Vec::new());
    for alert in alerts {
        match check(&alert) {
            Ok(()) => valid.push(alert),
            Err(error) => errors.push(error),
        }
    }
    let text = |name| valid.first()?.pointer(name)?.as_str();
    let message = Message {
        provider: "alertmanager",
        destination: call.full_path.clone(),
        text: text("/annotations/description")
            .unwrap_or_default()
            .to_owned(),
        mentions: Vec::new(),
        id: None,
        detail: valid.clone().into(),
    };
    if errors.is_empty() {
        return Verdict::accepted(Reply::empty(200), message);
    }
    let errors = errors.join("\n");
    Verdict {
        message: (!valid.is_empty()).then_some(message),
        ..Verdict::rejected(Reply::json(400, &json!(errors)), errors)
    }
}

/// The firing alerts of this address: the last state of each label set.
fn firing(world: &World, call: &Call) -> Vec<Value> {
    let place = call.full_path.trim_end_matches(GROUPS);
    let messages = world
        .messages
        .newest(|message| message.provider == "alertmanager" && message.destination == place);
    let mut latest: BTreeMap<String, Value> = BTreeMap::new();
    for alerts in messages.into_iter().rev() {
        for alert in alerts.as_array().into_iter().flatten() {
            let labels: BTreeMap<_, _> =
                alert["labels"].as_object().into_iter().flatten().collect();
            latest.insert(format!("{labels:?}"), alert.clone());
        }
    }
    let goes_on = |alert: &Value| {
        let ends = alert["endsAt"]
            .as_str()
            .and_then(|time| time.parse::<Timestamp>().ok());
        ends.is_none_or(|ends| ends > Timestamp::now())
    };
    latest.into_values().filter(goes_on).collect()
}

fn groups(alerts: Vec<Value>) -> Value {
    let mut groups: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for alert in alerts {
        let name = alert["labels"]["alertname"].as_str().unwrap_or_default();
        groups.entry(name.to_owned()).or_default().push(alert);
    }
    let groups = groups.into_iter().map(|(name, alerts)| {
        json!({ "labels": { "alertname": name }, "receiver": { "name": "standin" }, "alerts": alerts })
    });
    groups.collect()
}

/// The 422 reply to a request with an invalid structure.
fn unprocessable(what: &str) -> Reply {
    Reply::json(422, &json!({ "code": 602, "message": what }))
}

fn check_form(alert: &Value) -> Result<(), Reply> {
    let labels = alert.get("labels").and_then(Value::as_object);
    labels.ok_or_else(|| unprocessable("labels in body is required"))?;
    for name in ["labels", "annotations"] {
        let pairs = alert.get(name).unwrap_or(&Value::Null);
        let is_map = pairs.is_null()
            || pairs
                .as_object()
                .is_some_and(|pairs| pairs.values().all(Value::is_string));
        if !is_map {
            return Err(unprocessable(&format!(
                "{name} in body must be of type string"
            )));
        }
    }
    for name in ["startsAt", "endsAt"] {
        time(alert, name)
            .map_err(|_| unprocessable(&format!("{name} in body must be of type date-time")))?;
    }
    let url = alert.get("generatorURL").and_then(Value::as_str);
    if url.is_some_and(|url| !url.starts_with("http") || url.contains(' ')) {
        return Err(unprocessable("generatorURL in body must be of type uri"));
    }
    Ok(())
}

fn time(alert: &Value, name: &str) -> Result<Option<Timestamp>, jiff::Error> {
    let text = alert.get(name).and_then(Value::as_str);
    text.map(str::parse).transpose()
}

/// Validates an alert with a valid structure [Alertmanager: alert/alert.go, Validate]. Empty labels are ignored.
fn check(alert: &Value) -> Result<(), String> {
    let times = (time(alert, "startsAt"), time(alert, "endsAt"));
    if let (Ok(Some(starts)), Ok(Some(ends))) = times
        && ends < starts
    {
        return Err("start time must be before end time".to_owned());
    }
    let is_empty = |pairs: &Map<String, Value>| pairs.values().all(|value| value == "");
    let pairs = |name| alert.get(name).and_then(Value::as_object);
    if pairs("labels").is_none_or(is_empty) {
        return Err("at least one label pair required".to_owned());
    }
    let names = [("labels", "label set"), ("annotations", "annotations")];
    for (member, words) in names {
        let mut names = pairs(member).into_iter().flat_map(Map::keys);
        if let Some(name) = names.find(|name| !is_name(name)) {
            return Err(format!("invalid {words}: invalid name {name:?}"));
        }
    }
    Ok(())
}

/// The rule of versions before 0.27.
fn is_name(name: &str) -> bool {
    let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let mut bytes = name.bytes();
    bytes.next().is_some_and(first) && bytes.all(|byte| first(byte) || byte.is_ascii_digit())
}
