//! PagerDuty's Events API v2: `POST /v2/enqueue`.
//!
//! Limits and replies are those of [PagerDuty docs: send an event, overview; PagerDuty OpenAPI]. Keys that begin with `bad` are
//! invalid.

use hyper::Method;
use serde_json::{Value, json};

use super::{Call, Provider, Verdict, utf16_units};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "pagerduty",
    paths: &["/v2/enqueue"],
    handle,
    too_many: |_| {
        Reply::json(
            429,
            &json!({ "status": "throttle exceeded", "message": "Requests for this service are arriving too quickly. Please retry later." }),
        )
    },
};

/// [Alertmanager: pagerduty]
const MAX_EVENT: usize = 512_000;

fn handle(world: &World, call: &Call) -> Verdict {
    match validate(world, call) {
        Ok(answer) => answer,
        Err(error) => {
            let body = json!({
                "status": "invalid event", "message": "Event object is invalid", "errors": [error],
            });
            Verdict::rejected(Reply::json(400, &body), error)
        }
    }
}

fn validate(world: &World, call: &Call) -> Result<Verdict, &'static str> {
    if call.method != Method::POST || !call.is_json() {
        return Err("JSON by POST");
    }
    if call.body.len() > MAX_EVENT {
        return Err("Event is too large");
    }
    let body = call.json().map_err(|_| "no JSON")?;
    let text = |place: &str| body.pointer(place).and_then(Value::as_str);
    let key = text("/routing_key").unwrap_or_default();
    if key.len() != 32 || key.starts_with("bad") || !key.bytes().all(|b| b.is_ascii_alphanumeric())
    {
        return Err("Invalid routing key");
    }
    let dedup_key = text("/dedup_key");
    if dedup_key.is_some_and(|key| utf16_units(key) > 255) {
        return Err("'dedup_key' is too long (maximum is 255 characters)");
    }
    let action = text("/event_action").unwrap_or_default();
    match action {
        "trigger" => check_payload(&body, &text)?,
        "acknowledge" | "resolve" if dedup_key.is_some() => {}
        "acknowledge" | "resolve" => return Err("'dedup_key' is missing or blank"),
        _ => return Err("'event_action' must be one of trigger, acknowledge, resolve"),
    }
    let id = dedup_key.map_or_else(|| format!("event{}", world.next_id()), str::to_owned);
    let summary = text("/payload/summary").unwrap_or(action);
    let shown = text("/payload/custom_details/notification_text").unwrap_or(summary);
    let reply = json!({ "status": "success", "message": "Event processed", "dedup_key": id });
    let message = Message {
        provider: "pagerduty",
        destination: call.full_path.clone(),
        text: shown.to_owned(),
        mentions: Vec::new(),
        id: Some(id),
        detail: body.clone(),
    };
    Ok(Verdict::accepted(Reply::json(202, &reply), message))
}

fn check_payload<'a>(
    body: &Value,
    text: &impl Fn(&str) -> Option<&'a str>,
) -> Result<(), &'static str> {
    let summary = text("/payload/summary").unwrap_or_default();
    if summary.is_empty() || utf16_units(summary) > 1_024 {
        return Err(
            "'payload.summary' is missing or blank, or too long (maximum is 1024 characters)",
        );
    }
    if text("/payload/source").is_none_or(str::is_empty) {
        return Err("'payload.source' is missing or blank");
    }
    if !matches!(
        text("/payload/severity"),
        Some("critical" | "error" | "warning" | "info")
    ) {
        return Err(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
        );
    }
    if let Some(time) = text("/payload/timestamp")
        && time.parse::<jiff::Timestamp>().is_err()
    {
        return Err("'payload.timestamp' is invalid");
    }
    if body
        .pointer("/payload/custom_details")
        .is_some_and(|details| !details.is_object())
    {
        return Err("'payload.custom_details' is no object");
    }
    for name in ["component", "group", "class"] {
        if body
            .pointer(&format!("/payload/{name}"))
            .is_some_and(|value| !value.is_string())
        {
            return Err("'payload' has a component, group or class that is no string");
        }
    }
    check_each(body, "links", |link| {
        let is_url = |href: &str| href.starts_with("http://") || href.starts_with("https://");
        link["href"].as_str().is_some_and(is_url) && link.get("text").is_none_or(Value::is_string)
    })?;
    // "This image must be served via HTTPS."
    check_each(body, "images", |image| {
        let is_https = |src: &str| src.starts_with("https://");
        let may_be_text = |name| image.get(name).is_none_or(Value::is_string);
        image["src"].as_str().is_some_and(is_https) && may_be_text("href") && may_be_text("alt")
    })
}

/// Checks each object of an optional list.
fn check_each(
    body: &Value,
    name: &str,
    is_valid: impl Fn(&Value) -> bool,
) -> Result<(), &'static str> {
    let each = match body.get(name) {
        None => return Ok(()),
        Some(value) => value.as_array().ok_or("'links' or 'images' is no array")?,
    };
    match each.iter().all(|one| one.is_object() && is_valid(one)) {
        true => Ok(()),
        false => Err("'links' or 'images' has a member that is invalid"),
    }
}
