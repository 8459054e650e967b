//! The blocks of a message and of its attachments: members, limits, texts, mentions.

use serde_json::{Map, Value};

use super::members::{check_attachment, check_block_members, check_text_members};
use super::refusal::{Refusal, refuse};
use crate::providers::utf16_units;

/// Per message [Slack docs: blocks]. Blocks of attachments count too, which the documentation leaves open.
const MAX_BLOCKS: usize = 50;
/// `too_many_attachments` beyond this [Slack docs: incoming webhooks].
const MAX_ATTACHMENTS: usize = 100;

/// Of all markdown blocks together [Slack docs: markdown block].
const MAX_MARKDOWN: usize = 12_000;
/// Of rows and cells [Slack docs: table block].
const MAX_ROWS: usize = 100;
const MAX_COLUMNS: usize = 20;

/// The result of the check of all blocks.
#[derive(Default)]
pub struct Blocks {
    pub count: usize,
    markdown: usize,
    tables: usize,
    pub length: usize,
    pub texts: Vec<String>,
    pub mentions: Vec<String>,
}

/// The blocks of the message and of its attachments.
pub fn check_all_blocks(payload: &Map<String, Value>) -> Result<Blocks, Refusal> {
    let mut found = Blocks::default();
    // A webhook replies with this word to any invalid block [sourcegraph issue 49979; bugsink issue 317].
    let invalid = |problem| refuse(400, "invalid_blocks", problem);
    found
        .check_list(payload.get("blocks"), "blocks")
        .map_err(invalid)?;
    let empty = Vec::new();
    let attachments = match payload.get("attachments") {
        None | Some(Value::Null) => &empty,
        Some(Value::Array(attachments)) => attachments,
        Some(_) => return Err(refuse(400, "invalid_payload", "attachments is not a list")),
    };
    if attachments.len() > MAX_ATTACHMENTS {
        return Err(refuse(
            400,
            "too_many_attachments",
            format!("{} attachments", attachments.len()),
        ));
    }
    for (i, attachment) in attachments.iter().enumerate() {
        let Value::Object(attachment) = attachment else {
            return Err(refuse(
                400,
                "invalid_payload",
                format!("attachments[{i}] is not an object"),
            ));
        };
        found
            .check_list(
                attachment.get("blocks"),
                &format!("attachments[{i}].blocks"),
            )
            .map_err(invalid)?;
        check_attachment(attachment, &format!("attachments[{i}]"))
            .map_err(|problem| refuse(400, "invalid_attachments", problem))?;
        if let Some(text) = attachment.get("text").and_then(Value::as_str) {
            found.texts.push(text.to_owned());
            found.mentions.extend(mentions(text));
        }
    }
    if found.count > MAX_BLOCKS {
        return Err(invalid(format!("{} blocks in all", found.count)));
    }
    Ok(found)
}

/// The mentions in an mrkdwn text: `<!channel>`, `<!here>`, `<!subteam^…>`, `<@U…>` [Slack docs: formatting].
pub fn mentions(text: &str) -> Vec<String> {
    const CALLS: [&str; 5] = ["!channel", "!here", "!everyone", "!subteam^", "@"];
    let inner = text
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'));
    inner
        .filter(|(inner, _)| CALLS.iter().any(|call| inner.starts_with(call)))
        .map(|(inner, _)| format!("<{inner}>"))
        .collect()
}

impl Blocks {
    fn check_list(&mut self, list: Option<&Value>, place: &str) -> Result<(), String> {
        let list = match list {
            None | Some(Value::Null) => return Ok(()),
            Some(list) => list
                .as_array()
                .ok_or_else(|| format!("{place} is not a list"))?,
        };
        check_count(list, MAX_BLOCKS, place)?;
        for (i, block) in list.iter().enumerate() {
            self.count += 1;
            self.check_block(block, &format!("{place}[{i}]"))?;
        }
        Ok(())
    }

    /// Checks a block by its type [Slack node SDK: types]. Other existing block types are accepted without a check.
    fn check_block(&mut self, block: &Value, place: &str) -> Result<(), String> {
        let kind = block
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{place} has no type"))?;
        check_block_members(block, kind, place)?;
        match kind {
            "header" => self.check_text(block.get("text"), "plain_text", 150, place),
            "section" => self.check_section(block, place),
            "context" => self.check_context(block, place),
            "actions" => check_elements(block, 25, place)?
                .iter()
                .try_for_each(|button| self.check_button(button, place)),
            "image" => check_image(block, place),
            "markdown" => self.check_markdown(block, place),
            "table" => self.check_table(block, place),
            "rich_text" => check_rich_text(block, place),
            "divider" | "video" | "file" | "input" => Ok(()),
            other => Err(format!("{place}: there is no block type {other:?}")),
        }
    }

    fn check_markdown(&mut self, block: &Value, place: &str) -> Result<(), String> {
        let text = block
            .get("text")
            .and_then(Value::as_str)
            .unwrap_or_default();
        self.markdown += utf16_units(text);
        self.length += utf16_units(text);
        self.texts.push(text.to_owned());
        if text.is_empty() || self.markdown > MAX_MARKDOWN {
            return Err(format!(
                "{place}: markdown of {} characters in all",
                self.markdown
            ));
        }
        Ok(())
    }

