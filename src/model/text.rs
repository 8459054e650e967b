//! Lengths as providers count them; splitting that loses nothing; text that is safe to show.

use unicode_segmentation::UnicodeSegmentation;

/// What a provider counts. Where it does not say, we count [`Unit::Utf16`], which is never less than code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    CodePoints,
    Utf16,
    /// UTF-16 code units once `&`, `<` and `>` are written as entities.
    Utf16Escaped,
    Bytes,
}

impl Unit {
    pub fn of(self, text: &str) -> usize {
        match self {
            Unit::CodePoints => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Utf16Escaped => text.chars().map(escaped_length).sum(),
            Unit::Bytes => text.len(),
        }
    }
}

fn escaped_length(character: char) -> usize {
    match character {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        other => other.len_utf16(),
    }
}

/// Bytes as hexadecimal digits.
pub fn hex<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 0xf)];
    bytes.into_iter().flat_map(digits).collect()
}

/// How long a text may be, and in which unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub text: usize,
    pub unit: Unit,
}

/// A split message has at most this many parts.
pub const MAX_PARTS: usize = 10;

/// A text in numbered parts, each within the limit.
#[derive(Debug, PartialEq, Eq)]
pub struct Split {
    pub parts: Vec<String>,
    /// Code points that found no place in [`MAX_PARTS`] parts.
    pub missing: usize,
}

/// Splits `text` into as few parts as the limit asks for, each beginning `(2/3) ` where there are several.
///
/// The parts without their prefix are the text, unless more than [`MAX_PARTS`] would be needed: then the last ends by
/// saying how much is missing. A grapheme cluster is never broken, unless it alone is longer than the limit.
pub fn split(text: &str, limits: Limits) -> Split {
    if fits(text, limits) {
        return Split {
            parts: vec![text.to_owned()],
            missing: 0,
        };
    }
    // A prefix is as long as the number of parts makes it.
    for most in [MAX_PARTS - 1, MAX_PARTS] {
        // Line ends and spaces are kept to only where that needs no part more than there are.
        for prefer_spaces in [true, false] {
            let (pieces, rest) = pieces(text, limits, most, prefer_spaces);
            if rest.is_empty() {
                return Split {
                    parts: number(pieces),
                    missing: 0,
                };
            }
        }
    }
    with_missing(text, limits)
}

fn fits(text: &str, limits: Limits) -> bool {
    // No unit counts more than bytes do, but for entities.
    let bytes_suffice = limits.unit != Unit::Utf16Escaped && text.len() <= limits.text;
    bytes_suffice || limits.unit.of(text) <= limits.text
}

/// Ten parts of which the last says how many characters found no place.
fn with_missing(text: &str, limits: Limits) -> Split {
    let room = room(limits, MAX_PARTS - 1, MAX_PARTS);
    let (mut pieces, rest) = pieces(text, limits, MAX_PARTS, false);
    let beyond = rest.chars().count();
    let last = pieces.pop().unwrap_or_default();
    // The note takes its place from the last part; its length hardly varies, so the longest is allowed for.
    let note_room = missing_note(text.chars().count()).chars().count();
    let bytes_a_character = if limits.unit == Unit::Bytes { 3 } else { 1 };
    let kept = take(
        last,
        room.saturating_sub(note_room + 2 * (bytes_a_character - 1)),
        limits.unit,
        false,
    );
    let missing = beyond + last.get(kept.len()..).unwrap_or_default().chars().count();
    let ending = format!("{kept}{}", missing_note(missing));
    let mut parts = number(pieces.into_iter().chain([ending.as_str()]).collect());
    parts.truncate(MAX_PARTS);
    Split { parts, missing }
}

fn missing_note(characters: usize) -> String {
    format!("… {characters} characters missing")
}

fn number(pieces: Vec<&str>) -> Vec<String> {
    let total = pieces.len();
    pieces
        .into_iter()
        .enumerate()
        .map(|(index, piece)| format!("({}/{total}) {piece}", index + 1))
        .collect()
}

