//! Google Chat webhooks <https://developers.google.com/workspace/chat/quickstart/webhooks>.
//!
//! The text is the message's text, because only there Chat reads its markup and mentions. A card below contains the
//! rest, as HTML texts <https://developers.google.com/workspace/chat/format-messages>.

mod card;
mod replies;
mod reply_option;

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;

use self::card::{Card, CardWithId, FIELD_NAMES, Header, Section, button, field};
use self::reply_option::with_reply_option;
use super::shared::alert_list::ListStyle;
use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::look_alikes::without_formatting;
use super::shared::rich::{self, LevelStyle, RichMessage, Truncations};
use super::shared::{body, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Parameter, Protocol, Threading,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::digest;
use crate::text::{Fences, Limit, Markup};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "google_chat",
    about: "a Google Chat space, by a webhook",
    parameters: &[WEBHOOK_URL],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(GoogleChat::new(fields, operator)?)),
};

const WEBHOOK_URL: Parameter = Parameter::new(
    "google_chat_webhook_url",
    "https://chat.googleapis.com/v1/spaces/AAAAAAAAAAA/messages?key=AIzaSyXXXX&token=XXXXXXXX",
    "The webhook's URL, with key and token.",
)
.required()
.secret();

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::threads(Threading::ByKey),
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(TEXT_LIMIT, MARKUP)),
};

/// "The maximum message size, including the message contents, is 32,000 bytes" (messages.create). This crate counts
/// every byte of the request and reserves some for the JSON around the text.
const MAX_BODY_BYTES: usize = 32_000;
const OVERHEAD_BYTES: usize = 500;
const TEXT_LIMIT: Limit = Limit::json_bytes(MAX_BODY_BYTES - OVERHEAD_BYTES);
/// Source: <https://developers.google.com/workspace/chat/format-messages>, "format texts".
const MARKUP: Markup = Markup {
    fences: Fences::Plain,
    angles: true,
    ..Markup::NONE
};
const TITLE_LIMIT: Limit = Limit::json_bytes(250);
/// The limit of all fields, in bytes of JSON, and of their number: a card's section has at most a hundred widgets.
const MAX_FIELDS_BYTES: usize = 12_000;
const MAX_FIELDS: usize = 90;
const LIST: ListStyle = ListStyle {
    unit: TEXT_LIMIT.unit,
    escape: |text| literal(&without_formatting(text)),
    link: Some(|link| format!("<{link}|{}>", rich::link_words(link))),
    has_emoji: true,
};
/// The limit of a link, in bytes of JSON.
const MAX_LINK_BYTES: usize = 2_000;

#[derive(Debug)]
struct GoogleChat {
    endpoint: Endpoint,
}

#[derive(Serialize)]
struct Payload<'a> {
    text: Cow<'a, str>,
    #[serde(rename = "cardsV2", skip_serializing_if = "Option::is_none")]
    cards: Option<[CardWithId; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<ThreadKey>,
}

/// The key of a thread. Messages with the same key join the same thread.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadKey {
    thread_key: String,
}

impl GoogleChat {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let url = fields.url(&WEBHOOK_URL)?;
        let mut endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES);
        let has = |name| {
            endpoint
                .url
                .query_pairs()
                .any(|(known, value)| known == name && !value.is_empty())
        };
        let is_google = endpoint.destination.host.as_deref() == Some("chat.googleapis.com");
        if is_google && !(has("key") && has("token")) {
            let message = "google_chat_webhook_url must be the whole URL of the webhook, with ?key=…&token=… at its end";
            return Err(fields.error(&WEBHOOK_URL, message));
        }
        // All senders to a space share its limit of one write each second.
        let mut space = endpoint.url.clone();
        space.set_query(None);
        endpoint.destination.account = Some(digest(&format!("google_chat {space}")));
        Ok(Self { endpoint })
    }

    fn post(&self, body: Vec<u8>, notification: &Notification) -> Outbound {
        let request = self.endpoint.request(body, &[]);
        let url = with_reply_option(&request.url, notification.dedup_key.is_some());
        Outbound::Http(HttpRequest { url, ..request })
    }

    fn plain(&self, text: &str, notification: &Notification) -> Outbound {
        let payload = Payload {
            text: text.into(),
            cards: None,
            thread: thread(notification),
        };
        self.post(body::json(&payload), notification)
    }

    fn rich(&self, notification: &Notification, text: &str) -> Messages {
        let mut cuts = Truncations::default();
        let title = cuts.heading(notification, TITLE_LIMIT, |heading| literal(&heading));
        let link = cuts.link(notification.link.as_deref(), |link| {
            TEXT_LIMIT.unit.of(link) <= MAX_LINK_BYTES
        });
        let mut widgets = cuts.fields(
            notification,
            MAX_FIELDS,
            MAX_FIELDS_BYTES,
            &FIELD_NAMES,
            field,
        );
        widgets.extend(link.map(button));
        let card = Card {
            header: Header {
                title,
                subtitle: rich::summary(notification, &cuts),
            },
            sections: match widgets.is_empty() {
                true => Vec::new(),
                false => vec![Section { widgets }],
            },
        };
        let cards = [CardWithId {
            card_id: "notification",
            card,
        }];
        let emoji = format!("{} ", LevelStyle::of(notification).emoji);
        let taken = body::json(&cards).len() + emoji.len() + OVERHEAD_BYTES;
        let split = texts::fit(
            notification,
            text,
            MAX_BODY_BYTES - taken,
            (TEXT_LIMIT, MARKUP),
            &LIST,
        );
        let mut parts = split.parts.into_iter();
        let rich = RichMessage::new(
            Payload {
                text: (emoji + &parts.next().unwrap_or_default()).into(),
                cards: Some(cards),
                thread: thread(notification),
            },
            parts,
            split.missing,
            cuts,
        );
        let plain = |part: String| self.plain(&part, notification);
        rich.messages(|body| self.post(body, notification), plain)
    }
}

fn thread(notification: &Notification) -> Option<ThreadKey> {
    let key = notification.dedup_key.as_deref()?;
    Some(ThreadKey {
        thread_key: digest(key),
    })
}

/// Breaks tags and entities with an invisible character. Google does not document whether a header's title is HTML.
fn literal(text: &str) -> String {
    text.replace('<', "<\u{2060}").replace('&', "&\u{2060}")
}

/// Breaks mentions. `<users/all>` and `<users/123>` are their only forms.
fn without_mentions(text: &str) -> String {
    text.replace("<users/", "<\u{2060}users/")
}

impl HttpChannel for GoogleChat {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::allowed(n, cx, without_mentions)?;
        if n.is_rich() {
            return Ok(self.rich(n, &text));
        }
        let plain = |part: String| self.plain(&part, n);
        Ok(texts::in_parts(&text, TEXT_LIMIT, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(reply, self.endpoint.redactor())
    }
}
