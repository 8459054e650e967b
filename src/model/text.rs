//! Lengths as providers count them; splitting that loses nothing; text that is safe to show.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

/// What a provider counts. Where it does not say, we count [`Unit::Utf16`], which is never less than code points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    CodePoints,
    Utf16,
    /// UTF-16 code units once `&`, `<` and `>` are written as entities.
    Utf16Escaped,
    Bytes,
    /// Bytes once written inside a JSON string: for providers that measure the whole body. Never less than bytes.
    JsonBytes,
}

impl Unit {
    pub fn of(self, text: &str) -> usize {
        match self {
            Unit::CodePoints => text.chars().count(),
            Unit::Utf16 => text.encode_utf16().count(),
            Unit::Utf16Escaped => text.chars().map(escaped_length).sum(),
            Unit::Bytes => text.len(),
            Unit::JsonBytes => text.bytes().map(json_length).sum(),
        }
    }

    /// Whether no text counts more than it has bytes.
    const fn is_at_most_bytes(self) -> bool {
        !matches!(self, Unit::Utf16Escaped | Unit::JsonBytes)
    }
}

/// As serde_json writes it.
const fn json_length(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..=0x1f => "\\u0000".len(),
        _ => 1,
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
    split_after(text, limits.text, limits)
}

/// [`split`], where the first part has a limit of its own, since it shares its message with other things.
///
/// A limit of less than 48 units may leave no room for a part beside its prefix.
pub fn split_after(text: &str, first: usize, limits: Limits) -> Split {
    let sizes = Sizes { first, limits };
    if fits(text, sizes.of_part(0)) {
        return Split {
            parts: vec![text.to_owned()],
            missing: 0,
        };
    }
    // A prefix is as long as the number of parts makes it.
    for most in [MAX_PARTS - 1, MAX_PARTS] {
        // Line ends and spaces are kept to only where that needs no part more than there are.
        for prefer_spaces in [true, false] {
            let (pieces, rest) = pieces(text, sizes, most, prefer_spaces);
            if rest.is_empty() {
                return Split {
                    parts: number(pieces),
                    missing: 0,
                };
            }
        }
    }
    with_missing(text, sizes)
}

/// How long the parts of one text may be.
#[derive(Clone, Copy)]
struct Sizes {
    first: usize,
    limits: Limits,
}

impl Sizes {
    fn of_part(self, index: usize) -> Limits {
        let text = if index == 0 {
            self.first
        } else {
            self.limits.text
        };
        Limits {
            text,
            ..self.limits
        }
    }

    /// What the prefix of a part leaves: "(9/9) " takes 6 characters, "(9/10) " 7, "(10/10) " 8.
    fn room(self, index: usize, total: usize) -> usize {
        let digits = |number: usize| if number < 10 { 1 } else { 2 };
        let prefix = 4 + digits(index + 1) + digits(total);
        self.of_part(index).text.saturating_sub(prefix)
    }
}

fn fits(text: &str, limits: Limits) -> bool {
    let bytes_suffice = limits.unit.is_at_most_bytes() && text.len() <= limits.text;
    bytes_suffice || limits.unit.of(text) <= limits.text
}

/// Ten parts of which the last says how many characters found no place.
fn with_missing(text: &str, sizes: Sizes) -> Split {
    let unit = sizes.limits.unit;
    let room = sizes.room(MAX_PARTS - 1, MAX_PARTS);
    let (mut pieces, rest) = pieces(text, sizes, MAX_PARTS, false);
    let beyond = rest.chars().count();
    let last = pieces.pop().unwrap_or_default();
    // The note takes its place from the last part; its length hardly varies, so the longest is allowed for.
    let note_room = missing_note(text.chars().count()).chars().count();
    let bytes_a_character = unit.of("…");
    let kept = take(
        last,
        room.saturating_sub(note_room + 2 * (bytes_a_character - 1)),
        unit,
        false,
    );
    let missing = beyond + last.get(kept.len()..).unwrap_or_default().chars().count();
    let ending = format!("{kept}{}", missing_note(missing));
    let mut parts = number(pieces.into_iter().chain([ending.as_str()]).collect());
    parts.truncate(MAX_PARTS);
    Split { parts, missing }
}

