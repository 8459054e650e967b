//! Google Chat's webhooks <https://developers.google.com/workspace/chat/quickstart/webhooks>.
//!
//! The text stays the message's text, which alone knows Chat's markup and mentions; all else stands in a card below it, whose
//! texts are HTML <https://developers.google.com/workspace/chat/format-messages>.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::shared::endpoint::Endpoint;
use super::shared::http_channel::HttpChannel;
use super::shared::names::NameRules;
use super::shared::rich::{self, Cuts, Drawn, Look, Rich};
use super::shared::{body, classify, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Length,
    Limits, Messages, Operator, Parameter, Protocol, Threads,
};
use crate::model::notification::Notification;
use crate::model::outcome::{AttemptResult, Classification, Failure, Reason, Scope};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::digest;
use crate::text::{Fences, Limit, Markup, shorten, split_after, with_entities};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "google_chat",
    about: "a Google Chat space, by a webhook",
    parameters: &[Parameter::new(
        "google_chat_webhook_url",
        "https://chat.googleapis.com/v1/spaces/AAAAAAAAAAA/messages?key=AIzaSyXXXX&token=XXXXXXXX",
        "The webhook's URL, with key and token.",
    )
    .required()
    .secret()],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(GoogleChat::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::threads(Threads::ByKey),
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(LIMIT, MARKUP)),
};

/// "The maximum message size, including the message contents, is 32,000 bytes" (messages.create), of which we count every
/// byte that is sent and leave some for what stands around the text.
const ALL: usize = 32_000;
const AROUND: usize = 500;
const LIMIT: Limit = Limit::json_bytes(ALL - AROUND);
/// <https://developers.google.com/workspace/chat/format-messages>, "format texts".
const MARKUP: Markup = Markup {
    fences: Fences::Plain,
    angles: true,
    ..Markup::NONE
};
const TITLE: Limit = Limit::json_bytes(250);
const NAMES: NameRules = NameRules::any(Limit::json_bytes(200), "…");
const VALUE: Limit = Limit::json_bytes(2_000);
/// What fields may take, in bytes of JSON, and how many: a card's section has a hundred widgets.
const FIELDS: usize = 12_000;
const MOST_FIELDS: usize = 90;
/// In bytes of JSON.
const LINK: usize = 2_000;

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
    thread: Option<Thread>,
}

/// All that bear the same key stand in one thread.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread {
    thread_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardWithId {
    card_id: &'static str,
    card: Card,
}

#[derive(Serialize)]
struct Card {
    header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sections: Vec<Section>,
}

#[derive(Serialize)]
struct Header {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<String>,
}

