//! Caches split texts. Thousands of a request's destinations have the same texts and limits.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::parts::Split;
use crate::text::{Limit, Markup};

/// The maximum number of entries. A request has fewer texts for one type of destination: title, text, values of
/// fields.
const MAX_ENTRIES: usize = 16;
/// The maximum size of all texts together.
const MAX_BYTES: usize = 4 * 1024 * 1024;

thread_local! {
    static RECENT: RefCell<Option<Recent>> = const { RefCell::new(None) };
}

/// Runs `work`. Meanwhile, this thread splits or shortens equal texts only once.
pub fn with_recent_splits<T>(work: impl FnOnce() -> T) -> T {
    let _scope = RecentGuard(RECENT.replace(Some(Recent::default())));
    work()
}

/// Restores the earlier state, also after a panic.
struct RecentGuard(Option<Recent>);

impl Drop for RecentGuard {
    fn drop(&mut self) {
        RECENT.set(self.0.take());
    }
}

/// The options for splitting a text.
#[derive(PartialEq, Eq)]
pub struct SplitOptions {
    pub first: usize,
    pub limit: Limit,
    pub markup: Markup,
    pub overflow: Overflow,
}

/// The treatment of text beyond the limit.
#[derive(PartialEq, Eq)]
pub enum Overflow {
    /// Further parts contain it.
    Parts,
    /// The text ends with the number of missing characters.
    Note,
    /// The text has this ending.
    Ending(String),
}

/// Returns this thread's earlier split of the text, or calls `make`.
pub fn recent_or(text: &str, options: SplitOptions, make: impl FnOnce() -> Split) -> Split {
    let known = |recent: &Option<Recent>| recent.as_ref()?.get(text, &options).cloned();
    if let Some(split) = RECENT.with_borrow(known) {
        return split;
    }
    let split = make();
    RECENT.with_borrow_mut(|recent| {
        if let Some(recent) = recent {
            recent.add(text, options, &split);
        }
    });
    split
}

#[derive(Default)]
struct Recent {
    entries: VecDeque<CachedSplit>,
    bytes: usize,
}

struct CachedSplit {
    text: String,
    options: SplitOptions,
    split: Split,
}

impl CachedSplit {
    fn bytes(&self) -> usize {
        self.text.len() + self.split.parts.iter().map(String::len).sum::<usize>()
    }
}

impl Recent {
    fn get(&self, text: &str, options: &SplitOptions) -> Option<&Split> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.options == *options && entry.text == text);
        entry.map(|entry| &entry.split)
    }

    fn add(&mut self, text: &str, options: SplitOptions, split: &Split) {
        let entry = CachedSplit {
            text: text.to_owned(),
            options,
            split: split.clone(),
        };
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
        while self.entries.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let oldest = self.entries.pop_front();
            self.bytes -= oldest.map_or(self.bytes, |entry| entry.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::text::Unit;

    const LIMIT: Limit = Limit::new(10, Unit::Utf16);

    fn options(first: usize) -> SplitOptions {
        SplitOptions {
            first,
            limit: LIMIT,
            markup: Markup::NONE,
            overflow: Overflow::Parts,
        }
    }

    /// Returns the number of calls of `make`.
    fn split_count(asked: &[(&str, usize)]) -> usize {
        let split_count = Cell::new(0);
        for (text, first) in asked {
            let make = || {
                split_count.set(split_count.get() + 1);
                Split {
                    parts: vec![format!("{text} {first}")],
                    missing: 0,
                }
            };
            let split = recent_or(text, options(*first), make);
            assert_eq!(split.parts, [format!("{text} {first}")]);
        }
        split_count.get()
    }

    #[test]
    fn a_text_is_split_once_for_each_set_of_options() {
        let asked = [("a", 1), ("b", 1), ("a", 2), ("a", 1), ("b", 1), ("a", 2)];
        assert_eq!(with_recent_splits(|| split_count(&asked)), 3);
    }

    #[test]
    fn nothing_is_known_outside_or_afterwards() {
        let twice = [("a", 1), ("a", 1)];
        assert_eq!(split_count(&twice), 2);
        with_recent_splits(|| {
            assert_eq!(split_count(&twice), 1);
            assert_eq!(with_recent_splits(|| split_count(&twice)), 1);
            assert_eq!(split_count(&twice), 0);
        });
        assert_eq!(split_count(&twice), 2);
    }

    #[test]
    fn the_oldest_make_room() {
        let many: Vec<_> = (0..=MAX_ENTRIES).map(|first| ("a", first)).collect();
        let long = "x".repeat(MAX_BYTES / 3);
        with_recent_splits(|| {
            assert_eq!(split_count(&many), MAX_ENTRIES + 1);
            assert_eq!(split_count(&[("a", 1), ("a", 0)]), 1);
            assert_eq!(
                split_count(&[(&long, 1), (&long, 2), (&long, 2), (&long, 1)]),
                3
            );
        });
    }
}
