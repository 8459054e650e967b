//! Microsoft Teams, by a workflow that posts to a chat or channel
//! <https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498>.
//!
//! A message is an Adaptive Card. The text is Markdown, as a `TextBlock` reads it; what is data goes as a `TextRun`, of which
//! the schema says that Markdown is not supported (adaptivecards.io/explorer/TextRun.html).

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::shared::endpoint::Endpoint;
use super::shared::names::NameRules;
use super::shared::rich::{self, Cuts, Drawn, Rich};
use super::shared::{USER_AGENT, body, texts, verdict};
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Length, Operator, Parameter,
    Resolved,
};
use crate::model::notification::{Level, Notification, Status};
use crate::model::outcome::{Failure, Judgement, Reason, Verdict};
use crate::model::text::{Limit, Markup, split_after};
use crate::model::wire::{Destination, HttpReply, Outbound, Repeat};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "teams",
    about: "a Microsoft Teams chat or channel, by a workflow",
    parameters: &[Parameter::new(
        "teams_webhook_url",
        "https://prod-01.westeurope.logic.azure.com/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=2016-06-01&sig=XXXXXXXX",
        "The URL of the workflow's trigger.",
    )
    .required()
    .secret()],
    length: Length::Split(LIMIT, MARKUP),
    repeat: Repeat::ShowsTwice,
    resolved: Resolved::Says,
    parse: |fields, operator| Ok(Arc::new(Teams::new(fields, operator)?)),
};

/// Teams stores a message in another form, up to 28,672 bytes; 24,453 of ours were 28,897 of its (msteams-docs, issue 11274).
/// A workflow that cannot post says so in its run history alone, so we keep well below.
const ALL: usize = 20_000;
const AROUND: usize = 500;
const LIMIT: Limit = Limit::json_bytes(ALL - AROUND);
/// Blocks of code are no markup of cards
/// (learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format, "format cards with Markdown").
const MARKUP: Markup = Markup {
    links: true,
    ..Markup::NONE
};
const TITLE: Limit = Limit::json_bytes(250);
const NAMES: NameRules = NameRules::any(Limit::json_bytes(200), "…");
const VALUE: Limit = Limit::json_bytes(1_000);
/// What fields may take, with what the card says of each, in bytes of JSON.
const FIELDS: usize = 8_000;
/// In bytes of JSON.
const LINK: usize = 2_000;

