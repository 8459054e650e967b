//! Telegram's bots <https://core.telegram.org/bots/api#sendmessage>.
//!
//! The text is a plain one, in which Telegram itself finds mentions, links and hashtags; there is no switch for that. So in
//! what is data they are broken by a character that does not show, or stand as code, where nothing is looked for.

mod html;
mod replies;

use std::borrow::Cow;
use std::iter::{once, repeat};
use std::sync::Arc;

use jiff::Timestamp;

use serde::Serialize;

use self::html::{Html, LIMIT, literal};
use super::shared::endpoint::{Endpoint, below};
use super::shared::http_channel::HttpChannel;
use super::shared::names::NameRules;
use super::shared::rich::{self, Cuts, Drawn, Rich};
use super::shared::{body, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, ConfigError, Fields, FollowUps, Length,
    Limits, Messages, Operator, Parameter, Protocol, Threads,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::Secret;
use crate::text::{Limit, Markup, shorten, split_after};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "telegram",
    about: "a Telegram chat, by a bot",
    parameters: &[
        Parameter::new(
            "telegram_bot_token",
            "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
            "The bot's token.",
        )
        .required()
        .secret(),
        Parameter::new(
            "telegram_chat_id",
            "-1001234567890",
            "The chat: a number, which is negative for groups, or the @name of a public channel.",
        )
        .required()
        .secret(),
        Parameter::new(
            "telegram_thread_id",
            "42",
            "The topic, where the group has topics.",
        ),
        Parameter::base_url(API),
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Telegram::new(fields, operator)?)),
};

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::threads(Threads::ByReference),
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(LIMIT, Markup::NONE)),
};

const API: &str = "https://api.telegram.org";

/// Ours: a headline.
const TITLE: Limit = Limit::code_points(250);
const NAMES: NameRules = NameRules {
    clean: literal,
    ..NameRules::any(Limit::code_points(80), "…")
};
const VALUE: Limit = Limit::code_points(500);
/// What fields may take of the message, in code points, and how many: a message has a hundred entities, of which each field takes two.
const FIELDS: usize = 1_500;
const MOST_FIELDS: usize = 40;
/// Ours, in bytes: an address that anybody may want to open.
const LINK: usize = 2_000;

/// The topic that a group with topics has from the beginning. Messages to it name no topic: otherwise the reply is "message
/// thread not found" (telegram-bot-api, issue 798).
const GENERAL: i64 = 1;

#[derive(Debug)]
struct Telegram {
    endpoint: Endpoint,
    chat: Secret,
    /// The topic within the chat.
    thread: Option<i64>,
}

/// As the API takes it: a number, or the name of a public channel.
#[derive(Serialize)]
#[serde(untagged)]
enum Chat<'a> {
    Id(i64),
    Name(&'a str),
}

impl<'a> Chat<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        match text.strip_prefix('@') {
            Some(name) => {
                let fits = (4..=32).contains(&name.len()) && name.bytes().all(is_word);
                fits.then_some(Chat::Name(text))
            }
            None => text.parse().ok().filter(|id| *id != 0).map(Chat::Id),
        }
    }
}

#[derive(Serialize)]
struct Payload<'a> {
    chat_id: Option<Chat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_thread_id: Option<i64>,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parse_mode: Option<&'static str>,
    link_preview_options: LinkPreview,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_parameters: Option<Answers>,
}

#[derive(Serialize)]
struct LinkPreview {
    is_disabled: bool,
}

/// The message that this one answers. Where it is gone, this one stands alone.
#[derive(Serialize)]
struct Answers {
    message_id: i64,
    allow_sending_without_reply: bool,
}