#[derive(Serialize)]
struct Section {
    widgets: Vec<Widget>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Widget {
    #[serde(rename_all = "camelCase")]
    DecoratedText {
        text: String,
        wrap_text: bool,
    },
    ButtonList {
        buttons: [Button; 1],
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Button {
    text: String,
    on_click: OnClick,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OnClick {
    open_link: OpenLink,
}

#[derive(Serialize)]
struct OpenLink {
    url: String,
}

impl GoogleChat {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let url = fields.url("google_chat_webhook_url")?;
        let mut endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES);
        let has = |name| {
            endpoint
                .url
                .query_pairs()
                .any(|(known, value)| known == name && !value.is_empty())
        };
        let is_google = endpoint.destination.host.as_deref() == Some("chat.googleapis.com");
        if is_google && !(has("key") && has("token")) {
            let what = "google_chat_webhook_url must be the whole URL of the webhook, with ?key=…&token=… at its end";
            return Err(fields.error("google_chat_webhook_url", what));
        }
        // One write a second and space, shared by all that write to it.
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
        let mut cuts = Cuts::default();
        let title = cuts.title(&literal(&rich::heading(notification)), TITLE, "…");
        let link = cuts.link(notification.link.as_deref(), |link| {
            LIMIT.unit.of(link) <= LINK
        });
        let mut widgets = cuts.fields(notification, MOST_FIELDS, FIELDS, &NAMES, field);
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
        let emoji = format!("{} ", Look::of(notification).emoji);
        let taken = body::json(&cards).len() + emoji.len() + AROUND;
        let split = split_after(text, ALL - taken, LIMIT, MARKUP);
        let mut parts = split.parts.into_iter();
        let rich = Rich {
            payload: Payload {
                text: (emoji + &parts.next().unwrap_or_default()).into(),
                cards: Some(cards),
                thread: thread(notification),
            },
            more: parts.collect(),
            missing: split.missing,
            cuts,
        };
        let plain = |part: String| self.plain(&part, notification);
        rich.composition(|body| self.post(body, notification), plain)
    }
}

const NOT_GOOGLE: &str =
    "google_chat_webhook_url must be the webhook's URL: what answered is not Google Chat.";
const NEW_WEBHOOK: &str = "The webhook was removed, or the space does not allow it: make a new one in the space, under Apps & integrations.";

fn hint(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Unauthorized | Reason::Forbidden | Reason::UnknownDestination => Some(NEW_WEBHOOK),
        _ => None,
    }
}

/// Without this option the key of a thread has no effect (messages.create), and without a thread the option is an error, also
/// where the URL has it as it was given (apprise, pull request 1376). A `threadKey` in the URL is a thread too.
fn with_reply_option(url: &Url, has_thread: bool) -> Url {
    const OPTION: &str = "messageReplyOption";
    let has = |wanted| url.query_pairs().any(|(name, _)| name == wanted);
    let has_thread = has_thread || has("threadKey");
    let mut with_option = url.clone();
    match (has_thread, has(OPTION)) {
        (true, false) => {
            let mut query = with_option.query_pairs_mut();
            query.append_pair(OPTION, "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
        }
        (false, true) => {
            let others = url.query_pairs().filter(|(name, _)| name != OPTION);
            with_option.query_pairs_mut().clear().extend_pairs(others);
        }
        _ => {}
    }
    with_option
}

fn thread(notification: &Notification) -> Option<Thread> {
    let key = notification.dedup_key.as_deref()?;
    Some(Thread {
        thread_key: digest(key),
    })
}

fn field(name: String, value: &str) -> Drawn<Widget> {
    let mut is_cut = false;
    let value = shorten(value, VALUE, "…", &mut is_cut);
    let field = Widget::DecoratedText {
        text: format!(
            "<b>{}</b>: {}",
            with_entities(&name),
            with_entities(&value).replace('\n', "<br>")
        ),
        wrap_text: true,
    };
    Drawn {
        length: body::json(&field).len(),
        field,
        is_cut,
    }
}

fn button(link: &str) -> Widget {
    Widget::ButtonList {
        buttons: [Button {
            text: rich::link_words(link),
            on_click: OnClick {
                open_link: OpenLink {
                    url: link.to_owned(),
                },
            },
        }],
    }
}

/// Whether a header's title is HTML is not said, so what could begin a tag or an entity is broken by a character that does
/// not show.
fn literal(text: &str) -> String {
    text.replace('<', "<\u{2060}").replace('&', "&\u{2060}")
}

/// `<users/all>` and `<users/123>` call people; there is no other way to write them.
fn without_mentions(text: &str) -> String {
    text.replace("<users/", "<\u{2060}users/")
}

impl HttpChannel for GoogleChat {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &ComposeContext<'_>,
    ) -> Result<Messages, Failure> {
        let text = texts::of(notification)?;
        let text = match cx.allow_mentions {
            true => text,
            false => without_mentions(&text).into(),
        };
        if notification.is_rich() {
            return Ok(self.rich(notification, &text));
        }
        let plain = |part: String| self.plain(&part, notification);
        Ok(texts::in_parts(&text, LIMIT, MARKUP, plain))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, _: &HttpRequest, reply: &HttpReply) -> Classification {
        let json = reply.json().unwrap_or(Value::Null);
        let error = json.get("error");
        let detail = || {
            let said = error.and_then(|error| error.get("message")?.as_str());
            classify::said("Google Chat", None, said, reply, self.endpoint.redactor())
        };
        let failure = |reason| Failure::new(reason).with_detail(detail());
        match reply.status {
            200..=299 => {
                // `spaces/{space}/messages/{message}`, of which the space is a part of the address.
                let name = json.get("name").and_then(Value::as_str);
                if name.is_none() {
                    return AttemptResult::Reject(failure(Reason::Rejected).with_hint(NOT_GOOGLE))
                        .into();
                }
                let id = name.and_then(|name| name.rsplit('/').next());
                classify::delivered(id, self.endpoint.redactor()).into()
            }
            429 => {
                let after = classify::reply_retry_after(reply);
                classify::paused(failure(Reason::RateLimited), after, Scope::Account)
            }
            _ => classify::with_hints(
                classify::by_status(reply, self.endpoint.redactor(), detail),
                hint,
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_option_stands_in_the_url_exactly_where_there_is_a_thread() {
        const OPTION: &str = "messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD";
        const FAIL: &str = "messageReplyOption=REPLY_MESSAGE_OR_FAIL";
        for (query, has_thread, expected) in [
            ("key=k", false, "key=k".to_owned()),
            ("key=k", true, format!("key=k&{OPTION}")),
            (&format!("{FAIL}&key=k"), false, "key=k".to_owned()),
            (&format!("{FAIL}&key=k"), true, format!("{FAIL}&key=k")),
            (
                &format!("threadKey=t&{FAIL}"),
                false,
                format!("threadKey=t&{FAIL}"),
            ),
            ("threadKey=t", false, format!("threadKey=t&{OPTION}")),
        ] {
            let url = Url::parse(&format!("https://chat.example/?{query}")).unwrap();
            let found = with_reply_option(&url, has_thread);
            assert_eq!(
                found.query(),
                Some(expected.as_str()),
                "{query} {has_thread}"
            );
        }
    }
}
