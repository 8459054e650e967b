//! Texts within a limit: split into parts, or cut short.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use super::{Limit, Unit};

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
pub fn split(text: &str, limit: Limit) -> Split {
    split_after(text, limit.length, limit)
}

/// [`split`], where the first part has a limit of its own, since it shares its message with other things.
///
/// A limit of less than 48 units may leave no room for a part beside its prefix.
pub fn split_after(text: &str, first: usize, limit: Limit) -> Split {
    let sizes = Sizes { first, limit };
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
    limit: Limit,
}

impl Sizes {
    fn of_part(self, index: usize) -> Limit {
        let length = match index {
            0 => self.first,
            _ => self.limit.length,
        };
        Limit::new(length, self.limit.unit)
    }

    /// What the prefix of a part leaves: "(9/9) " takes 6 characters, "(9/10) " 7, "(10/10) " 8.
    fn room(self, index: usize, total: usize) -> usize {
        let digits = |number: usize| if number < 10 { 1 } else { 2 };
        let prefix = 4 + digits(index + 1) + digits(total);
        self.of_part(index).length.saturating_sub(prefix)
    }
}

fn fits(text: &str, limit: Limit) -> bool {
    let bytes_suffice = limit.unit.is_at_most_bytes() && text.len() <= limit.length;
    bytes_suffice || limit.unit.of(text) <= limit.length
}

/// Ten parts of which the last says how many characters found no place.
fn with_missing(text: &str, sizes: Sizes) -> Split {
    let unit = sizes.limit.unit;
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
pub fn with_ending(text: &str, limit: Limit) -> (String, usize) {
    if fits(text, limit) {
        return (text.to_owned(), 0);
    }
    // Its length hardly varies with what is missing, so the longest is allowed for.
    let all = text.chars().count();
    let room = limit
        .length
        .saturating_sub(limit.unit.of(&missing_note(all)));
    let kept = take(text, room, limit.unit, false);
    let missing = all - kept.chars().count();
    (format!("{kept}{}", missing_note(missing)), missing)
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
        let piece = take(text, room, sizes.limit.unit, prefer_spaces);
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
    cut(text, Limit::code_points(characters), "…").into_owned()
}

/// Shortens to the limit, with `ending` counted in it where something was cut. No grapheme cluster is broken, unless it
/// alone is longer than the limit.
pub fn cut<'a>(text: &'a str, limit: Limit, ending: &str) -> Cow<'a, str> {
    if fits(text, limit) {
        return Cow::Borrowed(text);
    }
    let room = limit.length.saturating_sub(limit.unit.of(ending));
    let kept = take(text, room, limit.unit, false);
    Cow::Owned(format!("{}{ending}", kept.trim_end()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAMILY: &str = "👨\u{200d}👩\u{200d}👧\u{200d}👦";

    fn without_prefixes(parts: &[String]) -> String {
        parts
            .iter()
            .map(|part| part.split_once(") ").map_or("", |(_, rest)| rest))
            .collect()
    }

    #[test]
    fn a_text_at_the_limit_stays_whole_and_one_beyond_it_is_split() {
        for unit in [Unit::CodePoints, Unit::Utf16, Unit::Bytes] {
            for (length, parts) in [(19, 1), (20, 1), (21, 2)] {
                let text = "x".repeat(length);
                assert_eq!(
                    split(&text, Limit::new(20, unit)).parts.len(),
                    parts,
                    "{unit:?} {length}"
                );
            }
        }
    }

    #[test]
    fn parts_end_at_a_line_end_else_at_a_space() {
        let split = split("one two\nthree four 56", Limit::new(20, Unit::Utf16));
        assert_eq!(
            split.parts,
            ["(1/2) one two\n", "(2/2) three four 56"].map(str::to_owned)
        );
    }

    #[test]
    fn ten_parts_lose_nothing_and_more_say_what_is_missing() {
        let ten = "x".repeat(9 * 13 + 12);
        let whole = split(&ten, Limit::new(20, Unit::Utf16));
        assert_eq!(whole.missing, 0);
        let long = "x".repeat(1_000);
        let cut = split(&long, Limit::new(60, Unit::Utf16));
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
            let split = split(&families, Limit::new(60, unit));
            for part in &split.parts {
                let piece = part
                    .split_once(") ")
                    .map_or(part.as_str(), |(_, rest)| rest);
                assert_eq!(piece.replace(FAMILY, ""), "", "{unit:?}");
            }
        }
        let zalgo = format!("e{}", "\u{301}".repeat(100));
        let split = split(&zalgo, Limit::new(40, Unit::CodePoints));
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
            let split = split_after(&text, first, Limit::new(70, Unit::Utf16));
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
            assert_eq!(cut(text, Limit::new(limit, unit), ending), cut_to, "{text}");
        }
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
            let split = split_after(&text, first, Limit::new(limit, unit));
            for (index, part) in split.parts.iter().enumerate() {
                let limit = if index == 0 { first } else { limit };
                prop_assert!(unit.of(part) <= limit, "{part:?}");
            }
            let short = cut(&text, Limit::new(limit, unit), "…");
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
