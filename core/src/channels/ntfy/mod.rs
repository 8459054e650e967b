//! ntfy <https://docs.ntfy.sh/publish/#publish-as-json>.

mod options;
mod parameters;
mod replies;

use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;

use self::options::{FirstPartOptions, NtfyOptions, PartOptions};
use self::parameters::{PARAMETERS, SERVER_URL, TOKEN, TOPIC, is_topic};
use super::shared::alert_list::ListStyle;
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::rich::{RichMessage, Truncations};
use super::shared::{body, lines, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Protocol,
};
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::outcome::{Classification, Failure, MessageRef};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::{Secret, digest};
use crate::text::{Limit, Markup, Unit};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "ntfy",
    about: "the subscribers of an ntfy topic",
    parameters: PARAMETERS,
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Ntfy::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::EDITS,
    attachments: Attachments::ImageAddresses,
    limits: Limits::text(Length::Split(TEXT_LIMIT, Markup::NONE)),
};

/// From 4,096 bytes on, a message becomes an attachment. The whole JSON must be shorter than twice that limit (server:
/// `Peek`, `transformBodyJSON`). Counting the text in JSON bytes ensures both.
const TEXT_LIMIT: Limit = Limit::json_bytes(4_095);
/// A limit of this crate for a headline. The server does not limit titles.
const TITLE_LIMIT: Limit = Limit::json_bytes(250);
/// The limit of all fields in a message, in bytes of JSON.
const MAX_FIELDS_BYTES: usize = 2_000;
/// A limit of this crate in bytes of JSON. It ensures that the whole message fits the server's limit.
const MAX_LINK_BYTES: usize = 2_000;
/// `DefaultDisallowedTopics` <https://github.com/binwiederhier/ntfy/blob/main/server/config.go>: the server replies
/// with 40010.
const RESERVED_TOPICS: [&str; 10] = [
    "docs", "static", "file", "app", "metrics", "account", "settings", "signup", "login", "v1",
];

#[derive(Debug)]
struct Ntfy {
    endpoint: Endpoint,
    topic: Secret,
    options: NtfyOptions,
}

#[derive(Serialize)]
struct Payload<'a> {
    topic: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
    /// The id of the message to replace. Servers before 2.16 ignore it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_id: Option<&'a str>,
    #[serde(flatten)]
    options: &'a PartOptions,
    #[serde(flatten)]
    first: Option<&'a FirstPartOptions>,
}

impl Ntfy {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let url = fields.url(&SERVER_URL)?;
        let topic = fields.formed(&TOPIC)?;
        if RESERVED_TOPICS.contains(&topic.as_str()) {
            let message =
                "ntfy_topic is a name that every ntfy server uses for itself; choose another";
            return Err(fields.error(&TOPIC, message));
        }
        if url.path().trim_matches('/') == topic {
            let message =
                "ntfy_url must be the server's address without the topic, such as https://ntfy.sh";
            return Err(fields.error(&SERVER_URL, message));
        }
        let token = fields.formed_or_none(&TOKEN)?;
        let options = NtfyOptions::read(fields)?;
        let topic = Secret::new(topic);
        let secrets = [topic.clone()]
            .into_iter()
            .chain(token.as_deref().map(Secret::new));
        let mut endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES)
            .distinguished_by(fields.sender(), secrets)
            .with_secret_members(&["topic", "email", "call"]);
        endpoint.hide(options.secrets());
        // The server counts requests per visitor, across topics.
        let visitor = format!(
            "ntfy {} {}",
            endpoint.url,
            token.as_deref().unwrap_or_default()
        );
        endpoint.destination.account = Some(digest(&visitor));
        if let Some(token) = token {
            endpoint.bearer(&token);
        }
        Ok(Self {
            endpoint,
            topic,
            options,
        })
    }

    fn payload<'a>(&'a self, message: &'a str) -> Payload<'a> {
        Payload {
            topic: self.topic.expose(),
            title: None,
            message,
            priority: self.options.priority,
            click: None,
            sequence_id: None,
            options: &self.options.of_each_part,
            first: None,
        }
    }

    fn plain(&self, message: &str, first: Option<&FirstPartOptions>) -> Outbound {
        let payload = Payload {
            first,
            ..self.payload(message)
        };
        self.endpoint.post(body::json(&payload), &[])
    }

    fn rich(&self, notification: &Notification, text: &str, cx: &ComposeContext) -> Messages {
        let mut cuts = Truncations::default();
        let title = cuts.heading(notification, TITLE_LIMIT, |heading| heading);
        let link = cuts.link(notification.link.as_deref(), |link| {
            Unit::JsonBytes.of(link) <= MAX_LINK_BYTES
        });
        let below = lines::below(notification, MAX_FIELDS_BYTES, TEXT_LIMIT.unit, &mut cuts);
        let room = TEXT_LIMIT.length - TEXT_LIMIT.unit.of(&below);
        let style = ListStyle::plain(TEXT_LIMIT.unit);
        let split = texts::fit(notification, text, room, (TEXT_LIMIT, Markup::NONE), &style);
        let mut parts = split.parts.into_iter();
        let message = parts.next().unwrap_or_default() + &below;
        let follows_up = notification.status.is_some_and(AlertStatus::is_follow_up);
        let earlier = cx
            .earlier
            .as_ref()
            .filter(|id| follows_up && is_topic(&id.0));
        let payload = Payload {
            title: Some(title),
            priority: self.options.priority.or_else(|| priority(notification)),
            first: Some(&self.options.of_first_part),
            click: link,
            sequence_id: earlier.map(|MessageRef(id)| id.as_str()),
            ..self.payload(&message)
        };
        let rich = RichMessage::new(payload, parts, split.missing, cuts);
        let plain = |part: String| self.plain(&part, None);
        rich.messages(|body| self.endpoint.post(body, &[]), plain)
    }
}

/// Returns a priority from 1 to 5. The server's default is 3.
const fn priority(notification: &Notification) -> Option<u8> {
    match (notification.status, notification.level) {
        (Some(AlertStatus::Resolved), _) => None,
        (_, Some(Level::Critical)) => Some(5),
        (_, Some(Level::Error)) => Some(4),
        _ => None,
    }
}

impl HttpChannel for Ntfy {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::of(n)?;
        if n.is_rich() {
            return Ok(self.rich(n, &text, cx));
        }
        let mut first = Some(&self.options.of_first_part);
        Ok(texts::in_parts(&text, TEXT_LIMIT, Markup::NONE, |part| {
            self.plain(&part, first.take())
        }))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.endpoint.redactor())
    }
}