#[derive(Debug)]
struct Teams {
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct Message {
    r#type: &'static str,
    attachments: [Attachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attachment {
    content_type: &'static str,
    content_url: Option<()>,
    content: Card,
}

#[derive(Serialize)]
struct Card {
    r#type: &'static str,
    version: &'static str,
    body: Vec<Element>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<[Action; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msteams: Option<Width>,
}

#[derive(Serialize)]
struct Width {
    width: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Element {
    TextBlock {
        text: String,
        wrap: bool,
    },
    RichTextBlock {
        inlines: Vec<TextRun>,
        #[serde(skip_serializing_if = "Option::is_none")]
        spacing: Option<&'static str>,
    },
    Container {
        style: &'static str,
        bleed: bool,
        items: [Box<Element>; 1],
    },
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct TextRun {
    r#type: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_subtle: Option<bool>,
}

#[derive(Serialize)]
struct Action {
    r#type: &'static str,
    title: String,
    url: String,
}

impl TextRun {
    fn new(text: String) -> Self {
        Self {
            r#type: "TextRun",
            text,
            ..Self::default()
        }
    }

    fn bold(text: String) -> Self {
        Self {
            weight: Some("Bolder"),
            ..Self::new(text)
        }
    }
}

/// Cards of version 1.2, which all of Teams' clients draw.
fn message(
    body: Vec<Element>,
    actions: Option<[Action; 1]>,
    width: Option<&'static str>,
) -> Message {
    Message {
        r#type: "message",
        attachments: [Attachment {
            content_type: "application/vnd.microsoft.card.adaptive",
            content_url: None,
            content: Card {
                r#type: "AdaptiveCard",
                version: "1.2",
                body,
                actions,
                msteams: width.map(|width| Width { width }),
            },
        }],
    }
}

fn text_block(text: String) -> Element {
    Element::TextBlock { text, wrap: true }
}

impl Teams {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let url = fields.url("teams_webhook_url")?;
        let endpoint = Endpoint::new(fields.sender(), url, USER_AGENT);
        let host = endpoint.destination.host.as_deref().unwrap_or_default();
        if host == "outlook.office.com" || host.ends_with(".webhook.office.com") {
            let what = "teams_webhook_url is that of an Office 365 connector, which Microsoft has shut down; \
                        make a workflow in Teams (\"Send webhook alerts to a channel\") and give its URL";
            return Err(fields.error("teams_webhook_url", what));
        }
        Ok(Self { endpoint })
    }

    fn plain(&self, text: String) -> Outbound {
        let message = message(vec![text_block(text)], None, None);
        self.endpoint.post(body::json(&message), &[])
    }

    fn rich(&self, notification: &Notification, text: &str) -> Composition {
        let mut cuts = Cuts::default();
        let title = cuts.title(&rich::heading(notification), TITLE, "…");
        let link = cuts.link(notification.link.as_deref(), |link| {
            LIMIT.unit.of(link) <= LINK
        });
        let fields = cuts.fields(notification, usize::MAX, FIELDS, &NAMES, field);
        let heading = TextRun {
            size: Some("Large"),
            ..TextRun::bold(title)
        };
        let head = Element::Container {
            style: style(notification),
            bleed: true,
            items: [Box::new(Element::RichTextBlock {
                inlines: vec![heading],
                spacing: None,
            })],
        };
        let last = TextRun {
            is_subtle: Some(true),
            ..TextRun::new(rich::summary(notification, &cuts))
        };
        let last = Element::RichTextBlock {
            inlines: vec![last],
            spacing: Some("Medium"),
        };
        let actions = link.map(|link| [open(link)]);
        let around = (&head, &fields, &last, &actions);
        let taken = body::json(&around).len() + AROUND;
        let split = split_after(text, ALL - taken, LIMIT, MARKUP);
        let mut parts = split.parts.into_iter();
        let text = text_block(parts.next().unwrap_or_default());
        let body = [head, text]
            .into_iter()
            .chain(fields)
            .chain([last])
            .collect();
        let rich = Rich {
            payload: message(body, actions, Some("Full")),
            more: parts.collect(),
            missing: split.missing,
            cuts,
        };
        rich.composition(
            |body| self.endpoint.post(body, &[]),
            |part| self.plain(part),
        )
    }
}

const SWITCHED_OFF: &str =
    "Switch the workflow on again, at make.powerautomate.com or in the Workflows app of Teams.";
const NEW_URL: &str = "Open the workflow in the Workflows app of Teams and copy the URL of its trigger again, with sig=… at its end.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden | Reason::UnknownDestination => Some(NEW_URL),
        _ => None,
    }
}

/// The colour behind the title, by names of the schema.
const fn style(notification: &Notification) -> &'static str {
    match (notification.status, notification.level) {
        (Some(Status::Resolved), _) | (_, Some(Level::Ok)) => "good",
        (_, Some(Level::Critical | Level::Error)) => "attention",
        (_, Some(Level::Warning)) => "warning",
        (_, None | Some(Level::Info)) => "accent",
    }
}

fn field(name: String, value: &str) -> Drawn<Element> {
    let mut is_cut = false;
    let value = rich::shorten(value, VALUE, "…", &mut is_cut);
    let field = Element::RichTextBlock {
        inlines: vec![TextRun::bold(format!("{name}: ")), TextRun::new(value)],
        spacing: Some("Small"),
    };
    Drawn {
        length: body::json(&field).len(),
        field,
        is_cut,
    }
}

fn open(link: &str) -> Action {
    Action {
        r#type: "Action.OpenUrl",
        title: rich::link_words(link),
        url: link.to_owned(),
    }
}

impl Channel for Teams {
    fn destination(&self) -> &Destination {
        &self.endpoint.destination
    }

    fn repeat(&self) -> Repeat {
        SPEC.repeat
    }

    fn compose(
        &self,
        notification: &Notification,
        _: &Composing<'_>,
    ) -> Result<Composition, Failure> {
        let text = texts::of(notification)?;
        if notification.is_rich() {
            return Ok(self.rich(notification, &text));
        }
        Ok(texts::in_parts(&text, LIMIT, MARKUP, |part| {
            self.plain(part)
        }))
    }

    fn judge_http(&self, reply: &HttpReply) -> Judgement {
        let json = reply.json().unwrap_or(Value::Null);
        let error = |name| {
            json.get("error")
                .and_then(|error| error.get(name)?.as_str())
        };
        let detail = || {
            verdict::said(
                "Teams",
                None,
                error("message"),
                reply,
                self.endpoint.redactor(),
            )
        };
        let code = error("code").unwrap_or_default();
        // "Could not execute workflow … with state 'Disabled'."
        if (400..=499).contains(&reply.status) && code.contains("NotEnabled") {
            let failure = Failure::new(Reason::UnknownDestination).with_detail(detail());
            return Verdict::Reject(failure.with_hint(SWITCHED_OFF)).into();
        }
        verdict::with_hints(verdict::by_status(reply, detail), hint)
    }
}
