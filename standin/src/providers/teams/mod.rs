//! Microsoft Teams, by a workflow: `POST /powerautomate/automations/direct/workflows/{id}/triggers/manual/paths/invoke?api-version=1&…&sig=…`.
//! The path of Azure Logic Apps, `/workflows/…`, no longer works for Teams since 2025-11-30 [backman issue 102].
//!
//! A workflow replies 202 when it starts, even if it cannot post the message. The record has the error of the card as problem.
//! Workflows that begin with `off` are switched off, and those that begin with `gone` do not exist. Signatures that begin with
//! `bad` are invalid. Error codes of Power Automate and Azure Logic Apps are from users' questions.

mod card;

use hyper::Method;
use serde_json::{Value, json};

use super::{Call, Provider, Verdict, retry_after};
use crate::record::Message;
use crate::reply::Reply;
use crate::world::World;

pub const PROVIDER: Provider = Provider {
    name: "teams",
    paths: &[BEGIN],
    handle: |_: &World, call| handle(call),
    too_many: |call| {
        error(429, "TooManyRequests", "Rate limit is exceeded.")
            .with("retry-after", retry_after(call))
    },
};

const BEGIN: &str = "/powerautomate/automations/direct/workflows/";
const END: &str = "/triggers/manual/paths/invoke";

/// The maximum size of the stored message, which is slightly larger than the request [msteams-docs issue 11274].
const MAX_STORED: usize = 28_672;

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

fn handle(call: &Call) -> Verdict {
    let refuse =
        |status, code, message: &str| Verdict::rejected(error(status, code, message), message);
    let id = call.path.strip_prefix(BEGIN);
    let id = id.and_then(|rest| rest.trim_end_matches('/').strip_suffix(END));
    let id = id.filter(|id| !id.is_empty() && !id.contains('/') && !id.starts_with("gone"));
    let Some(id) = id.filter(|_| call.method == Method::POST) else {
        return refuse(404, "WorkflowNotFound", "The workflow could not be found.");
    };
    let given = |name| call.parameter(name).unwrap_or_default();
    if given("api-version").is_empty() {
        let message =
            "The api-version query parameter (?api-version=) is required for all requests.";
        return refuse(400, "MissingApiVersionParameter", message);
    }
    let signature = given("sig");
    if signature.is_empty() {
        let message = "The request to invoke the direct API trigger 'manual' should have a 'Bearer' authorization.";
        return refuse(401, "DirectApiAuthorizationRequired", message);
    }
    if signature.starts_with("bad") {
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
    match card::read(&body) {
        Err(problem) => Verdict::rejected(started, problem),
        Ok(_) if call.body.len() * 6 / 5 > MAX_STORED => Verdict::rejected(started, "too long"),
        Ok(texts) => {
            let problem = texts.iter().find_map(|text| card::lost_break(text));
            let message = Message {
                provider: "teams",
                destination: call.full_path.clone(),
                text: texts.join("\n"),
                mentions: mentions(&body),
                id: None,
                detail: body,
            };
            Verdict::accepted(started, message).with_problem(problem)
        }
    }
}

/// The mentions with an entity. A text without an entity mentions nobody.
fn mentions(body: &Value) -> Vec<String> {
    let entities = body.pointer("/attachments/0/content/msteams/entities");
    let entities = entities.and_then(Value::as_array).into_iter().flatten();
    entities
        .filter_map(|entity| Some(entity.get("text")?.as_str()?.to_owned()))
        .collect()
}
