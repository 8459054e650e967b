//! Blocks <https://docs.slack.dev/reference/block-kit/blocks>.

use serde::Serialize;

use crate::text::Unit;

/// The unit of all texts.
pub const UNIT: Unit = Unit::Utf16Escaped;

#[derive(Serialize)]
pub struct Payload<'a> {
    /// The text in notifications and for screen readers. Servers without block support show only this text.
    pub text: String,
    pub blocks: Vec<Block>,
    /// The colour bar, if it has blocks beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<[SlackAttachment; 1]>,
    #[serde(flatten)]
    pub options: &'a PartMembers,
}

/// The configured members of every message.
#[derive(Debug, Serialize)]
pub struct PartMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_emoji: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icon_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_ts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfurl_links: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfurl_media: Option<bool>,
}

#[derive(Serialize)]
pub struct SlackAttachment {
    pub color: String,
    pub blocks: Vec<Block>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Header {
        text: BlockText,
    },
    Section {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<BlockText>,
        #[serde(skip_serializing_if = "<[BlockText]>::is_empty")]
        fields: Vec<BlockText>,
    },
    Context {
        elements: [BlockText; 1],
    },
    Image {
        image_url: String,
        alt_text: &'static str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum BlockText {
    /// Without `emoji`, Slack shows `:smile:` unchanged.
    PlainText { text: String, emoji: bool },
    /// `verbatim` prevents mentions of names and links of addresses.
    Mrkdwn { text: String, verbatim: bool },
}

impl BlockText {
    pub fn plain(text: String) -> Self {
        BlockText::PlainText { text, emoji: false }
    }

    pub fn verbatim(text: String) -> Self {
        BlockText::Mrkdwn {
            text,
            verbatim: true,
        }
    }

    pub fn units(&self) -> usize {
        match self {
            BlockText::PlainText { text, .. } => UNIT.of(text),
            // The text is already escaped where necessary.
            BlockText::Mrkdwn { text, .. } => Unit::Utf16.of(text),
        }
    }
}

impl Block {
    pub fn section(text: BlockText) -> Self {
        Block::Section {
            text: Some(text),
            fields: Vec::new(),
        }
    }
}
