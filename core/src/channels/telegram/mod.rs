//! Telegram bots <https://core.telegram.org/bots/api#sendmessage>.
//!
//! The text is plain, and Telegram always finds mentions, links and hashtags in it. So data is either code, which
//! Telegram does not search, or contains invisible characters that break mentions and hashtags.

mod html;
mod list;
mod options;
mod payload;
mod replies;

use std::borrow::Cow;
use std::iter::{once, repeat};
use std::sync::Arc;

use jiff::Timestamp;

use self::html::{Html, TEXT_LIMIT, field, literal};
use self::list::list;
use self::options::{BUTTONS, InlineKeyboard, LINK_PREVIEW, PROTECTED, SILENT, TelegramOptions};
use self::payload::{Chat, Payload, ReplyParameters};
use super::shared::endpoint::{Endpoint, join_path};
use super::shared::http_channel::HttpChannel;
use super::shared::names::NameRules;
use super::shared::rich::{self, RichMessage, Truncations};
use super::shared::{body, texts};
use super::{
    Attachments, Capabilities, ChannelSpec, ComposeContext, Fields, FollowUps, Length, Limits,
    Messages, OperatorSettings, Parameter, Protocol, Threading,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Classification, Failure};
use crate::model::problem::Problem;
use crate::model::wire::{HttpReply, HttpRequest, Outbound, ResendEffect};
use crate::secret::Secret;
use crate::text::{Limit, Markup, split_after};

pub const SPEC: ChannelSpec = ChannelSpec {
    key: "telegram",
    about: "a Telegram chat, by a bot",
    parameters: &[
        BOT_TOKEN,
        CHAT_ID,
        THREAD_ID,
        SILENT,
        PROTECTED,
        LINK_PREVIEW,
        BUTTONS,
        BASE_URL,
    ],
    capabilities: &CAPABILITIES,
    parse: |fields, operator| Ok(Arc::new(Telegram::new(fields, operator)?)),
};

const BOT_TOKEN: Parameter = Parameter::new(
    "telegram_bot_token",
    "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
    "The bot's token.",
)
.form(
    "digits, a colon, and at least 30 letters, digits, hyphens and underscores",
    is_token,
)
.required()
.secret();
const CHAT_ID: Parameter = Parameter::new(
    "telegram_chat_id",
    "-1001234567890",
    "The chat: its number, or the @name of a public channel.",
)
.form("a number, or @ and the name of a public channel", |id| {
    Chat::read(id).is_some()
})
.required()
.secret();
const THREAD_ID: Parameter = Parameter::new(
    "telegram_thread_id",
    "42",
    "The topic, where the group has topics.",
)
.form("a positive number", |id| {
    id.parse().is_ok_and(|id: i64| id > 0)
});
const BASE_URL: Parameter = Parameter::base_url(API);

const CAPABILITIES: Capabilities = Capabilities {
    protocol: Protocol::Http,
    resend: ResendEffect::ShownTwice,
    follow_ups: FollowUps::threads(Threading::ByReference),
    attachments: Attachments::None,
    limits: Limits::text(Length::Split(TEXT_LIMIT, Markup::NONE)),
};

const API: &str = "https://api.telegram.org";

/// A limit of this crate for a headline.
const TITLE_LIMIT: Limit = Limit::code_points(250);
const FIELD_NAMES: NameRules = NameRules {
    clean: literal,
    ..NameRules::any(Limit::code_points(80), "…")
};
/// The limit of all fields in a message, in code points, and of their number. A message has at most a hundred
/// entities, and each field uses two.
const MAX_FIELDS_CODE_POINTS: usize = 1_500;
const MAX_FIELDS: usize = 40;
/// Each alert of a group may have a link, which is an entity too.
const MAX_FIELDS_OF_GROUP: usize = 20;
/// A limit of this crate in bytes, for addresses that a person opens.
const MAX_LINK_BYTES: usize = 2_000;

/// The first topic of a group with topics. Messages to it must not name a topic; the reply is otherwise "message
/// thread not found" (telegram-bot-api, issue 798).
const GENERAL_TOPIC: i64 = 1;

#[derive(Debug)]
struct Telegram {
    endpoint: Endpoint,
    chat: Secret,
    /// The topic within the chat.
    thread: Option<i64>,
    options: TelegramOptions,
}

