//! The names of fields as a channel can show them: clean, within the channel's limit, and unique.
//!
//! Cleaning or shortening can make two names equal. Where fields are members of an object, the second would replace
//! the first. So the second gets a number: `cpu_usage`, `cpu_usage_2`.

use std::collections::{HashMap, HashSet};

use crate::text::{Limit, cut, shorten};

/// A channel's rules for the names of fields.
pub struct NameRules {
    pub limit: Limit,
    /// The ending of a shortened name.
    pub ending: &'static str,
    /// Replaces characters that the channel forbids in a name or reads as markup.
    pub clean: fn(&str) -> String,
    /// Names that the channel uses itself.
    pub reserved: &'static [&'static str],
}

impl NameRules {
    /// Returns the rules of a channel that shows every name unchanged.
    pub const fn any(limit: Limit, ending: &'static str) -> Self {
        Self {
            limit,
            ending,
            clean: str::to_owned,
            reserved: &[],
        }
    }
}

/// A field's name as the channel shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldName {
    pub text: String,
    pub is_cut: bool,
    /// Whether a number distinguishes it from an equal name.
    pub is_numbered: bool,
}

/// The names of one notification's fields.
pub struct FieldNames<'a> {
    rules: &'a NameRules,
    taken: HashSet<String>,
    /// The next number of each name, so that many equal names need only linear time.
    next: HashMap<String, usize>,
}

impl<'a> FieldNames<'a> {
    pub fn new(rules: &'a NameRules) -> Self {
        let reserved = rules.reserved.iter().map(|name| (*name).to_owned());
        Self {
            rules,
            taken: reserved.collect(),
            next: HashMap::new(),
        }
    }

    /// Adds the next field and returns its name.
    pub fn add(&mut self, name: &str) -> FieldName {
        let mut is_cut = false;
        let clean = (self.rules.clean)(name);
        let text = shorten(&clean, self.rules.limit, self.rules.ending, &mut is_cut);
        let is_numbered = self.taken.contains(&text);
        let text = if is_numbered {
            self.numbered(&clean)
        } else {
            text
        };
        self.taken.insert(text.clone());
        FieldName {
            text,
            is_cut,
            is_numbered,
        }
    }

    /// Returns the first of `name_2`, `name_3`, … that no other field has.
    fn numbered(&mut self, name: &str) -> String {
        let Limit { length, unit } = self.rules.limit;
        let room = Limit::new(length.saturating_sub(NUMBER_BYTES), unit);
        let stem = cut(name, room, "");
        let next = self.next.entry(stem.to_string()).or_insert(2);
        loop {
            let numbered = format!("{stem}_{next}");
            *next += 1;
            if !self.taken.contains(&numbered) {
                return numbered;
            }
        }
    }
}

/// Reserves bytes for `_` and the number: no request has a million fields.
const NUMBER_BYTES: usize = "_999999".len();

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::text::Unit;

    const RULES: NameRules = NameRules {
        limit: Limit::utf16(12),
        ending: "…",
        clean: |name| name.replace(|c: char| !c.is_alphanumeric(), "_"),
        reserved: &["text"],
    };

    #[test]
    fn equal_names_get_numbers_within_the_limit() {
        let mut names = FieldNames::new(&RULES);
        for (name, text, is_cut, is_numbered) in [
            ("a b", "a_b", false, false),
            ("a-b", "a_b_2", false, true),
            ("a_b_2", "a_b_2_2", false, true),
            ("a.b", "a_b_3", false, true),
            ("text", "text_2", false, true),
            ("abcdefghijkl", "abcdefghijkl", false, false),
            ("abcdefghijklm", "abcdefghijk…", true, false),
            ("abcdefghijklmn", "abcde_2", true, true),
            ("abcdefghijklmno", "abcde_3", true, true),
        ] {
            let found = names.add(name);
            assert_eq!(found.text, text, "{name}");
            assert_eq!(
                (found.is_cut, found.is_numbered),
                (is_cut, is_numbered),
                "{name}"
            );
        }
    }

    #[test]
    fn a_hundred_thousand_equal_names_take_linear_time() {
        let begun = Instant::now();
        let mut names = FieldNames::new(&RULES);
        for _ in 0..100_000 {
            names.add("a b");
        }
        // Quadratic time would take minutes.
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    proptest! {
        #[test]
        fn names_are_different_and_within_the_limit(given in vec("[a-c_2 ]{0,16}", 0..60), length in 8_usize..20) {
            let rules = NameRules { limit: Limit::new(length, Unit::Bytes), ..RULES };
            let mut names = FieldNames::new(&rules);
            let mut seen = HashSet::new();
            for name in given {
                let FieldName { text, .. } = names.add(&name);
                prop_assert!(rules.limit.unit.of(&text) <= length, "{text:?}");
                prop_assert!(seen.insert(text.clone()), "{text:?}");
            }
        }
    }
}
