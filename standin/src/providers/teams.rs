//! Microsoft Teams, by a workflow: `POST /workflows/{id}/triggers/manual/paths/invoke?…&sig=…`.
//!
//! A workflow that was started answers 202, whatever becomes of the message: what the card lacks is on record as a problem.
//! Workflows that begin with `off` are switched off, `gone` are no more; signatures that begin with `bad` are nobody's. The codes
//! are those of Azure Logic Apps, seen in questions of their users.

use hyper::Method;
use serde_json::{Value, json};

use super::{Answer, Call, Provider, retry_after};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "teams",
    paths: &["/workflows/"],
    answer: |_: &World, call| answer(call),
    too_many: |call| {
        error(429, "TooManyRequests", "Rate limit is exceeded.")
            .with("retry-after", retry_after(call))
    },
};

/// Of the form in which it is stored, which is somewhat longer [msteams-docs issue 11274].
const MAX_STORED: usize = 28_672;

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

fn answer(call: &Call) -> Answer {
    let refuse =
        |status, code, message: &str| Answer::refused(error(status, code, message), message);
    let id = call
        .path
        .trim_start_matches("/workflows/")
        .split('/')
        .next()
        .unwrap_or_default();
    let signature = call.parameter("sig").unwrap_or_default();
    if call.method != Method::POST || !call.path.ends_with("/invoke") || id.starts_with("gone") {
        return refuse(404, "WorkflowNotFound", "The workflow could not be found.");
    }
    if signature.is_empty() || signature.starts_with("bad") {
        return refuse(
            401,
            "SASAuthorizationFailed",
            "The authorization signature is not valid.",
        );
    }
    if id.starts_with("off") {
        let message = "Could not execute workflow trigger 'manual' with state 'Disabled'.";
        return refuse(400, "WorkflowTriggerIsNotEnabled", message);
    }
    let started = Reply::empty(202);
    let body = call.json().unwrap_or_default();
    match read(&body) {
        Err(problem) => Answer::refused(started, problem),
        Ok(_) if call.body.len() * 6 / 5 > MAX_STORED => Answer::refused(started, "too long"),
        Ok(texts) => {
            let message = Message {
                provider: "teams",
                destination: call.full_path.clone(),
                text: texts.join("\n"),
                mentions: mentions(&body),
                id: None,
                detail: body,
            };
            Answer::accepted(started, message)
        }
    }
}

/// The texts of the card, in order.
fn read(body: &Value) -> Result<Vec<String>, &'static str> {
    if body.get("type").and_then(Value::as_str) != Some("message") {
        return Err("no message");
    }
    let attachment = body.pointer("/attachments/0").ok_or("no attachment")?;
    let kind = attachment.get("contentType").and_then(Value::as_str);
    if kind != Some("application/vnd.microsoft.card.adaptive") {
        return Err("no Adaptive Card");
    }
    let card = attachment.get("content").ok_or("no card")?;
    let is_card = card.get("type").and_then(Value::as_str) == Some("AdaptiveCard");
    if !is_card || card.get("version").and_then(Value::as_str).is_none() {
        return Err("a card needs its type and a version");
    }
    let mut texts = Vec::new();
    let body = card
        .get("body")
        .and_then(Value::as_array)
        .ok_or("a card needs a body")?;
    body.iter()
        .try_for_each(|element| texts_of(element, &mut texts))?;
    for action in card
        .get("actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let url = action
            .get("url")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !url.starts_with("http") {
            return Err("Action.OpenUrl needs an address");
        }
    }
    match texts.iter().any(|text| !text.trim().is_empty()) {
        true => Ok(texts),
        false => Err("an empty card"),
    }
}

fn texts_of(element: &Value, texts: &mut Vec<String>) -> Result<(), &'static str> {
    let list = |name| element.get(name).and_then(Value::as_array);
    match element.get("type").and_then(Value::as_str) {
        Some("TextBlock") => {
            let text = element
                .get("text")
                .and_then(Value::as_str)
                .ok_or("TextBlock needs text")?;
            texts.push(text.to_owned());
            Ok(())
        }
        Some("RichTextBlock") => {
            let runs = list("inlines").ok_or("RichTextBlock needs inlines")?.iter();
            let runs = runs.map(|run| run.get("text").and_then(Value::as_str));
            let runs: Option<Vec<_>> = runs.collect();
            texts.push(runs.ok_or("TextRun needs text")?.concat());
            Ok(())
        }
        Some("Container") => {
            let items = list("items").ok_or("Container needs items")?;
            items.iter().try_for_each(|item| texts_of(item, texts))
        }
        _ => Err("an element that is not known"),
    }
}

/// Those that an entity declares; a text alone makes none.
fn mentions(body: &Value) -> Vec<String> {
    let entities = body.pointer("/attachments/0/content/msteams/entities");
    let entities = entities.and_then(Value::as_array).into_iter().flatten();
    entities
        .filter_map(|entity| Some(entity.get("text")?.as_str()?.to_owned()))
        .collect()
}
