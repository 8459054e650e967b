//! Slack's incoming webhooks <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>, and workflows that a
//! webhook starts
//! <https://docs.slack.dev/tools/slack-github-action/sending-techniques/sending-data-webhook-slack-workflow>.

mod rich;

use std::cell::LazyCell;
use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::{body, classify, texts};
use super::spec::headers::HostHeader;
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Length,
    Limits, Messages, Operator, Parameter, Protocol,
};
use crate::model::notification::Notification;
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::text::{Fences, Limit, Markup, Unit, with_entities};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "slack",
    about: "a Slack channel, by an incoming webhook or a workflow",
    parameters: &[
        Parameter::new(
            "slack_webhook_url",
            "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXX",
            "The URL of the incoming webhook, or of the workflow's webhook.",
        )
        .required()
        .secret(),
        Parameter::headers("slack_headers", "eyJYLVRlYW0iOiAib3BzIn0="),
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Slack::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::MESSAGES,
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(LIMIT, MARKUP)),
};

/// Slack itself breaks a longer text into several messages, inside a block of code too
/// (api.slack.com/changelog/2018-04-truncating-really-long-messages; chainloop, issue 272: from 4,000 characters on). The unit is
/// not said.
const LIMIT: Limit = Limit::utf16(4_000);
/// <https://docs.slack.dev/messaging/formatting-message-text>; a block of code has no language.
const MARKUP: Markup = Markup {
    fences: Fences::Plain,
    links: false,
    angles: true,
    entities: true,
};

#[derive(Debug)]
struct Slack {
    endpoint: Endpoint,
    kind: Kind,
}

/// What is behind the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Slack's own incoming webhook: only the body `ok` is success.
    Incoming,
    /// A workflow that begins with a webhook: it takes an object of strings, and answers `{"ok": true}`.
    Workflow,
    /// A server that speaks the protocol of incoming webhooks.
    Compatible,
}

impl Kind {
    fn of(endpoint: &Endpoint) -> Self {
        let host = endpoint.destination.host.as_deref();
        if is_workflow(&endpoint.url) {
            return Kind::Workflow;
        }
        match host {
            Some("hooks.slack.com" | "hooks.slack-gov.com") => Kind::Incoming,
            _ => Kind::Compatible,
        }
    }
}

/// `/triggers/T…/…/…` and, of older workflows, `/workflows/T…/A…/…/…`.
fn is_workflow(url: &Url) -> bool {
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    let is_team = |id: &str| id.starts_with(['T', 'E']);
    match segments[..] {
        [.., "triggers", team, _, _] | [.., "workflows", team, _, _, _] => is_team(team),
        _ => false,
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    text: &'a str,
}

impl Slack {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let endpoint = Endpoint::read(fields, &CAPABILITIES, HostHeader::Dropped)?;
        let kind = Kind::of(&endpoint);
        Ok(Self { endpoint, kind })
    }

    /// A message of a text alone.
    fn text(&self, text: &str) -> Outbound {
        self.endpoint.post(body::json(&Payload { text }), &[])
    }

    /// Of a 2xx that is none of Slack's words for failure.
    fn is_success(&self, body: &str) -> bool {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let says = |key, value| json.get(key) == Some(&Value::Bool(value));
        match self.kind {
            Kind::Incoming => body == "ok",
            Kind::Workflow => says("ok", true),
            Kind::Compatible => !says("ok", false) && !says("success", false),
        }
    }
}

impl HttpChannel for Slack {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        // Callers use mrkdwn and `<!channel>` on purpose, so the text goes as it is, unless the operator forbids it.
        // It is escaped part by part, so that no cut falls inside an entity.
        let unit = if cx.allow_mentions {
            LIMIT.unit
        } else {
            Unit::Utf16Escaped
        };
        let limit = Limit { unit, ..LIMIT };
        let plain = |text: String| self.text(&rich::as_allowed(text, cx));
        if notification.is_rich() && self.kind == Kind::Workflow {
            let (parts, warnings) = rich::lines(notification, &text, cx, limit);
            return Ok(Messages {
                // Its markup is written already.
                parts: parts.iter().map(|text| self.text(text)).collect(),
                segments: None,
                warnings,
            });
        }
        if notification.is_rich() {
            let rich = rich::compose(notification, &text, cx, limit);
            return Ok(rich.composition(|body| self.endpoint.post(body, &[]), plain));
        }
        Ok(texts::in_parts(&text, limit, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let text = reply.text();
        let body = text.trim();
        let words = LazyCell::new(|| classify::words("Slack", body, self.endpoint.redactor()));
        let failure = |reason| Failure::new(reason).with_detail(words.clone());
        let by_status = classify::by_status(reply, self.endpoint.redactor(), || words.clone());
        // "Not now" stands whatever the body says.
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
        if delivered && !self.is_success(body) {
            let failure = failure(Reason::Rejected);
            return AttemptResult::Reject(match self.kind {
                Kind::Workflow => failure.with_hint(WORKFLOW),
                Kind::Incoming | Kind::Compatible => failure,
            })
            .into();
        }
        match self.kind {
            Kind::Workflow => classify::with_hints(by_status, workflow_hint),
            Kind::Incoming | Kind::Compatible => by_status,
        }
    }
}

const WORKFLOW: &str = "See that the workflow is published, and that its webhook has a variable `text` of the type text.";

fn workflow_hint(reason: Reason) -> Option<&'static str> {
    matches!(reason, Reason::Rejected | Reason::UnknownDestination).then_some(WORKFLOW)
}

/// Exactly these three have a meaning in Slack's text (docs.slack.dev/messaging/formatting-message-text).
pub fn escape(text: &str) -> String {
    with_entities(text)
}

/// Slack's words for failure; they count whatever the status (several have none documented).
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
