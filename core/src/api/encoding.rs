//! Decodes a request body in every encoding that Python's `json.loads(bytes)` accepts.

/// Text that serde_json can read, and whether U+FFFD replaced lone surrogates in it.
#[derive(PartialEq, Eq)]
pub struct Decoded {
    pub text: String,
    pub replaced_surrogates: bool,
}

impl std::fmt::Debug for Decoded {
    /// Hides the text, because a request contains secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes of text", self.text.len())
    }
}

/// The body is not text. Holds the offset of the first invalid byte.
#[derive(Debug, PartialEq, Eq)]
pub struct NoText {
    pub encoding: &'static str,
    pub offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16 { big: bool },
    Utf32 { big: bool },
}

/// Decodes a body in UTF-8, UTF-16 or UTF-32, with or without a byte order mark (RFC 4627, section 3).
pub fn decode(bytes: &[u8]) -> Result<Decoded, NoText> {
    let (encoding, bom) = detect(bytes);
    let bytes = bytes.get(bom..).unwrap_or_default();
    let (mut text, mut replaced) = match encoding {
        Encoding::Utf8 => utf8(bytes)?,
        Encoding::Utf16 { big } => utf16(bytes, big)?,
        Encoding::Utf32 { big } => utf32(bytes, big)?,
    };
    if let Some(mended) = without_lone_escapes(&text) {
        text = mended;
        replaced = true;
    }
    Ok(Decoded {
        text,
        replaced_surrogates: replaced,
    })
}

/// Detects the encoding by its byte order mark, or by the positions of zero bytes: JSON begins with ASCII characters.
fn detect(bytes: &[u8]) -> (Encoding, usize) {
    let (utf16, utf32) = (|big| Encoding::Utf16 { big }, |big| Encoding::Utf32 { big });
    match *bytes {
        [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
        [0, 0, 0xfe, 0xff, ..] => (utf32(true), 4),
        [0xff, 0xfe, 0, 0, ..] => (utf32(false), 4),
        [0xfe, 0xff, ..] => (utf16(true), 2),
        [0xff, 0xfe, ..] => (utf16(false), 2),
        [0, 0, 0, _, ..] => (utf32(true), 0),
        [0, _, ..] => (utf16(true), 0),
        [_, 0, 0, 0, ..] => (utf32(false), 0),
        [_, 0, ..] => (utf16(false), 0),
        _ => (Encoding::Utf8, 0),
    }
}

fn utf8(bytes: &[u8]) -> Result<(String, bool), NoText> {
    let mut text = String::with_capacity(bytes.len());
    let mut replaced = false;
    let mut rest = bytes;
    while !rest.is_empty() {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                break;
            }
            Err(error) => {
                let (valid, invalid) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                // A surrogate in three bytes is not valid UTF-8, but Python's decoder accepts it.
                let [0xed, 0xa0..=0xbf, 0x80..=0xbf, after @ ..] = invalid else {
                    let offset = bytes.len() - invalid.len();
                    return Err(NoText {
                        encoding: "UTF-8",
                        offset,
                    });
                };
                text.push(char::REPLACEMENT_CHARACTER);
                replaced = true;
                rest = after;
            }
        }
    }
    Ok((text, replaced))
}

