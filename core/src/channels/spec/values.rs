//! Values as people write them.

use crate::json::Json;

/// A string, or a whole number as it is written: people write ids and phone numbers without quotes.
pub fn text(value: &Json) -> Option<&str> {
    let is_whole = |number: &str| {
        let digits = number.strip_prefix('-').unwrap_or(number);
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    match value {
        Json::String(text) => Some(text),
        Json::Number(number) if is_whole(number) => Some(number),
        _ => None,
    }
}
