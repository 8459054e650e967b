//! The number of segments of an SMS, which determines its cost.

/// Returns a text's segments. One GSM-7 segment has 160 septets; each of several has 153. UCS-2 has 70 and 67 units
/// (docs: glossary, SMS character limit).
pub fn segments(text: &str) -> u32 {
    let septets = text.chars().map(gsm7_septets);
    match septets.clone().all(|width| width.is_some()) {
        true => packed(septets.flatten(), 160, 153),
        false => packed(text.chars().map(char::len_utf16), 70, 67),
    }
}

/// Returns the segments that characters of these widths fill. No character spans two segments.
fn packed(widths: impl Iterator<Item = usize> + Clone, alone: usize, each: usize) -> u32 {
    if widths.clone().sum::<usize>() <= alone {
        return 1;
    }
    let mut count = 1;
    let mut used = 0;
    for width in widths {
        if used + width > each {
            count += 1;
            used = 0;
        }
        used += width;
    }
    count
}

/// Returns a character's septets in GSM 03.38, or `None` if GSM 03.38 lacks it. Characters of the extension table take
/// two.
fn gsm7_septets(character: char) -> Option<usize> {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    const EXTENSION: &str = "\u{c}^{}\\[~]|€";
    // Most characters match here, and a request may have millions.
    if character.is_ascii_alphanumeric() || character == ' ' || BASIC.contains(character) {
        Some(1)
    } else {
        EXTENSION.contains(character).then_some(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_the_alphabet_and_no_character_stands_in_two() {
        for (character, count, expected) in [
            ("a", 1, 1),
            ("a", 160, 1),
            ("a", 161, 2),
            ("a", 306, 2),
            ("a", 307, 3),
            ("€", 80, 1),
            ("€", 81, 2),
            // Each 153 septets hold 76 characters of two septets.
            ("€", 153, 3),
            ("ł", 70, 1),
            ("ł", 71, 2),
            ("ł", 134, 2),
            ("ł", 135, 3),
            ("😀", 35, 1),
            ("😀", 36, 2),
            // Each 67 units hold 33 characters of two units.
            ("😀", 67, 3),
        ] {
            let text = character.repeat(count);
            assert_eq!(segments(&text), expected, "{count} times {character}");
        }
    }
}