fn utf16(bytes: &[u8], big: bool) -> Result<(String, bool), NoText> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        let offset = bytes.len() - rest.len();
        return Err(NoText {
            encoding: "UTF-16",
            offset,
        });
    }
    let units = pairs.iter().map(|pair| match big {
        true => u16::from_be_bytes(*pair),
        false => u16::from_le_bytes(*pair),
    });
    let mut replaced = false;
    let text = char::decode_utf16(units)
        .map(|character| {
            character.unwrap_or_else(|_| {
                replaced = true;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    Ok((text, replaced))
}

fn utf32(bytes: &[u8], big: bool) -> Result<(String, bool), NoText> {
    let (quads, rest) = bytes.as_chunks::<4>();
    let error = |offset| NoText {
        encoding: "UTF-32",
        offset,
    };
    if !rest.is_empty() {
        return Err(error(bytes.len() - rest.len()));
    }
    let mut replaced = false;
    let mut text = String::with_capacity(quads.len());
    for (index, quad) in quads.iter().enumerate() {
        let code = match big {
            true => u32::from_be_bytes(*quad),
            false => u32::from_le_bytes(*quad),
        };
        match char::from_u32(code) {
            Some(character) => text.push(character),
            None if (0xd800..=0xdfff).contains(&code) => {
                replaced = true;
                text.push(char::REPLACEMENT_CHARACTER);
            }
            None => return Err(error(index * 4)),
        }
    }
    Ok((text, replaced))
}

/// Replaces each `\ud800`-like escape without a partner by `\ufffd`. Returns `None` for a text without lone escapes.
/// Escapes occur only inside strings, and all other offsets stay the same.
fn without_lone_escapes(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(next) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        at += next;
        at += match (escaped_unit(bytes, at), escaped_unit(bytes, at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                lone.push(at);
                6
            }
            // Skip any other escape. The digits after `\u` contain no backslash.
            _ => 2,
        };
    }
    if lone.is_empty() {
        return None;
    }
    let mut mended = String::with_capacity(text.len());
    let mut from = 0;
    for at in lone {
        mended.push_str(text.get(from..at)?);
        mended.push_str("\\ufffd");
        from = at + 6;
    }
    mended.push_str(text.get(from..)?);
    Some(mended)
}

/// Returns the code unit of a `\uXXXX` escape at an offset.
fn escaped_unit(bytes: &[u8], at: usize) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = bytes.get(at..at + 6)? else {
        return None;
    };
    let digits = std::str::from_utf8(digits).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes16(text: &str, big: bool) -> Vec<u8> {
        let bytes = |unit: u16| {
            if big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    fn bytes32(text: &str, big: bool) -> Vec<u8> {
        let bytes = |c: char| {
            if big {
                u32::from(c).to_be_bytes()
            } else {
                u32::from(c).to_le_bytes()
            }
        };
        text.chars().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_of_python_is_decoded_with_and_without_a_mark() {
        let text = r#"{"notification_text":"Größe 😀"}"#;
        let marked = format!("\u{feff}{text}");
        for text_of in [text, &marked] {
            for bytes in [
                text_of.as_bytes().to_vec(),
                bytes16(text_of, true),
                bytes16(text_of, false),
                bytes32(text_of, true),
                bytes32(text_of, false),
            ] {
                let decoded = decode(&bytes).unwrap();
                assert_eq!(decoded.text, text);
                assert!(!decoded.replaced_surrogates);
            }
        }
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_not() {
        for (body, text, replaced) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#, false),
            (r#""\ud800""#, r#""\ufffd""#, true),
            (r#""\udc00x\uD83D""#, r#""\ufffdx\ufffd""#, true),
            (r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, true),
            (r#""\\ud800""#, r#""\\ud800""#, false),
            (r#""\\\ud800""#, r#""\\\ufffd""#, true),
            (r#""\u12"#, r#""\u12"#, false),
        ] {
            let decoded = decode(body.as_bytes()).unwrap();
            assert_eq!(
                (decoded.text.as_str(), decoded.replaced_surrogates),
                (text, replaced),
                "{body}"
            );
        }
        let encoded = decode(b"\"\xed\xa0\x80\"").unwrap();
        assert_eq!(
            (encoded.text.as_str(), encoded.replaced_surrogates),
            ("\"\u{fffd}\"", true)
        );
        let units = [b'"', 0, 0, 0xd8, b'"', 0];
        assert!(decode(&units).unwrap().replaced_surrogates);
    }

    #[test]
    fn undecodable_bytes_are_refused_with_their_position() {
        for (bytes, encoding, offset) in [
            (&b"{\"a\":\"\xe4\"}"[..], "UTF-8", 6),
            (b"\xff\xfe{\0\"", "UTF-16", 2),
            (b"{\0\0\0\0\0\x11\0", "UTF-32", 4),
        ] {
            assert_eq!(decode(bytes), Err(NoText { encoding, offset }));
        }
    }
}
