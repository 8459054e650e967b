//! The valid members of a message [Google Chat docs: messages, cards]. Google's APIs reject others: "Unknown name …: Cannot find
//! field".

use serde_json::Value;

/// The members of an object, by name, and the members of each value.
#[derive(Clone, Copy)]
pub struct Members(&'static [(&'static str, Members)]);

/// The value is not checked.
const ANY: Members = Members(&[]);

pub const MESSAGE: Members = Members(&[
    ("text", ANY),
    ("fallbackText", ANY),
    ("cardsV2", CARD_WITH_ID),
    ("thread", Members(&[("name", ANY), ("threadKey", ANY)])),
    ("actionResponse", ANY),
    ("accessoryWidgets", ANY),
    ("annotations", ANY),
    ("attachment", ANY),
]);

const CARD_WITH_ID: Members = Members(&[("cardId", ANY), ("card", CARD)]);

const CARD: Members = Members(&[
    ("header", HEADER),
    ("sections", SECTION),
    ("sectionDividerStyle", ANY),
    ("cardActions", ANY),
    ("name", ANY),
    ("fixedFooter", ANY),
    ("displayStyle", ANY),
    ("peekCardHeader", HEADER),
]);

const HEADER: Members = Members(&[
    ("title", ANY),
    ("subtitle", ANY),
    ("imageType", ANY),
    ("imageUrl", ANY),
    ("imageAltText", ANY),
]);

const SECTION: Members = Members(&[
    ("header", ANY),
    ("widgets", WIDGET),
    ("collapsible", ANY),
    ("uncollapsibleWidgetsCount", ANY),
    ("id", ANY),
    ("collapseControl", ANY),
]);

const WIDGET: Members = Members(&[
    ("decoratedText", DECORATED_TEXT),
    (
        "textParagraph",
        Members(&[("text", ANY), ("maxLines", ANY), ("textSyntax", ANY)]),
    ),
    ("buttonList", Members(&[("buttons", BUTTON)])),
    ("image", ANY),
    ("textInput", ANY),
    ("selectionInput", ANY),
    ("dateTimePicker", ANY),
    ("divider", ANY),
    ("grid", ANY),
    ("columns", ANY),
    ("carousel", ANY),
    ("chipList", ANY),
    ("horizontalAlignment", ANY),
    ("id", ANY),
    ("visibility", ANY),
]);

const DECORATED_TEXT: Members = Members(&[
    ("icon", ANY),
    ("startIcon", ANY),
    ("startIconVerticalAlignment", ANY),
    ("topLabel", ANY),
    ("topLabelText", ANY),
    ("text", ANY),
    ("contentText", ANY),
    ("wrapText", ANY),
    ("bottomLabel", ANY),
    ("bottomLabelText", ANY),
    ("onClick", ANY),
    ("button", BUTTON),
    ("switchControl", ANY),
    ("endIcon", ANY),
]);

const BUTTON: Members = Members(&[
    ("text", ANY),
    ("icon", ANY),
    ("color", ANY),
    (
        "onClick",
        Members(&[
            ("action", ANY),
            (
                "openLink",
                Members(&[("url", ANY), ("openAs", ANY), ("onClose", ANY)]),
            ),
            ("openDynamicLinkAction", ANY),
            ("card", ANY),
            ("overflowMenu", ANY),
        ]),
    ),
    ("disabled", ANY),
    ("altText", ANY),
    ("type", ANY),
    ("id", ANY),
]);

/// Checks the members of an object, or of each object of a list.
pub fn check_members(value: &Value, Members(known): Members) -> Result<(), String> {
    if known.is_empty() {
        return Ok(());
    }
    let list = value.as_array().map(Vec::as_slice);
    for object in list.unwrap_or(std::slice::from_ref(value)) {
        for (name, inner) in object.as_object().into_iter().flatten() {
            let member = known.iter().find(|(known, _)| known == name);
            let (_, members) = member.ok_or_else(|| {
                format!(
                    "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
                )
            })?;
            check_members(inner, *members)?;
        }
    }
    Ok(())
}
