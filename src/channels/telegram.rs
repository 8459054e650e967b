//! Telegram's bots <https://core.telegram.org/bots/api#sendmessage>.
//!
//! The text is a plain one, in which Telegram itself finds mentions, links and hashtags; there is no switch for that. So in
//! what is data they are broken by a character that does not show, or stand as code, where nothing is looked for.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::shared::endpoint::{Endpoint, below};
use super::shared::names::NameRules;
use super::shared::rich::{self, Cuts, Drawn, Rich};
use super::shared::{USER_AGENT, body, texts, verdict};
use super::{
    Channel, ChannelSpec, Composing, Composition, ConfigError, Fields, Length, Operator, Parameter,
    Resolved,
};
use crate::model::notification::Notification;
use crate::model::outcome::{Detail, Failure, Judgement, Reason, Scope, Verdict};
use crate::model::secret::Secret;
use crate::model::text::{Limit, Markup, split_after, with_entities};
use crate::model::wire::{Destination, HttpReply, Outbound, Repeat};

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
    length: Length::Split(LIMIT, Markup::NONE),
    repeat: Repeat::ShowsTwice,
    resolved: Resolved::Threads,
    parse: |fields, operator| Ok(Arc::new(Telegram::new(fields, operator)?)),
};

const API: &str = "https://api.telegram.org";

