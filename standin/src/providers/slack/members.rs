//! The valid members of blocks, text objects and attachments.

use serde_json::{Map, Value};

/// Rejects members that the block type does not have: "invalid additional property" [slack-go issue 1414]. The members of each
/// type are those of [Slack docs: blocks].
pub fn check_block_members(block: &Value, kind: &str, place: &str) -> Result<(), String> {
    let own: &[&str] = match kind {
        "header" => &["text", "level"],
        "section" => &["text", "fields", "accessory", "expand"],
        "context" | "actions" | "rich_text" => &["elements"],
        "image" => &["image_url", "slack_file", "alt_text", "title"],
        "markdown" => &["text"],
        "table" => &["rows", "column_settings"],
        "divider" => &[],
        // The notifier does not send other types.
        _ => return Ok(()),
    };
    let known = |name: &str| name == "type" || name == "block_id" || own.contains(&name);
    let members = block.as_object().into_iter().flat_map(Map::keys);
    match members.map(String::as_str).find(|name| !known(name)) {
        Some(name) => Err(format!("{place}: {kind} with the member {name:?}")),
        None => Ok(()),
    }
}

/// An attachment with blocks may have only a colour and a fallback as other members [Slack docs: secondary message attachments;
/// python-slack-sdk pull request 979].
pub fn check_attachment(attachment: &Map<String, Value>, place: &str) -> Result<(), String> {
    const WITH_BLOCKS: [&str; 3] = ["blocks", "color", "fallback"];
    const WITHOUT_BLOCKS: [&str; 20] = [
        "text",
        "pretext",
        "author_name",
        "author_link",
        "author_icon",
        "author_subname",
        "title",
        "title_link",
        "fields",
        "image_url",
        "thumb_url",
        "footer",
        "footer_icon",
        "ts",
        "mrkdwn_in",
        "actions",
        "callback_id",
        "id",
        "attachment_type",
        "preview",
    ];
    let has_blocks = attachment
        .get("blocks")
        .is_some_and(|blocks| !blocks.is_null());
    let known =
        |name: &str| WITH_BLOCKS.contains(&name) || (!has_blocks && WITHOUT_BLOCKS.contains(&name));
    if let Some(name) = attachment.keys().find(|name| !known(name)) {
        return Err(format!("{place} with the member {name:?}"));
    }
    let color = attachment.get("color").filter(|color| !color.is_null());
    match color.is_some_and(|color| !color.is_string()) {
        true => Err(format!("{place}.color is not a string")),
        false => Ok(()),
    }
}

/// Rejects members that the text object's type does not have: "invalid additional property: emoji" [slack-go issue 1414].
pub fn check_text_members(object: &Value, kind: &str, place: &str) -> Result<(), String> {
    let own = if kind == "mrkdwn" {
        "verbatim"
    } else {
        "emoji"
    };
    let members = object.as_object().into_iter().flatten();
    for (name, value) in members {
        match name.as_str() {
            "type" | "text" => {}
            name if name == own && value.is_boolean() => {}
            name => {
                return Err(format!("{place}: {kind} with the member {name:?}: {value}"));
            }
        }
    }
    Ok(())
}
