//! Blocks <https://docs.slack.dev/reference/block-kit/blocks>.

use serde::Serialize;

use crate::text::Unit;

/// In which texts are counted.
pub const UNIT: Unit = Unit::Utf16Escaped;

#[derive(Serialize)]
pub struct Payload {
    /// Shown in notifications, read by screen readers, and all that servers show which know no blocks.
    pub text: String,
    pub blocks: Vec<Block>,
    /// The colour bar, where something stands beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments: Option<[Attachment; 1]>,
}

#[derive(Serialize)]
pub struct Attachment {
    pub color: String,
    pub blocks: Vec<Block>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    Header {
        text: Text,
    },
    Section {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<Text>,
        #[serde(skip_serializing_if = "<[Text]>::is_empty")]
        fields: Vec<Text>,
    },
    Context {
        elements: [Text; 1],
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Text {
    /// Without `emoji`, `:smile:` stays what it is.
    PlainText { text: String, emoji: bool },
    /// `verbatim`: no names are made mentions of, and no addresses links.
    Mrkdwn { text: String, verbatim: bool },
}

impl Text {
    pub fn plain(text: String) -> Self {
        Text::PlainText { text, emoji: false }
    }

    pub fn ours(text: String) -> Self {
        Text::Mrkdwn {
            text,
            verbatim: true,
        }
    }

    pub fn units(&self) -> usize {
        match self {
            Text::PlainText { text, .. } => UNIT.of(text),
            // Escaped already, where it has to be.
            Text::Mrkdwn { text, .. } => Unit::Utf16.of(text),
        }
    }
}

impl Block {
    pub fn section(text: Text) -> Self {
        Block::Section {
            text: Some(text),
            fields: Vec::new(),
        }
    }
}