/// What the prefix of a part leaves: "(9/9) " takes 6 characters, "(9/10) " 7, "(10/10) " 8.
fn room(limits: Limits, index: usize, total: usize) -> usize {
    let digits = |number: usize| if number < 10 { 1 } else { 2 };
    limits
        .text
        .saturating_sub(4 + digits(index + 1) + digits(total))
}

/// At most `most` pieces that leave room for their prefixes, and what is left.
fn pieces(mut text: &str, limits: Limits, most: usize, prefer_spaces: bool) -> (Vec<&str>, &str) {
    let mut pieces = Vec::new();
    while !text.is_empty() && pieces.len() < most {
        let room = room(limits, pieces.len(), most);
        let piece = take(text, room, limits.unit, prefer_spaces);
        if piece.is_empty() {
            break;
        }
        pieces.push(piece);
        text = text.get(piece.len()..).unwrap_or_default();
    }
    (pieces, text)
}

/// The longest head of `text` of at most `room` units that ends between grapheme clusters, by preference after a line
/// end or a space in its second half.
fn take(text: &str, room: usize, unit: Unit, prefer_spaces: bool) -> &str {
    let (mut used, mut end) = (0, 0);
    let (mut line_end, mut space) = (0, 0);
    for cluster in text.graphemes(true) {
        let length = unit.of(cluster);
        if used + length > room {
            let preferred = [line_end, space].into_iter().find(|at| *at > end / 2);
            let cut = match preferred {
                Some(at) if prefer_spaces => at,
                _ if end > 0 => end,
                _ => within_cluster(cluster, room, unit),
            };
            return text.get(..cut).unwrap_or_default();
        }
        used += length;
        end += cluster.len();
        match cluster {
            "\n" | "\r\n" => line_end = end,
            " " | "\t" => space = end,
            _ => {}
        }
    }
    text
}

/// Where to break a cluster that no part can hold whole: between code points.
fn within_cluster(cluster: &str, room: usize, unit: Unit) -> usize {
    let mut used = 0;
    let mut end = 0;
    for character in cluster.chars() {
        let length = unit.of(character.encode_utf8(&mut [0; 4]));
        if used + length > room {
            break;
        }
        used += length;
        end += character.len_utf8();
    }
    end
}