impl Telegram {
    fn new(fields: &mut Fields<'_>, _: &Operator) -> Result<Self, ConfigError> {
        let token = fields.formed("telegram_bot_token", TOKEN_FORM, is_token)?;
        let chat_id =
            fields.formed("telegram_chat_id", CHAT_FORM, |id| Chat::read(id).is_some())?;
        let thread = fields.formed_or_none("telegram_thread_id", THREAD_FORM, |id| {
            id.parse().is_ok_and(|id: i64| id > 0)
        })?;
        let thread: Option<i64> = thread.and_then(|id| id.parse().ok());
        let thread = thread.filter(|id| *id != GENERAL);
        let url = below(
            &fields.base_url(API)?,
            [&*format!("bot{token}"), "sendMessage"],
        );
        let topic = thread.map(|id| id.to_string());
        let apart = [&token, &chat_id].into_iter().chain(&topic);
        let endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES)
            .told_apart_by(fields.sender(), apart.map(Secret::new))
            .with_secret_members(&["chat_id"]);
        Ok(Self {
            endpoint,
            chat: Secret::new(chat_id),
            thread,
        })
    }

    fn payload<'a>(&'a self, text: Cow<'a, str>) -> Payload<'a> {
        Payload {
            chat_id: Chat::read(self.chat.expose()),
            message_thread_id: self.thread,
            text,
            parse_mode: None,
            link_preview_options: LinkPreview { is_disabled: true },
            reply_parameters: None,
        }
    }

    fn plain(&self, text: &str) -> Outbound {
        let body = body::json(&self.payload(text.into()));
        self.endpoint.post(body, &[])
    }

    fn rich(&self, notification: &Notification, text: &str, cx: &ComposeContext<'_>) -> Messages {
        let mut cuts = Cuts::default();
        let title = cuts.title(&literal(&rich::heading(notification)), TITLE, "…");
        let link = cuts.link(notification.link.as_deref(), |link| link.len() <= LINK);
        let link = link.map(Html::link);
        let fields = cuts.fields(notification, MOST_FIELDS, FIELDS, &NAMES, field);
        let head = Html::tag("b", &title).then("\n");
        let summary = rich::summary(notification, &cuts).map(|summary| Html::text(&summary));
        let lines = fields.into_iter().chain(summary).chain(link);
        let tail = lines.zip(once("\n\n").chain(repeat("\n")));
        let tail = tail.fold(Html::text(""), |tail, (line, end)| tail.then(end).and(line));
        let room = LIMIT.length - head.length - tail.length;
        let split = split_after(text, room, LIMIT, Markup::NONE);
        let mut parts = split.parts.into_iter();
        let first = Html::text(&parts.next().unwrap_or_default());
        let answers = cx.earlier.and_then(|id| id.0.parse().ok());
        let rich = Rich {
            payload: Payload {
                parse_mode: Some("HTML"),
                reply_parameters: answers.map(|message_id| Answers {
                    message_id,
                    allow_sending_without_reply: true,
                }),
                ..self.payload(head.and(first).and(tail).html.into())
            },
            more: parts.collect(),
            missing: split.missing,
            cuts,
        };
        rich.composition(
            |body| self.endpoint.post(body, &[]),
            |part| self.plain(&part),
        )
    }
}

const TOKEN_FORM: &str =
    "digits, a colon, and at least 30 letters, digits, hyphens and underscores";

fn is_token(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.split_once(':').is_some_and(|(bot, key)| {
        (1..=20).contains(&bot.len())
            && bot.bytes().all(|byte| byte.is_ascii_digit())
            && (30..=100).contains(&key.len())
            && key.bytes().all(is_word)
    })
}

const CHAT_FORM: &str = "a number, or @ and the name of a public channel";
const THREAD_FORM: &str = "a positive number";

fn field(name: String, value: &str) -> Drawn<Html> {
    let mut is_cut = false;
    let value = shorten(value, VALUE, "…", &mut is_cut);
    let field = Html::tag("b", &format!("{name}:"))
        .then(" ")
        .and(Html::tag("code", &value));
    Drawn {
        length: field.length + "\n".len(),
        field,
        is_cut,
    }
}

impl HttpChannel for Telegram {
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
            false => literal(&text).into(),
        };
        if notification.is_rich() {
            return Ok(self.rich(notification, &text, cx));
        }
        Ok(texts::in_parts(&text, LIMIT, Markup::NONE, |part| {
            self.plain(&part)
        }))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, sent: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(sent, reply, self.endpoint.redactor())
    }
}
