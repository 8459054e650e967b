//! JSON objects in base64.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::json::{self, Json};

const INDIFFERENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, INDIFFERENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, INDIFFERENT);

/// Decodes the members of the JSON object. The error says what the text contains instead.
pub fn decode(encoded: &str) -> Result<Vec<(String, Json)>, &'static str> {
    let compact: String = encoded
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    let bytes = decode_base64(&compact).ok_or("is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "is base64, but not of UTF-8 text")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match json::parse(text).map(|parsed| parsed.json) {
        Ok(Json::Object(members)) => Ok(members),
        Ok(_) => Err("is base64 of JSON that is no object"),
        Err(_) => Err("is base64, but not of JSON"),
    }
}

/// Decodes base64 in the standard or the URL-safe alphabet, with or without padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let engine = match text.contains(['-', '_']) {
        true => &URL_SAFE,
        false => &STANDARD,
    };
    engine.decode(text).ok()
}
