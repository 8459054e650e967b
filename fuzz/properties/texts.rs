//! What is done to texts: splitting, and taking secrets out.

use notifier_core::model::outcome::Detail;
use notifier_core::secret::{MASK, Redactor};
use notifier_core::text::{self, Fences, Limit, MAX_PARTS, Markup, Unit, is_invisible};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_segmentation::UnicodeSegmentation;

use super::is_fit_to_show;

/// Two bytes choose limit, unit and markup. Nothing is lost in up to ten parts, no limit is passed, no cluster broken, no block
/// of code left open.
pub fn split(data: &[u8]) {
    let [limit, unit, rest @ ..] = data else {
        return;
    };
    let units = [
        Unit::CodePoints,
        Unit::Utf16,
        Unit::Utf16Escaped,
        Unit::Bytes,
        Unit::JsonBytes,
    ];
    // Shorter ones than the shortest note of what is missing are nobody's.
    let limit = Limit {
        length: 48 + usize::from(*limit),
        unit: *units.get(usize::from(*unit) % units.len()).unwrap(),
    };
    let markup = match usize::from(*unit) / units.len() % 2 {
        0 => Markup::NONE,
        _ => Markup {
            fences: Fences::WithLanguage,
            links: true,
            angles: true,
            entities: true,
        },
    };
    let text = String::from_utf8_lossy(rest);
    let split = text::split(&text, limit, markup);
    assert!((1..=MAX_PARTS).contains(&split.parts.len()));
    for part in &split.parts {
        assert!(limit.unit.of(part) <= limit.length, "{limit:?} {part:?}");
    }
    if markup != Markup::NONE {
        let is_open = |text: &str| text.matches("```").count() % 2 == 1;
        let open = split.parts.iter().filter(|part| is_open(part)).count();
        return assert!(open <= usize::from(is_open(&text)), "{:?}", split.parts);
    }
    let [whole] = &split.parts[..] else {
        return parts_make_up(&text, &split, limit);
    };
    assert_eq!(*whole, text);
}

fn parts_make_up(text: &str, split: &text::Split, limit: Limit) {
    let total = split.parts.len();
    let pieces = split.parts.iter().enumerate().map(|(n, part)| {
        let prefix = format!("({}/{total}) ", n + 1);
        part.strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("{part:?} lacks {prefix:?}"))
    });
    let pieces: Vec<&str> = pieces.collect();
    if split.missing > 0 {
        let note = format!("… {} characters missing", split.missing);
        let kept = pieces.concat();
        let kept = kept
            .strip_suffix(&note)
            .unwrap_or_else(|| panic!("{kept:?} lacks {note:?}"));
        assert!(text.starts_with(kept), "{text:?}: {kept:?}");
        assert_eq!(kept.chars().count() + split.missing, text.chars().count());
        return;
    }
    assert_eq!(pieces.concat(), text);
    // Each cut is one between clusters of the text, unless a cluster is longer than a part.
    let room = limit.length - format!("({total}/{total}) ").len();
    if text
        .graphemes(true)
        .any(|cluster| limit.unit.of(cluster) > room)
    {
        return;
    }
    let boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
    let mut at = 0;
    for piece in &pieces {
        assert!(
            boundaries.binary_search(&at).is_ok(),
            "{text:?} is cut at {at}"
        );
        at += piece.len();
    }
}

/// The first byte chooses a spelling, the first line is a secret, the rest a text around it: the secret does not show.
pub fn redaction(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let (secret, around) = text.split_once('\n').unwrap_or((&text, ""));
    // Shorter ones are left alone, and the mask itself may make up what has stars.
    let letters = secret
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '+' && !is_invisible(*c));
    if letters.count() < 8 || secret.contains('*') {
        return;
    }
    let redactor = Redactor::new([secret]);
    let spelled = match how % 6 {
        0 => secret.to_owned(),
        1 => utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        2 => secret
            .chars()
            .map(|c| format!("&#{};", u32::from(c)))
            .collect(),
        3 => secret
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
        4 => serde_json::to_string(secret).unwrap(),
        _ => secret.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    };
    let middle = around.len() / 2;
    let middle = (0..=middle)
        .rev()
        .find(|at| around.is_char_boundary(*at))
        .unwrap_or(0);
    let (before, after) = around.split_at(middle);
    let clean = redactor.redact(&format!("{before} {spelled} {after}"));
    assert!(clean.contains(MASK), "{clean:?}");
    assert!(!clean.contains(secret), "{clean:?}");
    assert!(!clean.contains(&spelled), "{clean:?}");
    // Its first half is gone as well.
    assert_eq!(redactor.redact(&clean), clean, "once is enough");
    if let Some(detail) = Detail::new(&clean, &redactor) {
        is_fit_to_show(detail.as_str(), Detail::MAX_CHARACTERS);
    }
}
