//! An Adaptive Card and the message with it <https://adaptivecards.io/explorer/AdaptiveCard.html>.

use serde::Serialize;

#[derive(Serialize)]
pub struct CardMessage {
    r#type: &'static str,
    attachments: [CardAttachment; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CardAttachment {
    content_type: &'static str,
    content_url: Option<()>,
    content: AdaptiveCard,
}

#[derive(Serialize)]
struct AdaptiveCard {
    r#type: &'static str,
    version: &'static str,
    body: Vec<Element>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actions: Option<[CardAction; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    msteams: Option<Width>,
}

#[derive(Serialize)]
struct Width {
    width: &'static str,
}

#[derive(Serialize)]
#[serde(tag = "type")]
pub enum Element {
    TextBlock {
        text: String,
        wrap: bool,
    },
    RichTextBlock {
        inlines: Vec<TextRun>,
        #[serde(skip_serializing_if = "Option::is_none")]
        spacing: Option<&'static str>,
    },
    Container {
        style: &'static str,
        bleed: bool,
        items: [Box<Element>; 1],
    },
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TextRun {
    pub r#type: &'static str,
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_subtle: Option<bool>,
    /// Version 1.2 <https://adaptivecards.io/explorer/TextRun.html>.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_action: Option<CardAction>,
}

#[derive(Serialize)]
pub struct CardAction {
    r#type: &'static str,
    title: String,
    url: String,
}

impl CardAction {
    pub fn open_url(title: String, url: &str) -> Self {
        Self {
            r#type: "Action.OpenUrl",
            title,
            url: url.to_owned(),
        }
    }
}

impl TextRun {
    pub fn new(text: String) -> Self {
        Self {
            r#type: "TextRun",
            text,
            ..Self::default()
        }
    }

    pub fn bold(text: String) -> Self {
        Self {
            weight: Some("Bolder"),
            ..Self::new(text)
        }
    }
}

/// Returns the message with the card. All of Teams' clients show cards of version 1.2.
pub fn message(
    body: Vec<Element>,
    actions: Option<[CardAction; 1]>,
    width: Option<&'static str>,
) -> CardMessage {
    CardMessage {
        r#type: "message",
        attachments: [CardAttachment {
            content_type: "application/vnd.microsoft.card.adaptive",
            content_url: None,
            content: AdaptiveCard {
                r#type: "AdaptiveCard",
                version: "1.2",
                body,
                actions,
                msteams: width.map(|width| Width { width }),
            },
        }],
    }
}

pub fn text_block(text: String) -> Element {
    Element::TextBlock { text, wrap: true }
}