    /// A message has at most one table: "only one table allowed" [Slack docs: table block].
    fn check_table(&mut self, block: &Value, place: &str) -> Result<(), String> {
        self.tables += 1;
        if self.tables > 1 {
            return Err(format!("{place}: only one table is allowed"));
        }
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned();
        let rows = list(block.get("rows")).ok_or_else(|| format!("{place} has no rows"))?;
        check_count(&rows, MAX_ROWS, &format!("{place}.rows"))?;
        if let Some(settings) = list(block.get("column_settings")) {
            check_count(&settings, MAX_COLUMNS, &format!("{place}.column_settings"))?;
        }
        for row in &rows {
            let cells = list(Some(row)).ok_or_else(|| format!("{place}: a row is no list"))?;
            check_count(&cells, MAX_COLUMNS, &format!("{place}.rows"))?;
            let is_cell = |cell: &Value| {
                matches!(
                    cell.get("type").and_then(Value::as_str),
                    Some("raw_text" | "rich_text")
                )
            };
            if !cells.iter().all(is_cell) {
                return Err(format!("{place}: a cell is neither raw_text nor rich_text"));
            }
        }
        Ok(())
    }

    fn check_section(&mut self, block: &Value, place: &str) -> Result<(), String> {
        let (text, fields) = (block.get("text"), block.get("fields"));
        if text.is_none() && fields.is_none() {
            return Err(format!("{place}: a section needs text or fields"));
        }
        if text.is_some() {
            self.check_text(text, "", 3000, place)?;
        }
        if let Some(fields) = fields {
            let fields = fields
                .as_array()
                .ok_or_else(|| format!("{place}.fields is not a list"))?;
            check_count(fields, 10, &format!("{place}.fields"))?;
            fields
                .iter()
                .try_for_each(|field| self.check_text(Some(field), "", 2000, place))?;
        }
        match block.get("accessory") {
            Some(accessory) if accessory.get("type").and_then(Value::as_str) == Some("button") => {
                self.check_button(accessory, place)
            }
            _ => Ok(()),
        }
    }

    fn check_context(&mut self, block: &Value, place: &str) -> Result<(), String> {
        for element in check_elements(block, 10, place)? {
            match element.get("type").and_then(Value::as_str) {
                Some("image") => check_image(element, place)?,
                _ => self.check_text(Some(element), "", 3000, place)?,
            }
        }
        Ok(())
    }

    fn check_button(&mut self, button: &Value, place: &str) -> Result<(), String> {
        self.check_text(button.get("text"), "plain_text", 75, place)?;
        match button.get("url").and_then(Value::as_str) {
            Some(url) if utf16_units(url) > 3000 => Err(format!(
                "{place}: a button's URL of {} characters",
                utf16_units(url)
            )),
            _ => Ok(()),
        }
    }

    /// Checks a text object: its type if `kind` is given, not empty, at most `max` long.
    fn check_text(
        &mut self,
        object: Option<&Value>,
        kind: &str,
        max: usize,
        place: &str,
    ) -> Result<(), String> {
        let object = object.ok_or_else(|| format!("{place} has no text"))?;
        let given = object
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !matches!(given, "plain_text" | "mrkdwn") || (!kind.is_empty() && given != kind) {
            return Err(format!("{place}: a text object of type {given:?}"));
        }
        let text = object
            .get("text")
            .and_then(Value::as_str)
            .ok_or_else(|| format!("{place}: text is not a string"))?;
        let length = utf16_units(text);
        if text.is_empty() || length > max {
            return Err(format!(
                "{place}: text of {length} characters, 1 to {max} are allowed"
            ));
        }
        check_text_members(object, given, place)?;
        if given == "mrkdwn" {
            self.mentions.extend(mentions(text));
        }
        self.length += length;
        self.texts.push(text.to_owned());
        Ok(())
    }
}

/// Its elements are sections, lists, quotes and preformatted texts [Slack docs: rich text block].
fn check_rich_text(block: &Value, place: &str) -> Result<(), String> {
    const KINDS: [&str; 4] = [
        "rich_text_section",
        "rich_text_list",
        "rich_text_preformatted",
        "rich_text_quote",
    ];
    let elements = check_elements(block, usize::MAX, place)?;
    let kind = |element: &Value| {
        element
            .get("type")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    match elements
        .iter()
        .map(kind)
        .find(|kind| !kind.as_deref().is_some_and(|kind| KINDS.contains(&kind)))
    {
        Some(kind) => Err(format!("{place}: an element of type {kind:?}")),
        None => Ok(()),
    }
}

fn check_elements<'a>(block: &'a Value, max: usize, place: &str) -> Result<&'a Vec<Value>, String> {
    let elements = block
        .get("elements")
        .and_then(Value::as_array)
        .ok_or_else(|| format!("{place} has no elements"))?;
    check_count(elements, max, &format!("{place}.elements"))?;
    Ok(elements)
}

fn check_count(list: &[Value], max: usize, place: &str) -> Result<(), String> {
    match list.len() {
        n if n > max => Err(format!("{place}: {n} items, {max} are allowed")),
        0 if place != "blocks" && !place.ends_with(".blocks") => Err(format!("{place} is empty")),
        _ => Ok(()),
    }
}

fn check_image(image: &Value, place: &str) -> Result<(), String> {
    let has = |name| {
        image
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    if (has("image_url") || image.get("slack_file").is_some()) && has("alt_text") {
        Ok(())
    } else {
        Err(format!("{place}: an image needs image_url and alt_text"))
    }
}
