//! The members of a message that the configuration sets, as <https://docs.ntfy.sh/publish/#publish-as-json> names them.

use serde::{Serialize, Serializer};

use super::parameters::{ATTACH, BUTTONS, CALL, DELAY, EMAIL, ICON, MARKDOWN, PRIORITY, TAGS};
use crate::channels::Fields;
use crate::channels::shared::addresses::{self, LinkLimits, NamedLink};
use crate::channels::shared::body;
use crate::model::problem::Problem;
use crate::secret::Secret;
use crate::text::Limit;

/// ntfy shows three buttons <https://docs.ntfy.sh/publish/#action-buttons>.
const LINKS: LinkLimits = LinkLimits {
    count: 3,
    text: Limit::utf16(50),
    address: ALL,
};
const MOST_TAGS: usize = 10;
/// A limit of this crate for all options together, in bytes. With it a message fits the server's limit.
const ALL: usize = 1_500;

/// The configured members.
#[derive(Debug)]
pub struct NtfyOptions {
    pub priority: Option<u8>,
    pub of_each_part: PartOptions,
    pub of_first_part: FirstPartOptions,
}

/// The members of each message of a long text.
#[derive(Debug, Serialize)]
pub struct PartOptions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    markdown: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<String>,
}

/// The members of a long text's first message only: nobody wants ten calls.
#[derive(Debug, Serialize)]
pub struct FirstPartOptions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<ViewAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attach: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    email: Option<Secret>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    call: Option<Secret>,
}

#[derive(Debug, Serialize)]
struct ViewAction {
    action: &'static str,
    label: String,
    url: String,
}

impl From<NamedLink> for ViewAction {
    fn from(link: NamedLink) -> Self {
        Self {
            action: "view",
            label: link.text,
            url: link.address,
        }
    }
}

impl NtfyOptions {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        let buttons = addresses::links(fields, &BUTTONS, &LINKS)?;
        let secret = |field| {
            fields
                .formed_or_none(field)
                .map(|text| text.map(Secret::new))
        };
        let options = Self {
            priority: fields
                .number(&PRIORITY, 1..=5)?
                .and_then(|number| number.try_into().ok()),
            of_each_part: PartOptions {
                tags: fields.formed_list(&TAGS, MOST_TAGS)?,
                markdown: fields.flag(&MARKDOWN)?.filter(|is_on| *is_on),
                icon: addresses::address(fields, &ICON, ALL)?,
                delay: fields.formed_or_none(&DELAY)?,
            },
            of_first_part: FirstPartOptions {
                actions: buttons.into_iter().map(ViewAction::from).collect(),
                attach: addresses::address(fields, &ATTACH, ALL)?,
                email: secret(&EMAIL)?,
                call: secret(&CALL)?,
            },
        };
        options.check(fields)?;
        Ok(options)
    }

    fn check(&self, fields: &Fields<'_>) -> Result<(), Problem> {
        let first = &self.of_first_part;
        // The server's errors 40003 and 40037
        // <https://github.com/binwiederhier/ntfy/blob/main/server/errors.go>.
        if self.of_each_part.delay.is_some() && (first.email.is_some() || first.call.is_some()) {
            let message = "ntfy_delay excludes ntfy_email and ntfy_call: ntfy delays neither";
            return Err(fields.error(&DELAY, message));
        }
        let size = body::json(&self.of_each_part).len() + body::json(first).len();
        if size > ALL {
            let message = format!(
                "ntfy_attach and the other options are too long: {size} bytes together, at most {ALL}"
            );
            return Err(fields.error(&ATTACH, message));
        }
        Ok(())
    }

    /// Returns the secrets, which no reply may show.
    pub fn secrets(&self) -> impl Iterator<Item = Secret> {
        let first = &self.of_first_part;
        first.email.iter().chain(&first.call).cloned()
    }
}

fn exposed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}
