//! The members of a message that the configuration sets
//! <https://docs.discord.com/developers/resources/webhook#execute-webhook>.

use serde::Serialize;

use super::parameters::{
    APPLIED_TAGS, AVATAR_URL, IMAGE, MENTIONS, SILENT, THREAD_ID, THREAD_NAME, TTS, USERNAME,
};
use crate::channels::Fields;
use crate::channels::shared::addresses;
use crate::model::problem::Problem;

/// `SUPPRESS_NOTIFICATIONS` <https://docs.discord.com/developers/resources/message#message-object-message-flags>.
const SUPPRESS_NOTIFICATIONS: u32 = 1 << 12;
/// The limit of an address in an embed.
const ADDRESS: usize = 2_048;
/// "Maximum 5" tags of a forum (Discord's OpenAPI description, `IncomingWebhookRequestPartial`).
const MOST_TAGS: usize = 5;
/// A limit of this crate. A list of allowed mentions has at most 100 ids.
const MOST_MENTIONS: usize = 20;

#[derive(Debug)]
pub struct DiscordOptions {
    pub of_new_message: NewMessageOptions,
    pub thread_id: Option<String>,
    pub image: Option<String>,
    pub mentions: Mentions,
}

/// The members of new messages. An edit has none of them.
#[derive(Debug, Serialize)]
pub struct NewMessageOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    applied_tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<u32>,
}

/// The people that a rich notification mentions.
#[derive(Debug, Default)]
pub struct Mentions {
    pub text: String,
    pub allowed: AllowedMentions,
}

/// The mentions that have an effect. `{"parse":[]}` forbids all others.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AllowedMentions {
    parse: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    users: Vec<String>,
}

impl DiscordOptions {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        let is_on = |field| fields.flag(field).map(|flag| flag.filter(|is_on| *is_on));
        let thread_id = fields.formed_or_none(&THREAD_ID)?;
        let thread_name = fields.formed_or_none(&THREAD_NAME)?;
        if thread_id.is_some() && thread_name.is_some() {
            // Discord's error 220002.
            let message = "discord_thread_name makes a thread: leave out discord_thread_id";
            return Err(fields.error(&THREAD_NAME, message));
        }
        Ok(Self {
            of_new_message: NewMessageOptions {
                username: fields.formed_or_none(&USERNAME)?,
                avatar_url: addresses::address(fields, &AVATAR_URL, ADDRESS)?,
                thread_name,
                applied_tags: fields.formed_list(&APPLIED_TAGS, MOST_TAGS)?,
                tts: is_on(&TTS)?,
                flags: is_on(&SILENT)?.map(|_| SUPPRESS_NOTIFICATIONS),
            },
            thread_id,
            image: addresses::image(fields, &IMAGE, ADDRESS)?,
            mentions: Mentions::of(&fields.formed_list(&MENTIONS, MOST_MENTIONS)?),
        })
    }
}

impl Mentions {
    fn of(words: &[String]) -> Self {
        let mut allowed = AllowedMentions::default();
        let mut texts = Vec::new();
        for word in words {
            match word.split_once(':') {
                Some(("role", id)) => {
                    texts.push(format!("<@&{id}>"));
                    allowed.roles.push(id.to_owned());
                }
                Some((_, id)) => {
                    texts.push(format!("<@{id}>"));
                    allowed.users.push(id.to_owned());
                }
                // `everyone` or `here`.
                None => {
                    texts.push(format!("@{word}"));
                    allowed.parse = vec!["everyone"];
                }
            }
        }
        Self {
            text: texts.join(" "),
            allowed,
        }
    }
}