impl Telegram {
    fn new(fields: &mut Fields<'_>, _: &OperatorSettings) -> Result<Self, Problem> {
        let token = fields.formed(&BOT_TOKEN)?;
        let chat_id = fields.formed(&CHAT_ID)?;
        let thread = fields.formed_or_none(&THREAD_ID)?;
        let thread: Option<i64> = thread.and_then(|id| id.parse().ok());
        let thread = thread.filter(|id| *id != GENERAL_TOPIC);
        let url = join_path(
            &fields.base_url(&BASE_URL)?,
            [&*format!("bot{token}"), "sendMessage"],
        );
        let topic = thread.map(|id| id.to_string());
        let apart = [&token, &chat_id].into_iter().chain(&topic);
        let endpoint = Endpoint::new(fields.sender(), url, &CAPABILITIES)
            .distinguished_by(fields.sender(), apart.map(Secret::new))
            .with_secret_members(&["chat_id"]);
        Ok(Self {
            endpoint,
            chat: Secret::new(chat_id),
            thread,
            options: TelegramOptions::read(fields)?,
        })
    }

    fn payload<'a>(&'a self, text: Cow<'a, str>) -> Payload<'a> {
        Payload {
            chat_id: Chat::read(self.chat.expose()),
            message_thread_id: self.thread,
            text,
            parse_mode: None,
            link_preview_options: self.options.link_preview,
            reply_parameters: None,
            flags: &self.options.of_each_part,
            reply_markup: None,
        }
    }

    fn plain(&self, text: &str, buttons: Option<&InlineKeyboard>) -> Outbound {
        let payload = Payload {
            reply_markup: buttons,
            ..self.payload(text.into())
        };
        self.endpoint.post(body::json(&payload), &[])
    }

    fn rich(&self, notification: &Notification, text: &str, cx: &ComposeContext) -> Messages {
        let mut cuts = Truncations::default();
        let title = cuts.heading(notification, TITLE_LIMIT, |heading| literal(&heading));
        let link = cuts.link(notification.link.as_deref(), |link| {
            link.len() <= MAX_LINK_BYTES
        });
        let link = link.map(Html::link);
        let most = match notification.listed_group() {
            Some(_) => MAX_FIELDS_OF_GROUP,
            None => MAX_FIELDS,
        };
        let fields = cuts.fields(
            notification,
            most,
            MAX_FIELDS_CODE_POINTS,
            &FIELD_NAMES,
            field,
        );
        let head = Html::tag("b", &title).then("\n");
        let summary = rich::summary(notification, &cuts).map(|summary| Html::text(&summary));
        let lines = fields.into_iter().chain(summary).chain(link);
        let tail = lines.zip(once("\n\n").chain(repeat("\n")));
        let tail = tail.fold(Html::text(""), |tail, (line, end)| tail.then(end).and(line));
        let room = TEXT_LIMIT.length - head.length - tail.length;
        let (first, more, missing) = match notification.listed_group() {
            Some(group) => (list(group, room), Vec::new(), 0),
            None => {
                let mut split = split_after(text, room, TEXT_LIMIT, Markup::NONE);
                let more = split.parts.split_off(1);
                (Html::text(&split.parts.concat()), more, split.missing)
            }
        };
        let replied = cx.earlier.as_ref().and_then(|id| id.0.parse().ok());
        let payload = Payload {
            parse_mode: Some("HTML"),
            reply_parameters: replied.map(|message_id| ReplyParameters {
                message_id,
                allow_sending_without_reply: true,
            }),
            reply_markup: self.options.buttons.as_ref(),
            ..self.payload(head.and(first).and(tail).html.into())
        };
        let rich = RichMessage::new(payload, more.into_iter(), missing, cuts);
        let plain = |part: String| self.plain(&part, None);
        rich.messages(|body| self.endpoint.post(body, &[]), plain)
    }
}

fn is_token(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.split_once(':').is_some_and(|(bot, key)| {
        (1..=20).contains(&bot.len())
            && bot.bytes().all(|byte| byte.is_ascii_digit())
            && (30..=100).contains(&key.len())
            && key.bytes().all(is_word)
    })
}

impl HttpChannel for Telegram {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn compose(&self, n: &Notification, cx: &ComposeContext) -> Result<Messages, Failure> {
        let text = texts::allowed(n, cx, literal)?;
        if n.is_rich() {
            return Ok(self.rich(n, &text, cx));
        }
        let mut buttons = self.options.buttons.as_ref();
        Ok(texts::in_parts(&text, TEXT_LIMIT, Markup::NONE, |part| {
            self.plain(&part, buttons.take())
        }))
    }

    fn sign(&self, _: &mut HttpRequest, _: Timestamp) {}

    fn classify(&self, sent: &HttpRequest, reply: &HttpReply) -> Classification {
        replies::classify(sent, reply, self.endpoint.redactor())
    }
}
