//! Slack's incoming webhooks <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>, and
//! workflows that a webhook starts
//! <https://docs.slack.dev/tools/slack-github-action/sending-techniques/sending-data-webhook-slack-workflow>.

mod blocks;
mod options;
mod parameters;
mod replies;
mod rich;

use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use url::Url;

use self::blocks::PartMembers;
use self::options::SlackOptions;
use self::parameters::{HEADERS, PARAMETERS, WEBHOOK_URL};
use self::replies::WebhookKind;
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::{body, texts};
use super::spec::headers::HostHeader;
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, Length, Limits, Messages,
    OperatorSettings,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound};
use crate::text::{Fences, Limit, Markup, Unit, with_entities};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "slack",
    about: "a Slack channel, by an incoming webhook or a workflow",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Slack::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    attachments: Attachments::ImageAddresses,
    ..Capabilities::messages(Limits::text(Length::Split(TEXT_LIMIT, MARKUP)))
};

/// Slack splits a longer text into several messages, also inside a block of code
/// (api.slack.com/changelog/2018-04-truncating-really-long-messages; chainloop, issue 272: from 4,000 characters on).
/// Slack documents no unit.
const TEXT_LIMIT: Limit = Limit::utf16(4_000);
/// Source: <https://docs.slack.dev/messaging/formatting-message-text>. A block of code has no language.
const MARKUP: Markup = Markup {
    fences: Fences::Plain,
    links: false,
    angles: true,
    entities: true,
};

#[derive(Debug)]
struct Slack {
    endpoint: Endpoint,
    kind: WebhookKind,
    options: SlackOptions,
}

/// Returns the type of the endpoint's URL.
fn kind_of(endpoint: &Endpoint) -> WebhookKind {
    let host = endpoint.destination.host.as_deref();
    if is_workflow(&endpoint.url) {
        return WebhookKind::Workflow;
    }
    match host {
        Some("hooks.slack.com" | "hooks.slack-gov.com") => WebhookKind::Incoming,
        _ => WebhookKind::Compatible,
    }
}

/// Whether the path is `/triggers/T…/…/…` or, for older workflows, `/workflows/T…/A…/…/…`.
fn is_workflow(url: &Url) -> bool {
    let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
    let is_team = |id: &str| id.starts_with(['T', 'E']);
    match segments[..] {
        [.., "triggers", team, _, _] | [.., "workflows", team, _, _, _] => is_team(team),
        _ => false,
    }
}

#[derive(Serialize)]
struct TextPayload<'a> {
    text: &'a str,
    #[serde(flatten)]
    options: Option<&'a PartMembers>,
}

impl Slack {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let endpoint = Endpoint::read(
            fields,
            (&WEBHOOK_URL, &HEADERS),
            &CAPABILITIES,
            HostHeader::Dropped,
        )?;
        let kind = kind_of(&endpoint);
        Ok(Self {
            endpoint,
            kind,
            options: SlackOptions::read(fields)?,
        })
    }

    /// Returns a message with only a text.
    fn text(&self, text: &str) -> Outbound {
        // A workflow has one variable, the text.
        let options = (self.kind != WebhookKind::Workflow).then_some(&self.options.of_each_part);
        self.endpoint
            .post(body::json(&TextPayload { text, options }), &[])
    }
}

impl HttpChannel for Slack {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        // Callers use mrkdwn and `<!channel>` intentionally, so the text is sent unchanged unless the operator forbids
        // mentions. Each part is escaped separately, so that no cut is inside an entity.
        let unit = if cx.allow_mentions {
            TEXT_LIMIT.unit
        } else {
            Unit::Utf16Escaped
        };
        let limit = Limit { unit, ..TEXT_LIMIT };
        let plain = |text: String| self.text(&rich::as_allowed(text, cx));
        if n.is_rich() && self.kind == WebhookKind::Workflow {
            let (parts, warnings) = rich::lines(n, &text, cx, limit);
            return Ok(Messages {
                // The markup is already written.
                parts: parts.iter().map(|text| self.text(text)).collect(),
                segments: None,
                warnings,
            });
        }
        if n.is_rich() {
            let rich = rich::compose(n, &text, cx, limit, &self.options);
            return Ok(rich.messages(|body| self.endpoint.post(body, &[]), plain));
        }
        Ok(texts::in_parts(&text, limit, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.kind, || self.endpoint.redactor())
    }
}

/// Escapes the three characters with a meaning in Slack's text (docs.slack.dev/messaging/formatting-message-text).
pub fn escape(text: &str) -> String {
    with_entities(text)
}
