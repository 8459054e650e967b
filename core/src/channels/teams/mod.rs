//! Microsoft Teams, through a workflow that posts to a chat or channel
//! <https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498>.
//!
//! A message is an Adaptive Card. The text is the Markdown of a `TextBlock`. Data is in a `TextRun`, whose schema does
//! not support Markdown (adaptivecards.io/explorer/TextRun.html).

mod breaks;
mod card;
mod list;
mod replies;

use std::sync::Arc;

use jiff::Timestamp;

use url::Url;

use self::card::{CardAction, Element, TextRun, message, text_block};
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::names::NameRules;
use super::shared::rich::{self, FittedField, RichMessage, Truncations};
use super::shared::{body, texts};
use super::{
    Capabilities, ChannelSpec, ComposeContext, Fields, Length, Limits, Messages, OperatorSettings,
    Parameter,
};
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound};
use crate::text::{Limit, Markup, shorten, split_after};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "teams",
    about: "a Microsoft Teams chat or channel, by a workflow",
    parameters: &[WEBHOOK_URL],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Teams::new(fields, operator)?)),
};

const WEBHOOK_URL: Parameter = Parameter::new(
        "teams_webhook_url",
        "https://default0123456789abcdef0123456789.ab.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/0123456789abcdef/triggers/manual/paths/invoke?api-version=1&sig=XXXXXXXX",
        "The URL of the workflow's trigger.",
    )
    .required()
    .secret();

const CAPABILITIES: Capabilities =
    Capabilities::messages(Limits::text(Length::Split(TEXT_LIMIT, MARKUP)));

/// Teams stores a message in another form of up to 28,672 bytes. A message of 24,453 bytes had 28,897 bytes in that
/// form (msteams-docs, issue 11274). A workflow reports a failed post only in its run history, so this limit is much
/// lower.
const MAX_BODY_BYTES: usize = 20_000;
const OVERHEAD_BYTES: usize = 500;
const TEXT_LIMIT: Limit = Limit::json_bytes(MAX_BODY_BYTES - OVERHEAD_BYTES);
const PART_LIMIT: Limit = Limit::json_bytes(MAX_BODY_BYTES - OVERHEAD_BYTES - breaks::ADDED_BYTES);
/// Cards do not support blocks of code
/// (learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format, "format cards with
/// Markdown").
const MARKUP: Markup = Markup {
    links: true,
    ..Markup::NONE
};
const TITLE_LIMIT: Limit = Limit::json_bytes(250);
const FIELD_NAMES: NameRules = NameRules::any(Limit::json_bytes(200), "…");
const VALUE_LIMIT: Limit = Limit::json_bytes(1_000);
/// The limit of all fields and the card's JSON for them, in bytes of JSON.
const MAX_FIELDS_BYTES: usize = 8_000;
/// The limit of a link, in bytes of JSON.
const MAX_LINK_BYTES: usize = 2_000;

#[derive(Debug)]
struct Teams {
    endpoint: Endpoint,
}

