//! Fits texts to a limit: splits them into parts or shortens them.
//!
//! A cut never breaks a grapheme cluster or a piece of the channel's [`Markup`], unless the piece is longer than a
//! part. A code block that continues in the next part is closed and reopened.

mod cutter;
mod parts;
mod recent;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::cutter::{Cut, Cutter};
use self::parts::number;
pub use self::parts::{MAX_PARTS, Split};
pub use self::recent::with_recent_splits;
use self::recent::{Overflow, SplitOptions, recent_or};
use super::Limit;
use super::markup::{FENCE, MAX_LANGUAGE_CHARS, Markup};

/// Splits `text` into the fewest parts within the limit. Each of several parts begins with `(2/3) `.
///
/// The parts without their prefixes and without added fences are the text. A text that needs more than [`MAX_PARTS`]
/// is shortened, and the last part ends with the number of missing characters.
pub fn split(text: &str, limit: Limit, markup: Markup) -> Split {
    split_after(text, limit.length, limit, markup)
}

/// Splits like [`split`], but the first part has its own limit, because its message contains other data.
///
/// A limit of less than 48 units may leave no room for text after a prefix.
pub fn split_after(text: &str, first: usize, limit: Limit, markup: Markup) -> Split {
    let sizes = Sizes { first, limit };
    if fits(text, sizes.of_part(0)) {
        return Split {
            parts: vec![text.to_owned()],
            missing: 0,
        };
    }
    let options = SplitOptions {
        first,
        limit,
        markup,
        overflow: Overflow::Parts,
    };
    recent_or(text, options, || in_parts(text, sizes, markup))
}

/// Splits a text that is too long for one part.
fn in_parts(text: &str, sizes: Sizes, markup: Markup) -> Split {
    let Sizes { first, limit } = sizes;
    let longest = first.min(limit.length).saturating_sub(OVERHEAD_BYTES);
    let cutter = Cutter::new(text, limit.unit, markup, longest);
    // The number of parts determines a prefix's length.
    let length = limit.unit.of(text);
    let may_hold = |most: &usize| length <= sizes.capacity(*most);
    for most in [MAX_PARTS - 1, MAX_PARTS].into_iter().filter(may_hold) {
        // Cuts at line ends and spaces are preferred only if they need no additional part.
        for prefer_spaces in [true, false] {
            let cuts = cuts(&cutter, sizes, most, prefer_spaces);
            if cuts.last().is_none_or(|last| last.at == text.len()) {
                return Split {
                    parts: number(cutter.parts(&cuts)),
                    missing: 0,
                };
            }
        }
    }
    with_missing(&cutter, sizes)
}

/// The maximum length of a part's prefix and added fences.
const OVERHEAD_BYTES: usize =
    "(10/10) ".len() + 2 * FENCE.len() + MAX_LANGUAGE_CHARS + 2 * "\\n".len();

/// The maximum lengths of one text's parts.
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

    /// Returns the capacity of this number of parts.
    fn capacity(self, parts: usize) -> usize {
        (0..parts).map(|index| self.room(index, parts)).sum()
    }

    /// Returns the room without the part's prefix: "(9/9) " takes 6 characters, "(9/10) " 7, "(10/10) " 8.
    fn room(self, index: usize, total: usize) -> usize {
        let digits = |number: usize| if number < 10 { 1 } else { 2 };
        let prefix = 4 + digits(index + 1) + digits(total);
        self.of_part(index).length.saturating_sub(prefix)
    }
}

/// In every unit, a character of four bytes counts at least one.
const MAX_BYTES_OF_A_UNIT: usize = 4;

fn fits(text: &str, limit: Limit) -> bool {
    let bytes_suffice = limit.unit.is_at_most_bytes() && text.len() <= limit.length;
    let is_much_longer = text.len() / MAX_BYTES_OF_A_UNIT > limit.length;
    bytes_suffice || (!is_much_longer && limit.unit.of(text) <= limit.length)
}

/// Returns the ends of at most `most` parts that have room for their prefixes.
fn cuts<'a>(cutter: &Cutter<'a>, sizes: Sizes, most: usize, prefer_spaces: bool) -> Vec<Cut<'a>> {
    let mut cuts = Vec::new();
    let mut from = Cut::START;
    while from.at < cutter.text.len() && cuts.len() < most {
        let room = sizes.room(cuts.len(), most);
        let to = cutter.next(from, room, prefer_spaces);
        if to.at == from.at {
            break;
        }
        cuts.push(to);
        from = to;
    }
    cuts
}

/// Returns ten parts. The last one ends with the number of missing characters.
fn with_missing(cutter: &Cutter<'_>, sizes: Sizes) -> Split {
    let mut cuts = cuts(cutter, sizes, MAX_PARTS, false);
    cuts.truncate(MAX_PARTS - 1);
    let from = cuts.last().copied().unwrap_or(Cut::START);
    let room = sizes.room(MAX_PARTS - 1, MAX_PARTS);
    let (last, missing) = cutter.with_note(from, room);
    let mut parts = cutter.parts(&cuts);
    parts.push(last);
    Split {
        parts: number(parts),
        missing,
    }
}

/// Returns the text within its limit. A shortened text ends with the number of missing code points.
pub fn with_ending(text: &str, limit: Limit) -> (String, usize) {
    if fits(text, limit) {
        return (text.to_owned(), 0);
    }
    let options = SplitOptions {
        first: limit.length,
        limit,
        markup: Markup::NONE,
        overflow: Overflow::Note,
    };
    let mut split = recent_or(text, options, || {
        let cutter = Cutter::new(text, limit.unit, Markup::NONE, 0);
        let (part, missing) = cutter.with_note(Cut::START, limit.length);
        Split {
            parts: vec![part],
            missing,
        }
    });
    (split.parts.pop().unwrap_or_default(), split.missing)
}

/// Shortens a text to at most `characters` code points, with `…` at the end of a shortened one.
pub fn truncate(text: &str, characters: usize) -> String {
    cut(text, Limit::code_points(characters), "…").into_owned()
}

/// Shortens a text to the limit, which includes `ending`. No grapheme cluster is cut, unless it is longer than the
/// limit.
pub fn cut<'a>(text: &'a str, limit: Limit, ending: &str) -> Cow<'a, str> {
    cut_markup(text, limit, ending, Markup::NONE)
}

/// Shortens like [`cut`], and sets `is_cut` if the text was too long.
pub fn shorten(text: &str, limit: Limit, ending: &str, is_cut: &mut bool) -> String {
    let short = cut(text, limit, ending);
    *is_cut |= matches!(short, Cow::Owned(_));
    short.into_owned()
}

/// Shortens a text with markup like [`cut`]. Cuts no markup and leaves none open.
pub fn cut_markup<'a>(text: &'a str, limit: Limit, ending: &str, markup: Markup) -> Cow<'a, str> {
    if fits(text, limit) {
        return Cow::Borrowed(text);
    }
    let options = SplitOptions {
        first: limit.length,
        limit,
        markup,
        overflow: Overflow::Ending(ending.to_owned()),
    };
    let mut split = recent_or(text, options, || {
        let room = limit.length.saturating_sub(limit.unit.of(ending));
        let cutter = Cutter::new(text, limit.unit, markup, room);
        let to = cutter.next(Cut::START, room, false);
        let part = cutter.part(Cut::START, to);
        Split {
            parts: vec![format!("{}{ending}", part.trim_end())],
            missing: 0,
        }
    });
    Cow::Owned(split.parts.pop().unwrap_or_default())
}