/// Shortens to at most `characters` code points, with `…` at the end where something was cut.
pub fn truncate(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// One line of text that a terminal or a log viewer cannot misread: no control, formatting or private characters, runs
/// of white space folded into one space.
pub fn printable(text: &str) -> String {
    // Nearly all is plain already.
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !text.contains("  ") {
        return text.to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_whitespace() {
            if !clean.ends_with(' ') {
                clean.push(' ');
            }
        } else if !is_invisible(character) {
            clean.push(character);
        }
    }
    clean
}

/// Controls, and what hides or reorders text: Unicode's default ignorable code points (zero-width ones, fillers, variation
/// selectors, tags), line separators, bidirectional controls, private use.
pub fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

/// `text` in ASCII: everything else as `\u{…}`, so that a log line survives any viewer.
pub fn ascii(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    text.chars()
        .map(|character| match character {
            '…' => "...".to_owned(),
            c if c.is_ascii() => c.to_string(),
            c => c.escape_unicode().to_string(),
        })
        .collect()
}

/// The candidate that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let likeness = strsim::jaro_winkler(&folded, &candidate.to_ascii_lowercase());
            (likeness, candidate)
        })
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAMILY: &str = "👨\u{200d}👩\u{200d}👧\u{200d}👦";

    fn limits(text: usize, unit: Unit) -> Limits {
        Limits { text, unit }
    }

    fn without_prefixes(parts: &[String]) -> String {
        parts
            .iter()
            .map(|part| part.split_once(") ").map_or("", |(_, rest)| rest))
            .collect()
    }

    #[test]
    fn printable_text_is_one_line_without_anything_invisible() {
        for (text, clean) in [
            ("plain text, as it is.", "plain text, as it is."),
            ("two  spaces", "two spaces"),
            ("a\nb\tc\u{7f}d\u{1b}[0m", "a b cd[0m"),
            ("h\u{f6}st\u{200b}-7", "h\u{f6}st-7"),
            ("", ""),
        ] {
            assert_eq!(printable(text), clean, "{text:?}");
        }
    }

    #[test]
    fn a_text_at_the_limit_stays_whole_and_one_beyond_it_is_split() {
        for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes] {
            for (length, parts) in [(19, 1), (20, 1), (21, 2)] {
                let text = "x".repeat(length);
                assert_eq!(
                    split(&text, limits(20, unit)).parts.len(),
                    parts,
                    "{unit:?} {length}"
                );
            }
        }
    }

    #[test]
    fn units_count_as_the_providers_do() {
        for (text, code_points, utf16, bytes) in
            [("é", 1, 1, 2), ("😀", 1, 2, 4), (FAMILY, 7, 11, 25)]
        {
            assert_eq!(Unit::CodePoints.of(text), code_points);
            assert_eq!(Unit::Utf16.of(text), utf16);
            assert_eq!(Unit::Bytes.of(text), bytes);
        }
    }

    #[test]
    fn parts_end_at_a_line_end_else_at_a_space() {
        let split = split("one two\nthree four 56", limits(20, Unit::Utf16));
        assert_eq!(
            split.parts,
            ["(1/2) one two\n", "(2/2) three four 56"].map(str::to_owned)
        );
    }

    #[test]
    fn ten_parts_lose_nothing_and_more_say_what_is_missing() {
        let ten = "x".repeat(9 * 13 + 12);
        let whole = split(&ten, limits(20, Unit::Utf16));
        assert_eq!(whole.missing, 0);
        let long = "x".repeat(1_000);
        let cut = split(&long, limits(60, Unit::Utf16));
        assert_eq!(cut.parts.len(), MAX_PARTS);
        let said = format!("… {} characters missing", cut.missing);
        assert!(cut.parts.last().unwrap().ends_with(&said));
        let kept: usize = without_prefixes(&cut.parts).matches('x').count();
        assert_eq!(kept + cut.missing, 1_000);
    }

    #[test]
    fn clusters_stay_whole_and_one_that_is_longer_than_the_limit_is_broken_between_code_points() {
        let families = FAMILY.repeat(8);
        for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes] {
            let split = split(&families, limits(60, unit));
            for part in &split.parts {
                let piece = part
                    .split_once(") ")
                    .map_or(part.as_str(), |(_, rest)| rest);
                assert_eq!(piece.replace(FAMILY, ""), "", "{unit:?}");
            }
        }
        let zalgo = format!("e{}", "\u{301}".repeat(100));
        let split = split(&zalgo, limits(40, Unit::CodePoints));
        assert_eq!(without_prefixes(&split.parts), zalgo);
    }

    #[test]
    fn a_suggestion_is_the_nearest_name_or_none() {
        let names = ["slack", "discord", "http", "sms", "whatsapp"];
        for (word, suggestion) in [
            ("slak", Some("slack")),
            ("Discord", Some("discord")),
            ("whatsap", Some("whatsapp")),
            ("carrier pigeon", None),
        ] {
            assert_eq!(nearest(word, names), suggestion, "{word}");
        }
    }

    #[test]
    fn log_text_is_ascii() {
        assert_eq!(ascii("größe… 😀"), "gr\\u{f6}\\u{df}e... \\u{1f600}");
    }

    proptest! {
        #[test]
        fn splitting_loses_nothing_keeps_the_limit_and_breaks_no_cluster(
            text in "(\\PC|[ \n]|👨\u{200d}👩\u{200d}👧|e\u{301}|🇩🇪){0,400}",
            limit in 48_usize..200,
            unit in prop_oneof![Just(Unit::CodePoints), Just(Unit::Utf16), Just(Unit::Utf16Escaped), Just(Unit::Bytes)],
        ) {
            let split = split(&text, limits(limit, unit));
            for part in &split.parts {
                prop_assert!(unit.of(part) <= limit, "{part:?}");
            }
            if split.parts.len() > 1 && split.missing == 0 {
                prop_assert_eq!(&without_prefixes(&split.parts), &text);
                // No cluster of these is longer than a part.
                let boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
                let mut at = 0;
                for part in &split.parts {
                    prop_assert!(boundaries.contains(&at), "{text:?} is cut at {at}");
                    at += without_prefixes(std::slice::from_ref(part)).len();
                }
            }
        }
    }
}
