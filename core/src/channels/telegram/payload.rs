//! A message in the API's format.

use std::borrow::Cow;

use serde::Serialize;

use super::options::{InlineKeyboard, LinkPreview, PartFlags};

/// A chat in the API's format: a number, or the name of a public channel.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Chat<'a> {
    Id(i64),
    Name(&'a str),
}

impl<'a> Chat<'a> {
    pub fn read(text: &'a str) -> Option<Self> {
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
pub struct Payload<'a> {
    pub chat_id: Option<Chat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_thread_id: Option<i64>,
    pub text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parse_mode: Option<&'static str>,
    pub link_preview_options: LinkPreview,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_parameters: Option<ReplyParameters>,
    #[serde(flatten)]
    pub flags: &'a PartFlags,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_markup: Option<&'a InlineKeyboard>,
}

/// The message to reply to. If it no longer exists, Telegram sends the message without a reply.
#[derive(Serialize)]
pub struct ReplyParameters {
    pub message_id: i64,
    pub allow_sending_without_reply: bool,
}
