//! Finds the positions at which a text may be cut.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation;

use crate::text::Unit;
use crate::text::markup::{FENCE, Mark, Markup};

/// A position at which a text may be cut.
#[derive(Clone, Copy)]
pub struct Cut<'a> {
    pub at: usize,
    /// The language of the code block that continues after it.
    code: Option<&'a str>,
}

impl Cut<'_> {
    pub const START: Self = Self { at: 0, code: None };
}

/// Finds positions at which a text may be cut.
pub struct Cutter<'a> {
    pub text: &'a str,
    unit: Unit,
    markup: Markup,
    /// The maximum length of markup. Longer markup is cut like plain text, in units.
    longest: usize,
    /// The start of the last fence. It opens no block, because no later fence could close it.
    last_fence: usize,
}

impl<'a> Cutter<'a> {
    pub fn new(text: &'a str, unit: Unit, markup: Markup, longest: usize) -> Self {
        Self {
            text,
            unit,
            markup,
            longest,
            last_fence: text.rfind(FENCE).unwrap_or(0),
        }
    }

    /// Returns the parts that end at these cuts.
    pub fn parts(&self, cuts: &[Cut<'a>]) -> Vec<String> {
        let starts = std::iter::once(&Cut::START).chain(cuts);
        let pairs = starts.zip(cuts);
        pairs.map(|(from, to)| self.part(*from, *to)).collect()
    }

    pub fn part(&self, from: Cut<'a>, to: Cut<'a>) -> String {
        let text = self.text.get(from.at..to.at).unwrap_or_default();
        let closing = match to.code {
            Some(_) => closing(text),
            None => "",
        };
        format!("{}{text}{closing}", opening(from.code))
    }

    /// Returns the longest text from here that fits with a note of the number of missing code points.
    pub fn with_note(&self, from: Cut<'a>, room: usize) -> (String, usize) {
        // The note's length hardly depends on the number, so this reserves space for the longest note.
        let longest = missing_note(self.text.chars().count());
        let room = room.saturating_sub(self.unit.of(&longest));
        let to = self.next(from, room, false);
        let missing = self.text.get(to.at..).unwrap_or_default().chars().count();
        let part = self.part(from, to);
        (format!("{part}{}", missing_note(missing)), missing)
    }

    /// Returns the end of the longest part of at most `room` units from here. It prefers a line end or a space in the
    /// part's second half.
    pub fn next(&self, from: Cut<'a>, room: usize, prefer_spaces: bool) -> Cut<'a> {
        let mut clusters = self.clusters(from.at);
        let mut used = self.unit.of(&opening(from.code));
        let mut here = from;
        let mut shows_code = false;
        let mut best = Best::default();
        while let Some(cluster) = clusters.next() {
            let begin = here.at;
            here.at += cluster.len();
            if let Some((length, mark)) = self.mark(begin, here.code.is_some()) {
                while here.at < begin + length {
                    here.at += clusters.next().map_or(length, str::len);
                }
                match mark {
                    Mark::Opening(language) => (here.code, shows_code) = (Some(language), false),
                    Mark::Closing => here.code = None,
                    Mark::Whole => shows_code = true,
                }
            } else {
                shows_code |= !is_line_end(cluster);
            }
            let token = self.text.get(begin..here.at).unwrap_or_default();
            used += self.unit.of(token);
            if used > room {
                let first = || self.within_first(from, room, cluster);
                return best.choose(from.at, prefer_spaces).unwrap_or_else(first);
            }
            let closes = here.code.map_or(0, |_| self.unit.of(closing(token)));
            if used + closes <= room {
                let is_good =
                    here.code.is_none() || (shows_code && self.continues_code_block(here.at));
                best.add(here, is_good, cluster);
            }
        }
        here
    }

    /// Returns the clusters from here. Markup may begin inside a cluster, whose earlier characters then form their own
    /// cluster.
    fn clusters(&self, from: usize) -> impl Iterator<Item = &'a str> {
        let rest = self.text.get(from..).unwrap_or_default();
        let markup = self.markup;
        let clusters = rest.grapheme_indices(true);
        let pieces = clusters.flat_map(move |(at, cluster)| {
            let begins = |inner: &usize| {
                let rest = rest.get(at + inner..).unwrap_or_default();
                markup.at_start(rest, false).is_some()
            };
            let mut inner = cluster.char_indices().skip(1).map(|(inner, _)| inner);
            let (before, behind) = cluster.split_at(inner.find(begins).unwrap_or(0));
            [before, behind]
        });
        pieces.filter(|piece| !piece.is_empty())
    }

    /// Returns the markup at this position, if one part can contain it whole.
    fn mark(&self, at: usize, in_code: bool) -> Option<(usize, Mark<'a>)> {
        let rest = self.text.get(at..)?;
        let (length, mark) = self.markup.at_start(rest, in_code)?;
        let counts = match mark {
            Mark::Opening(_) => self.last_fence >= at + length,
            Mark::Closing => true,
            Mark::Whole => self.unit.of(rest.get(..length)?) <= self.longest,
        };
        counts.then_some((length, mark))
    }

    /// Whether a code block that continues here has content. An empty block would show its backticks.
    fn continues_code_block(&self, at: usize) -> bool {
        let rest = self.text.get(at..).unwrap_or_default();
        !rest.starts_with(FENCE) && !rest.starts_with(['\r', '\n'])
    }

    /// Cuts a cluster that is longer than a part between its code points.
    fn within_first(&self, from: Cut<'a>, room: usize, cluster: &str) -> Cut<'a> {
        let around = from.code.map_or(0, |_| self.unit.of(closing("")));
        let mut used = around + self.unit.of(&opening(from.code));
        let mut to = from;
        for character in cluster.chars() {
            used += self.unit.of(character.encode_utf8(&mut [0; 4]));
            if used > room {
                break;
            }
            to.at += character.len_utf8();
        }
        to
    }
}

fn missing_note(characters: usize) -> String {
    format!("… {characters} characters missing")
}

fn is_line_end(cluster: &str) -> bool {
    matches!(cluster, "\n" | "\r\n")
}

/// Returns the markup that reopens a code block.
fn opening(code: Option<&str>) -> Cow<'static, str> {
    match code {
        Some(language) => format!("{FENCE}{language}\n").into(),
        None => "".into(),
    }
}

/// Returns the markup that closes a code block with this end.
fn closing(code: &str) -> &'static str {
    if code.ends_with('\n') { "```" } else { "\n```" }
}

/// The last positions at which a part could end.
#[derive(Default)]
struct Best<'a> {
    any: Option<Cut<'a>>,
    good: Option<Cut<'a>>,
    line_end: Option<Cut<'a>>,
    space: Option<Cut<'a>>,
}

impl<'a> Best<'a> {
    /// Adds a position after this cluster.
    fn add(&mut self, cut: Cut<'a>, is_good: bool, cluster: &str) {
        self.any = Some(cut);
        if !is_good {
            return;
        }
        self.good = Some(cut);
        match cluster {
            "\n" | "\r\n" => self.line_end = Some(cut),
            " " | "\t" => self.space = Some(cut),
            _ => {}
        }
    }

    fn choose(&self, start: usize, prefer_spaces: bool) -> Option<Cut<'a>> {
        let end = self.good.or(self.any)?;
        let half = (end.at - start) / 2;
        let mut preferred = [self.line_end, self.space].into_iter().flatten();
        let preferred = preferred.find(|cut| cut.at - start > half);
        Some(preferred.filter(|_| prefer_spaces).unwrap_or(end))
    }
}