/// "1-4096 characters after entities parsing", which the server counts as code points (tdlib: `utf8_length`).
const LIMIT: Limit = Limit::code_points(4_096);
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
        let url = below(
            &fields.base_url(API)?,
            [&*format!("bot{token}"), "sendMessage"],
        );
        let apart = [&token, &chat_id].into_iter().chain(&thread);
        let endpoint = Endpoint::new(fields.sender(), url, USER_AGENT)
            .told_apart_by(fields.sender(), apart.map(Secret::new));
        Ok(Self {
            endpoint,
            chat: Secret::new(chat_id),
            thread: thread.and_then(|id| id.parse().ok()),
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

    fn rich(&self, notification: &Notification, text: &str, cx: &Composing<'_>) -> Composition {
        let mut cuts = Cuts::default();
        let title = cuts.title(&literal(&rich::heading(notification)), TITLE, "…");
        let link = cuts.link(notification.link.as_deref(), |link| link.len() <= LINK);
        let link = link.map(Html::link);
        let fields = cuts.fields(notification, MOST_FIELDS, FIELDS, &NAMES, field);
        let head = Html::tag("b", &title).then("\n");
        let mut tail = Html::text("\n\n");
        for field in fields {
            tail = tail.and(field).then("\n");
        }
        tail = tail.then(&rich::summary(notification, &cuts));
        if let Some(link) = link {
            tail = tail.then("\n").and(link);
        }
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

const MIGRATED: &str = "Give the id that `detail` names as telegram_chat_id.";
const NO_CHAT: &str = "Add the bot to the chat, or send it a message, and check telegram_chat_id: the ids of groups are negative.";
const NO_THREAD: &str = "Check telegram_thread_id: it is the number in a link to the topic.";
const TOKEN_HINT: &str =
    "Give telegram_bot_token as @BotFather shows it; it may have been revoked.";
const SHUT_OUT: &str =
    "The bot was blocked, removed, or may not write: unblock it, or add it to the chat again.";

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

/// HTML, and how many code points of it are seen (section "HTML style").
struct Html {
    html: String,
    length: usize,
}

impl Html {
    fn text(text: &str) -> Self {
        Self {
            html: with_entities(text),
            length: LIMIT.unit.of(text),
        }
    }

    fn tag(name: &str, text: &str) -> Self {
        let inner = Self::text(text);
        Self {
            html: format!("<{name}>{}</{name}>", inner.html),
            ..inner
        }
    }

    fn link(link: &str) -> Self {
        let inner = Self::text(&rich::link_words(link));
        let address = with_entities(link).replace('"', "&quot;");
        Self {
            html: format!("<a href=\"{address}\">{}</a>", inner.html),
            ..inner
        }
    }

    fn then(self, text: &str) -> Self {
        self.and(Self::text(text))
    }

    fn and(mut self, other: Self) -> Self {
        self.html.push_str(&other.html);
        self.length += other.length;
        self
    }
}

fn field(name: String, value: &str) -> Drawn<Html> {
    let mut is_cut = false;
    let value = rich::shorten(value, VALUE, "…", &mut is_cut);
    let field = Html::tag("b", &format!("{name}:"))
        .then(" ")
        .and(Html::tag("code", &value));
    Drawn {
        length: field.length + "\n".len(),
        field,
        is_cut,
    }
}

/// `text` in which Telegram finds nobody and nothing to tap: behind an `@`, `#` or `/` that begins a word stands a word
/// joiner, which does not show.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for character in text.chars() {
        literal.push(character);
        let begins = match character {
            '@' | '#' => true,
            '/' => before.is_whitespace(),
            _ => false,
        };
        if begins {
            literal.push(WORD_JOINER);
        }
        before = character;
    }
    literal
}

const WORD_JOINER: char = '\u{2060}';

impl Channel for Telegram {
    fn destination(&self) -> &Destination {
        &self.endpoint.destination
    }

    fn repeat(&self) -> Repeat {
        SPEC.repeat
    }

    fn follows_up(&self) -> bool {
        true
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<Composition, Failure> {
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

    fn preview(&self, body: &[u8]) -> String {
        let chat = serde_json::to_value(Chat::read(self.chat.expose())).unwrap_or_default();
        body::without_member(body, "chat_id", &chat)
    }

    fn judge_http(&self, reply: &HttpReply) -> Judgement {
        let json = reply.json().unwrap_or(Value::Null);
        let description = json.get("description").and_then(Value::as_str);
        let parameter = |name| json.get("parameters").and_then(|all| all.get(name));
        let redactor = self.endpoint.redactor();
        let detail = || verdict::said("Telegram", None, description, reply, redactor);
        let reject = |reason, hint| {
            let failure = Failure::new(reason).with_detail(detail()).with_hint(hint);
            Verdict::Reject(failure).into()
        };
        let says = |words| description.is_some_and(|text| text.to_lowercase().contains(words));
        match reply.status {
            200..=299 if json.get("ok") == Some(&Value::Bool(true)) => {
                let id = json
                    .get("result")
                    .and_then(|result| result.get("message_id"));
                let id = id.and_then(Value::as_i64).map(|id| id.to_string());
                verdict::delivered(id.as_deref(), redactor).into()
            }
            200..=299 => {
                Verdict::Reject(Failure::new(Reason::Rejected).with_detail(detail())).into()
            }
            429 => {
                let wait = parameter("retry_after").and_then(Value::as_f64);
                let after = wait.and_then(verdict::seconds);
                let after = after.or_else(|| verdict::reply_retry_after(reply));
                let failure = Failure::new(Reason::RateLimited).with_detail(detail());
                verdict::paused(failure, after, Scope::Destination)
            }
            400 => match parameter("migrate_to_chat_id").and_then(Value::as_i64) {
                Some(id) => {
                    let said = format!("the group became a supergroup, whose id is {id}");
                    let detail: Option<Detail> = verdict::words("Telegram", &said, redactor);
                    let failure = Failure::new(Reason::UnknownDestination).with_detail(detail);
                    Verdict::Reject(failure.with_hint(MIGRATED)).into()
                }
                None if says("chat not found") => reject(Reason::UnknownDestination, NO_CHAT),
                None if says("thread not found") => reject(Reason::UnknownDestination, NO_THREAD),
                None if says("too long") => reject(Reason::TooLarge, Reason::TooLarge.hint()),
                None => verdict::by_status(reply, detail),
            },
            401 | 404 => reject(Reason::Unauthorized, TOKEN_HINT),
            403 => reject(Reason::Forbidden, SHUT_OUT),
            _ => verdict::by_status(reply, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_a_mention_a_hashtag_or_a_command_is_broken_and_nothing_else() {
        for (text, broken) in [
            ("db1", "db1"),
            ("@admin", "@\u{2060}admin"),
            ("#1 of a@b", "#\u{2060}1 of a@\u{2060}b"),
            ("/stop and/or /", "/\u{2060}stop and/or /\u{2060}"),
            ("https://a/b", "https://a/b"),
        ] {
            assert_eq!(literal(text), broken, "{text}");
        }
    }
}
