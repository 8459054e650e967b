//! Classifies Slack's replies.

use std::cell::LazyCell;

use serde_json::Value;

use crate::channels::shared::classify;
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason};
use crate::model::wire::HttpReply;
use crate::secret::Redactor;

/// The system behind the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// Slack's own incoming webhook. Only the body `ok` is success.
    Incoming,
    /// A workflow with a webhook trigger. It accepts an object of strings and replies `{"ok": true}`.
    Workflow,
    /// Another server with the protocol of incoming webhooks.
    Compatible,
}

pub fn classify<'r>(
    reply: &HttpReply,
    kind: WebhookKind,
    redactor: impl Fn() -> &'r Redactor,
) -> Classification {
    let text = reply.text();
    let body = text.trim();
    let words = LazyCell::new(|| classify::with_provider_words("Slack", body, redactor()));
    let failure = |reason| Failure::new(reason).with_detail(words.clone());
    let by_status = classify::by_status(reply, &redactor, || words.clone());
    // A pause by status applies whatever the body says.
    if by_status.queue.is_some() {
        return by_status;
    }
    if let Some((reason, hint)) = meaning(body) {
        return match reason {
            Reason::ServerError => AttemptResult::Retry {
                failure: failure(reason),
                after: classify::reply_retry_after(reply),
            },
            reason => AttemptResult::Reject(match hint {
                Some(hint) => failure(reason).with_hint(hint),
                None => failure(reason),
            }),
        }
        .into();
    }
    let delivered = matches!(by_status.result, AttemptResult::Delivered { .. });
    if delivered && !is_success(kind, body) {
        let failure = failure(Reason::Rejected);
        return AttemptResult::Reject(match kind {
            WebhookKind::Workflow => failure.with_hint(WORKFLOW),
            WebhookKind::Incoming | WebhookKind::Compatible => failure,
        })
        .into();
    }
    match kind {
        WebhookKind::Workflow => classify::with_hints(by_status, workflow_hint),
        WebhookKind::Incoming | WebhookKind::Compatible => by_status,
    }
}

/// Whether a 2xx without one of Slack's error words is a success.
fn is_success(kind: WebhookKind, body: &str) -> bool {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let says = |key, value| json.get(key) == Some(&Value::Bool(value));
    match kind {
        WebhookKind::Incoming => body == "ok",
        WebhookKind::Workflow => says("ok", true),
        WebhookKind::Compatible => !says("ok", false) && !says("success", false),
    }
}

const WORKFLOW: &str = "See that the workflow is published, and that its webhook has a variable `text` of the type text.";

fn workflow_hint(reason: Reason) -> Option<&'static str> {
    matches!(reason, Reason::Rejected | Reason::UnknownDestination).then_some(WORKFLOW)
}

/// Returns the meaning of Slack's error word. The word counts at every status, because several have no documented
/// status.
fn meaning(body: &str) -> Option<(Reason, Option<&'static str>)> {
    const NEW_WEBHOOK: &str =
        "The webhook is gone: make a new one in the Slack app's settings and use its URL.";
    const UNARCHIVE: &str = "Unarchive the channel in Slack; a new webhook is not needed.";
    Some(match body {
        "no_service" | "no_service_id" | "no_active_hooks" | "no_team" | "team_disabled" => {
            (Reason::UnknownDestination, Some(NEW_WEBHOOK))
        }
        "channel_not_found" => (
            Reason::UnknownDestination,
            Some("The webhook's channel was deleted: make a new webhook for another channel."),
        ),
        "channel_is_archived" => (Reason::Archived, Some(UNARCHIVE)),
        "invalid_token" => (Reason::Unauthorized, Some(NEW_WEBHOOK)),
        "action_prohibited" | "posting_to_general_channel_denied" => (
            Reason::Forbidden,
            Some(
                "A workspace admin restricts posting to this channel: ask for it, or use another channel.",
            ),
        ),
        "invalid_payload"
        | "no_text"
        | "too_many_attachments"
        | "user_not_found"
        | "invalid_blocks"
        | "invalid_attachments"
        | "msg_blocks_too_long" => (Reason::Rejected, None),
        "rollup_error" => (Reason::ServerError, None),
        _ => return None,
    })
}