/// The text within its limit, which ends by saying how many code points are missing, where any are.
pub fn with_ending(text: &str, limits: Limits) -> (Cow<'_, str>, usize) {
    if fits(text, limits) {
        return (Cow::Borrowed(text), 0);
    }
    // Its length hardly varies with what is missing, so the longest is allowed for.
    let all = text.chars().count();
    let room = limits
        .text
        .saturating_sub(limits.unit.of(&missing_note(all)));
    let kept = take(text, room, limits.unit, false);
    let missing = all - kept.chars().count();
    (
        Cow::Owned(format!("{kept}{}", missing_note(missing))),
        missing,
    )
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

/// At most `most` pieces that leave room for their prefixes, and what is left.
fn pieces(mut text: &str, sizes: Sizes, most: usize, prefer_spaces: bool) -> (Vec<&str>, &str) {
    let mut pieces = Vec::new();
    while !text.is_empty() && pieces.len() < most {
        let room = sizes.room(pieces.len(), most);
        let piece = take(text, room, sizes.limits.unit, prefer_spaces);
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
    let limits = Limits {
        text: characters,
        unit: Unit::CodePoints,
    };
    cut(text, limits, "…").into_owned()
}

/// Shortens to the limit, with `ending` counted in it where something was cut. No grapheme cluster is broken, unless it
/// alone is longer than the limit.
pub fn cut<'a>(text: &'a str, limits: Limits, ending: &str) -> Cow<'a, str> {
    if fits(text, limits) {
        return Cow::Borrowed(text);
    }
    let room = limits.text.saturating_sub(limits.unit.of(ending));
    let kept = take(text, room, limits.unit, false);
    Cow::Owned(format!("{}{ending}", kept.trim_end()))
}

/// One line, without control characters: line ends and runs of white space become one space.
pub fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let is_plain = |character: char| character == ' ' || !is_blank_or_control(character);
    if text.chars().all(is_plain) && !text.contains("  ") {
        return Cow::Borrowed(text);
    }
    let words = text.split(is_blank_or_control);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    Cow::Owned(words.join(" "))
}

/// Without outer white space and without control characters other than line ends and tabs.
pub fn without_controls(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let is_kept = |character: char| matches!(character, '\n' | '\t') || !character.is_control();
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().filter(|c| is_kept(*c)).collect();
    Cow::Owned(kept.trim().to_owned())
}

fn is_blank_or_control(character: char) -> bool {
    character.is_whitespace() || character.is_control()
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

/// `; did you mean headers?`, to follow what is said of an unknown word; empty where no candidate is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or(String::new(), |meant| format!("; did you mean {meant}?"))
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
    fn bytes_in_json_are_those_that_are_written() {
        let every: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in [
            "",
            "plain",
            "\"q\" \\ \n\t\r\u{8}\u{c}\0",
            "é😀",
            every.as_str(),
        ] {
            let written = serde_json::to_string(text).unwrap().len() - 2;
            assert_eq!(Unit::JsonBytes.of(text), written, "{text:?}");
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
    fn a_first_part_with_a_limit_of_its_own_leaves_the_rest_to_the_others() {
        let text = "x".repeat(100);
        for (first, lengths) in [
            (100, vec![100]),
            (99, vec![99, 13]),
            (60, vec![60, 52]),
            (48, vec![48, 64]),
        ] {
            let split = split_after(&text, first, limits(70, Unit::Utf16));
            let found: Vec<_> = split.parts.iter().map(String::len).collect();
            assert_eq!(found, lengths, "{first}");
        }
    }

    #[test]
    fn what_is_cut_ends_with_its_mark_and_keeps_the_limit() {
        for (text, limit, unit, ending, cut_to) in [
            ("abcdef", 6, Unit::Utf16, "…", "abcdef"),
            ("abcdefg", 6, Unit::Utf16, "…", "abcde…"),
            ("abcdefg", 6, Unit::Bytes, "…", "abc…"),
            ("abcdefg", 6, Unit::CodePoints, "...", "abc..."),
            ("abc    efg", 6, Unit::CodePoints, "…", "abc…"),
            ("&&&", 11, Unit::Utf16Escaped, "…", "&&…"),
            ("a😀😀", 4, Unit::Utf16, "…", "a😀…"),
            (
                "a👨\u{200d}👩\u{200d}👧\u{200d}👦",
                7,
                Unit::Utf16,
                "…",
                "a…",
            ),
        ] {
            assert_eq!(cut(text, limits(limit, unit), ending), cut_to, "{text}");
        }
    }

    #[test]
    fn a_line_has_no_line_end_and_a_text_no_control() {
        for (text, line, kept) in [
            ("db1", "db1", "db1"),
            (" a\r\n\tb\u{2028}c  d\0 ", "a b c d", "a\n\tb\u{2028}c  d"),
            ("\u{1b}[31mred", "[31mred", "[31mred"),
            (" \n ", "", ""),
            (FAMILY, FAMILY, FAMILY),
        ] {
            assert_eq!(one_line(text), line, "{text:?}");
            assert_eq!(without_controls(text), kept, "{text:?}");
        }
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
            first in 48_usize..200,
            limit in 48_usize..200,
            unit in prop_oneof![
                Just(Unit::CodePoints), Just(Unit::Utf16), Just(Unit::Utf16Escaped), Just(Unit::Bytes), Just(Unit::JsonBytes)
            ],
        ) {
            let split = split_after(&text, first, limits(limit, unit));
            for (index, part) in split.parts.iter().enumerate() {
                let limit = if index == 0 { first } else { limit };
                prop_assert!(unit.of(part) <= limit, "{part:?}");
            }
            let short = cut(&text, limits(limit, unit), "…");
            prop_assert!(unit.of(&short) <= limit, "{short:?}");
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
