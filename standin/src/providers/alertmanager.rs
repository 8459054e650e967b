//! Prometheus Alertmanager: `POST /api/v2/alerts`.
//!
//! What it checks is in [Alertmanager: API v2 handler; go-openapi]; the real one is asked by `make test-servers`.

use hyper::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, Call, Provider, too_many};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "alertmanager",
    paths: &["/api/v2/alerts"],
    answer: |_: &World, call| answer(call),
    too_many,
};

fn answer(call: &Call) -> Answer {
    if call.method != Method::POST {
        return Answer::refused(Reply::error(405, "POST"), "no POST");
    }
    let body = call.json().ok().filter(|_| call.is_json());
    let Some(Value::Array(alerts)) = body else {
        return Answer::refused(unprocessable("alerts in body must be an array"), "no array");
    };
    for alert in &alerts {
        if let Err(reply) = check(alert) {
            let problem = String::from_utf8_lossy(&reply.body).into_owned();
            return Answer::refused(reply, problem);
        }
    }
    let text = |name| alerts.first()?.pointer(name)?.as_str();
    let message = Message {
        provider: "alertmanager",
        destination: call.full_path.clone(),
        text: text("/annotations/description")
            .unwrap_or_default()
            .to_owned(),
        mentions: Vec::new(),
        id: None,
        detail: alerts.into(),
    };
    Answer::accepted(Reply::empty(200), message)
}

/// From the check of the request's form.
fn unprocessable(what: &str) -> Reply {
    Reply::json(422, &json!({ "code": 602, "message": what }))
}

fn check(alert: &Value) -> Result<(), Reply> {
    let labels = alert.get("labels").and_then(Value::as_object);
    let labels = labels.ok_or_else(|| unprocessable("labels in body is required"))?;
    check_names(labels)?;
    if let Some(annotations) = alert.get("annotations").and_then(Value::as_object) {
        check_names(annotations)?;
    }
    let invalid = |what: &str| Reply::json(400, &json!(what));
    if labels.values().all(|value| value.as_str() == Some("")) {
        return Err(invalid("at least one label pair required"));
    }
    let time = |name| match alert.get(name).and_then(Value::as_str) {
        None => Ok(None),
        Some(text) => match text.parse::<Timestamp>() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(unprocessable(&format!(
                "{name} in body must be of type date-time"
            ))),
        },
    };
    let (starts, ends) = (time("startsAt")?, time("endsAt")?);
    if starts.zip(ends).is_some_and(|(starts, ends)| ends < starts) {
        return Err(invalid("start time must be before end time"));
    }
    let url = alert.get("generatorURL").and_then(Value::as_str);
    if url.is_some_and(|url| !url.starts_with("http") || url.contains(' ')) {
        return Err(unprocessable("generatorURL in body must be of type uri"));
    }
    Ok(())
}

fn check_names(pairs: &Map<String, Value>) -> Result<(), Reply> {
    for (name, value) in pairs {
        let first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        let mut bytes = name.bytes();
        let is_name = bytes.next().is_some_and(first)
            && bytes.all(|byte| first(byte) || byte.is_ascii_digit());
        if !is_name {
            return Err(Reply::json(400, &json!(format!("invalid name {name:?}"))));
        }
        if !value.is_string() {
            return Err(unprocessable(&format!(
                "{name} in body must be of type string"
            )));
        }
    }
    Ok(())
}
