//! The number of SMS segments of a text.

/// The GSM 03.38 alphabet, and its extension table whose characters count two [3GPP TS 23.038, 6.2.1].
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// The number of SMS segments: 160 septets in one or 153 in each of several, otherwise 70 or 67 UTF-16 code units. A character is
/// never split.
pub fn segments(body: &str) -> usize {
    let septets: Option<Vec<usize>> = body.chars().map(septets).collect();
    match septets {
        Some(widths) => packed(&widths, 160, 153),
        None => packed(
            &body.chars().map(char::len_utf16).collect::<Vec<_>>(),
            70,
            67,
        ),
    }
}

fn septets(c: char) -> Option<usize> {
    if GSM.contains(c) {
        Some(1)
    } else {
        GSM_EXTENSION.contains(c).then_some(2)
    }
}

fn packed(widths: &[usize], single: usize, each: usize) -> usize {
    if widths.iter().sum::<usize>() <= single {
        return 1;
    }
    let (count, _) = widths.iter().fold((1, 0), |(count, used), width| {
        if used + width > each {
            (count + 1, *width)
        } else {
            (count, used + width)
        }
    });
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_follow_the_alphabet() {
        for (text, count) in [
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            ("€".repeat(81), 2),
            ("ł".repeat(70), 1),
            ("ł".repeat(71), 2),
            ("😀".repeat(35), 1),
            ("😀".repeat(36), 2),
            // 33 pairs of surrogates in each segment of 67.
            ("😀".repeat(67), 3),
        ] {
            assert_eq!(
                segments(&text),
                count,
                "{} × {:?}",
                text.chars().count(),
                text.chars().next()
            );
        }
    }

    #[test]
    fn the_alphabet_is_complete() {
        // 128 places: one is the escape to the extension table.
        assert_eq!(GSM.chars().count(), 127);
    }
}
