//! The members of a message that the configuration sets <https://core.telegram.org/bots/api#sendmessage>.

use serde::Serialize;

use crate::channels::shared::addresses::{self, LinkLimits, NamedLink};
use crate::channels::{Fields, Parameter, ParameterKind};
use crate::model::problem::Problem;
use crate::text::Limit;

pub const SILENT: Parameter = Parameter::new(
    "telegram_disable_notification",
    "true",
    "Whether the message makes no sound.",
)
.of(ParameterKind::Boolean);
pub const PROTECTED: Parameter = Parameter::new(
    "telegram_protect_content",
    "true",
    "Whether the message cannot be forwarded or saved.",
)
.of(ParameterKind::Boolean);
pub const LINK_PREVIEW: Parameter = Parameter::new(
    "telegram_link_preview",
    "true",
    "Whether the first link has a preview.",
)
.of(ParameterKind::Boolean);
pub const BUTTONS: Parameter = Parameter::new(
    "telegram_buttons",
    r#"{ Runbook = "https://wiki.example.com/cpu" }"#,
    "Buttons below the message that open addresses, by their texts.",
)
.of(ParameterKind::Table);

/// Limits of this crate, because Telegram documents none.
const LINKS: LinkLimits = LinkLimits {
    count: 10,
    text: Limit::utf16(64),
    address: 2_000,
};

#[derive(Debug)]
pub struct TelegramOptions {
    pub of_each_part: PartFlags,
    pub link_preview: LinkPreview,
    /// Of a long text's first message.
    pub buttons: Option<InlineKeyboard>,
}

#[derive(Debug, Serialize)]
pub struct PartFlags {
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_notification: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protect_content: Option<bool>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct LinkPreview {
    pub is_disabled: bool,
}

/// One button in each row.
#[derive(Debug, Serialize)]
pub struct InlineKeyboard {
    inline_keyboard: Vec<[UrlButton; 1]>,
}

#[derive(Debug, Serialize)]
struct UrlButton {
    text: String,
    url: String,
}

impl TelegramOptions {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        let is_on = |field| fields.flag(field).map(|flag| flag.filter(|is_on| *is_on));
        let buttons = addresses::links(fields, &BUTTONS, &LINKS)?;
        let rows = buttons
            .into_iter()
            .map(|NamedLink { text, address }| [UrlButton { text, url: address }]);
        let rows: Vec<_> = rows.collect();
        Ok(Self {
            of_each_part: PartFlags {
                disable_notification: is_on(&SILENT)?,
                protect_content: is_on(&PROTECTED)?,
            },
            link_preview: LinkPreview {
                is_disabled: is_on(&LINK_PREVIEW)?.is_none(),
            },
            buttons: (!rows.is_empty()).then_some(InlineKeyboard {
                inline_keyboard: rows,
            }),
        })
    }
}
