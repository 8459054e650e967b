//! Content templates.

use serde_json::{Map, Value};

use super::refusal::{Refusal, refuse};
use crate::providers::utf16_units;

/// [Twilio docs: using variables with content templates]
const MAX_NAME: usize = 16;
const MAX_VARIABLES: usize = 100;
/// [Twilio error dictionary: 21658]
const MAX_VALUE: usize = 1_600;
/// The maximum length of all values. Twilio also counts the template's text, which is unknown here [Twilio error dictionary: 63021].
const MAX_WHATSAPP: usize = 1_024;

/// Validates a content template and its variables, and returns the variables.
pub fn check_content(
    to: &str,
    sid: Option<&str>,
    variables: Option<&str>,
) -> Result<Option<Value>, Refusal> {
    match sid {
        None if variables.is_some() => return Err(refuse(400, 21654, "ContentSid Required")),
        None => return Ok(None),
        Some(sid) if !is_sid(sid, "HX") => {
            return Err(refuse(400, 21655, "The ContentSid is Invalid"));
        }
        Some(_) => {}
    }
    let Some(variables) = variables else {
        return Ok(None);
    };
    let invalid = |_| refuse(400, 21656, "The ContentVariables Parameter is invalid");
    let variables: Map<String, Value> = serde_json::from_str(variables).map_err(invalid)?;
    if variables.len() > MAX_VARIABLES
        || !variables
            .iter()
            .all(|(name, value)| is_name(name) && is_value(value))
    {
        return Err(refuse(
            400,
            21656,
            "The ContentVariables Parameter is invalid",
        ));
    }
    let lengths = variables
        .values()
        .filter_map(Value::as_str)
        .map(utf16_units);
    if lengths.clone().any(|length| length > MAX_VALUE) {
        return Err(refuse(400, 21658, "Parameter exceeded character limit"));
    }
    if to.starts_with("whatsapp:") && lengths.sum::<usize>() > MAX_WHATSAPP {
        return Err(refuse(400, 63021, "Channel invalid content error"));
    }
    Ok(Some(variables.into()))
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.chars().count()) && !name.contains(char::is_whitespace)
}

/// No "newline, a tab, or more than four consecutive spaces", no "null or an empty string" [Twilio error dictionary: 21656].
fn is_value(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        !text.trim().is_empty() && !text.contains(['\n', '\r', '\t']) && !text.contains("     ")
    })
}

/// A two-letter type and 32 hexadecimal digits [Twilio docs: what is a string identifier].
pub fn is_sid(text: &str, kind: &str) -> bool {
    let digits = text.strip_prefix(kind);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}
