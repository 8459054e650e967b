//! Texts within a limit: split into parts, or cut short.
//!
//! A cut never breaks a grapheme cluster or a piece of the channel's [`Markup`], unless that alone is longer than a
//! part. A code block that continues in the next part is closed and opened again.

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
use super::markup::{FENCE, LONGEST_LANGUAGE, Markup};

/// Splits `text` into as few parts as the limit asks for, each beginning `(2/3) ` where there are several.
///
/// The parts without their prefix, and without the fences that close and open a block of code again, are the text, unless
/// more than [`MAX_PARTS`] would be needed: then the last ends by saying how much is missing.
pub fn split(text: &str, limit: Limit, markup: Markup) -> Split {
    split_after(text, limit.length, limit, markup)
}

/// [`split`], where the first part has a limit of its own, since it shares its message with other things.
///
/// A limit of less than 48 units may leave no room for a part beside its prefix.
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

/// A text that is too long for one part.
fn in_parts(text: &str, sizes: Sizes, markup: Markup) -> Split {
    let Sizes { first, limit } = sizes;
    let longest = first.min(limit.length).saturating_sub(AROUND);
    let cutter = Cutter::new(text, limit.unit, markup, longest);
    // A prefix is as long as the number of parts makes it.
    let length = limit.unit.of(text);
    let may_hold = |most: &usize| length <= sizes.capacity(*most);
    for most in [MAX_PARTS - 1, MAX_PARTS].into_iter().filter(may_hold) {
        // Line ends and spaces are kept to only where that needs no part more than there are.
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

/// More than a part's prefix and the fences around it ever take.
const AROUND: usize = "(10/10) ".len() + 2 * FENCE.len() + LONGEST_LANGUAGE + 2 * "\\n".len();

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

    /// The capacity of this many parts.
    fn capacity(self, parts: usize) -> usize {
        (0..parts).map(|index| self.room(index, parts)).sum()
    }

    /// The room beside a part's prefix: "(9/9) " takes 6 characters, "(9/10) " 7, "(10/10) " 8.
    fn room(self, index: usize, total: usize) -> usize {
        let digits = |number: usize| if number < 10 { 1 } else { 2 };
        let prefix = 4 + digits(index + 1) + digits(total);
        self.of_part(index).length.saturating_sub(prefix)
    }
}

/// No unit counts a character of four bytes for less than one.
const MAX_BYTES_OF_A_UNIT: usize = 4;

fn fits(text: &str, limit: Limit) -> bool {
    let bytes_suffice = limit.unit.is_at_most_bytes() && text.len() <= limit.length;
    let is_much_longer = text.len() / MAX_BYTES_OF_A_UNIT > limit.length;
    bytes_suffice || (!is_much_longer && limit.unit.of(text) <= limit.length)
}

/// Where at most `most` parts end that leave room for their prefixes.
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

/// Ten parts; the last notes how many characters are missing.
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

/// The text within its limit, which ends by saying how many code points are missing, where any are.
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

/// Shortens to at most `characters` code points, with `…` at the end where something was cut.
pub fn truncate(text: &str, characters: usize) -> String {
    cut(text, Limit::code_points(characters), "…").into_owned()
}

/// Shortens to the limit, with `ending` counted in it where something was cut. No grapheme cluster is broken, unless it
/// alone is longer than the limit.
pub fn cut<'a>(text: &'a str, limit: Limit, ending: &str) -> Cow<'a, str> {
    cut_markup(text, limit, ending, Markup::NONE)
}

/// [`cut`], noting whether it was needed.
pub fn shorten(text: &str, limit: Limit, ending: &str, is_cut: &mut bool) -> String {
    let short = cut(text, limit, ending);
    *is_cut |= matches!(short, Cow::Owned(_));
    short.into_owned()
}

/// [`cut`] for a text with markup: breaks no markup and leaves none open.
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