impl Teams {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let url = fields.url(&WEBHOOK_URL)?;
        let endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES);
        let host = endpoint.destination.host.as_deref().unwrap_or_default();
        if host == "outlook.office.com" || host.ends_with(".webhook.office.com") {
            let message = "teams_webhook_url is that of an Office 365 connector, which Microsoft has shut down; \
                        make a workflow in Teams (\"Send webhook alerts to a channel\") and give its URL";
            return Err(fields.error(&WEBHOOK_URL, message));
        }
        if is_microsoft(host) && !has_signature(&endpoint.url) {
            let message = "teams_webhook_url must be the whole URL of the workflow's trigger, with &sig=… at its end; a URL \
                        without it is of a trigger that wants a Microsoft login: let anyone trigger the workflow, and copy its new URL";
            return Err(fields.error(&WEBHOOK_URL, message));
        }
        Ok(Self { endpoint })
    }

    fn plain(&self, text: String) -> Outbound {
        let message = message(vec![text_block(breaks::after_cut(text))], None, None);
        self.endpoint.post(body::json(&message), &[])
    }

    fn rich(&self, notification: &Notification, text: &str) -> Messages {
        let mut cuts = Truncations::default();
        let title = cuts.heading(notification, TITLE_LIMIT, |heading| heading);
        let link = cuts.link(notification.link.as_deref(), |link| {
            TEXT_LIMIT.unit.of(link) <= MAX_LINK_BYTES
        });
        let fields = cuts.fields(
            notification,
            usize::MAX,
            MAX_FIELDS_BYTES,
            &FIELD_NAMES,
            field,
        );
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
        let last = rich::summary(notification, &cuts).map(|summary| Element::RichTextBlock {
            inlines: vec![TextRun {
                is_subtle: Some(true),
                ..TextRun::new(summary)
            }],
            spacing: Some("Medium"),
        });
        let actions = link.map(|link| [open(link)]);
        let around = (&head, &fields, &last, &actions);
        let taken = body::json(&around).len() + OVERHEAD_BYTES;
        let (texts, more, missing) = match notification.listed_group() {
            Some(group) => (list::elements(group, MAX_BODY_BYTES - taken), Vec::new(), 0),
            None => {
                let mut split = split_after(text, MAX_BODY_BYTES - taken, PART_LIMIT, MARKUP);
                let more = split.parts.split_off(1);
                let text = text_block(split.parts.concat());
                (vec![text], more, split.missing)
            }
        };
        let body = std::iter::once(head)
            .chain(texts)
            .chain(fields.into_iter().flatten())
            .chain(last)
            .collect();
        let rich = RichMessage::new(
            message(body, actions, Some("Full")),
            more.into_iter(),
            missing,
            cuts,
        );
        rich.messages(
            |body| self.endpoint.post(body, &[]),
            |part| self.plain(part),
        )
    }
}

/// Whether the host is one of Teams workflows or of Azure Logic Apps flows.
fn is_microsoft(host: &str) -> bool {
    host.ends_with(".api.powerplatform.com") || host.ends_with(LOGIC_APPS)
}

/// Teams workflows had this host until 2025-11-30 (Microsoft's notice, quoted in backman, issue 102). Flows of Azure
/// Logic Apps still have it.
const LOGIC_APPS: &str = ".logic.azure.com";

fn has_signature(url: &Url) -> bool {
    url.query_pairs()
        .any(|(name, value)| name == "sig" && !value.is_empty())
}

/// Returns the colour behind the title by its name in the schema.
const fn style(notification: &Notification) -> &'static str {
    match (notification.status, notification.level) {
        (Some(AlertStatus::Resolved), _) | (_, Some(Level::Ok)) => "good",
        (_, Some(Level::Critical | Level::Error)) => "attention",
        (_, Some(Level::Warning)) => "warning",
        (_, None | Some(Level::Info)) => "accent",
    }
}

/// Returns a field with an element for each line of the value, because a card's texts have no line breaks.
fn field(name: String, value: &str) -> FittedField<Vec<Element>> {
    let mut is_cut = false;
    let value = shorten(value, VALUE_LIMIT, "…", &mut is_cut);
    let mut lines = value.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    let first = Element::RichTextBlock {
        inlines: vec![TextRun::bold(format!("{name}: ")), TextRun::new(first)],
        spacing: Some("Small"),
    };
    let more = lines.map(|line| Element::RichTextBlock {
        inlines: vec![TextRun::new(line.to_owned())],
        spacing: Some("None"),
    });
    let field: Vec<_> = std::iter::once(first).chain(more).collect();
    FittedField {
        length: body::json(&field).len(),
        field,
        is_cut,
    }
}

fn open(link: &str) -> CardAction {
    CardAction::open_url(rich::link_words(link), link)
}

impl HttpChannel for Teams {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, _: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        let text = breaks::as_paragraphs(&text);
        if n.is_rich() {
            return Ok(self.rich(n, &text));
        }
        // A text in one message has no part number, so its first list item remains an item.
        let is_one = TEXT_LIMIT.unit.of(&text) <= TEXT_LIMIT.length;
        let limit = if is_one { TEXT_LIMIT } else { PART_LIMIT };
        Ok(texts::in_parts(&text, limit, MARKUP, |part| {
            self.plain(part)
        }))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let host = self.endpoint.destination.host.as_deref();
        let is_old = host.is_some_and(|host| host.ends_with(LOGIC_APPS));
        replies::classify(reply, is_old, self.endpoint.redactor())
    }
}
