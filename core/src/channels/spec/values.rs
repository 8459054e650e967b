//! Values in the forms that people write.

use crate::json::Json;

/// Returns a string, or a whole number as written. People write ids and phone numbers without quotes.
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
