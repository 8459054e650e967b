//! Workflow webhooks: `POST /triggers/{T…}/{number}/{secret}`, and `/workflows/{T…}/{A…}/{number}/{secret}` for older workflows.
//!
//! The body is an object of strings, the reply `{"ok": true}` [Slack node SDK: WebhookTrigger]. Each workflow has a variable
//! `text`, which is required [slack-github-action: README of version 1]. The texts of errors are unverified. Secrets that begin
//! with `gone` are invalid.

use hyper::Method;
use serde_json::{Value, json};

use super::blocks::mentions;
use crate::providers::{Call, Verdict};
use crate::record::Message;
use crate::reply::Reply;

pub fn handle(call: &Call) -> Verdict {
    let refuse = |status, word: &str, problem: String| {
        let body = json!({ "ok": false, "error": word });
        Verdict::rejected(Reply::json(status, &body), problem)
    };
    let segments: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
    let secret = match segments[..] {
        ["triggers", _, _, secret] | ["workflows", _, _, _, secret] => secret,
        _ => "",
    };
    if call.method != Method::POST || secret.is_empty() || secret.starts_with("gone") {
        return refuse(
            404,
            "trigger_not_found",
            format!("no workflow at {}", call.path),
        );
    }
    let body = match call.json() {
        Ok(Value::Object(body)) if call.is_json() => body,
        _ => return refuse(400, "invalid_payload", "not a JSON object".to_owned()),
    };
    if let Some((name, _)) = body.iter().find(|(_, value)| !value.is_string()) {
        return refuse(400, "invalid_payload", format!("{name} is no string"));
    }
    let Some(text) = body.get("text").and_then(Value::as_str) else {
        return refuse(
            400,
            "missing_variable",
            "the variable text is missing".to_owned(),
        );
    };
    let message = Message {
        provider: "slack",
        destination: call.path.clone(),
        text: text.to_owned(),
        mentions: mentions(text),
        id: None,
        detail: Value::Object(body.clone()),
    };
    Verdict::accepted(Reply::json(200, &json!({ "ok": true })), message)
}
