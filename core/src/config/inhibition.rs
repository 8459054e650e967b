//! Inhibitions: while a source alert fires, its target alerts are muted.

use super::matcher::{Matcher, Name, Pattern, Patterns};
use crate::model::problem::FilePosition;

/// A rule of `[[inhibitions]]`.
#[derive(Clone, Debug)]
pub struct Inhibition {
    /// The position in the file.
    pub position: FilePosition,
    pub source: Matcher,
    pub target: Matcher,
    /// Source and target must have equal values of these names. Two absent values are equal.
    pub equal: Vec<Name>,
}

/// Returns groups of rules whose alerts may mute each other, as indexes. A muted alert is still a source.
pub fn cycles(rules: &[Inhibition]) -> Vec<Vec<usize>> {
    let count = rules.len();
    let mut reaches: Vec<Vec<bool>> = rules
        .iter()
        .map(|rule| {
            let others = rules.iter();
            others
                .map(|other| may_overlap(&rule.target, &other.source))
                .collect()
        })
        .collect();
    for middle in 0..count {
        let row = reaches.get(middle).cloned().unwrap_or_default();
        for from in &mut reaches {
            if from.get(middle).copied().unwrap_or_default() {
                from.iter_mut()
                    .zip(&row)
                    .for_each(|(reached, more)| *reached |= more);
            }
        }
    }
    let reaches = |from: usize, to: usize| {
        let row = reaches.get(from);
        row.and_then(|row| row.get(to)).copied().unwrap_or_default()
    };
    let mut known = vec![false; count];
    let mut cycles = Vec::new();
    for first in 0..count {
        let is_known = |index: usize| known.get(index).copied().unwrap_or_default();
        let with_first = |other: &usize| reaches(first, *other) && reaches(*other, first);
        let others = (first + 1..count).filter(|index| !is_known(*index) && with_first(index));
        let cycle: Vec<_> = std::iter::once(first).chain(others).collect();
        if cycle.len() > 1 && !is_known(first) {
            for index in &cycle {
                if let Some(known) = known.get_mut(*index) {
                    *known = true;
                }
            }
            cycles.push(cycle);
        }
    }
    cycles
}

/// Returns whether one alert may match both. `false` only if two conditions exclude each other.
fn may_overlap(one: &Matcher, other: &Matcher) -> bool {
    let excludes = |(name, patterns): &(Name, Patterns)| {
        let mut conditions = other.conditions().iter();
        let other = conditions.find(|(known, _)| known == name);
        other.is_some_and(|(_, other)| exclude_each_other(patterns, other))
    };
    !one.conditions().iter().any(excludes)
}

fn exclude_each_other(one: &Patterns, other: &Patterns) -> bool {
    let only = |patterns: &Patterns, other: &Patterns| {
        let texts: Option<Vec<_>> = patterns.any_of.iter().map(text).collect();
        let mut texts = texts.filter(|texts| !texts.is_empty())?.into_iter();
        Some(texts.all(|text| !other.fit(Some(text), text.len())))
    };
    only(one, other).unwrap_or_default() || only(other, one).unwrap_or_default()
}

fn text(pattern: &Pattern) -> Option<&str> {
    match pattern {
        Pattern::Equal(text) => Some(text),
        Pattern::Regex(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::matcher::PatternText;
    use crate::text::bounded_regex;

    fn matcher(conditions: &[(&str, &str)]) -> Matcher {
        let condition = |(name, text): &(&str, &str)| {
            let text = PatternText::parse(text);
            let pattern = match text.is_regex {
                true => Pattern::Regex(bounded_regex(text.rest).unwrap()),
                false => Pattern::Equal(text.rest.to_owned()),
            };
            let mut patterns = Patterns::default();
            patterns.push(pattern, text.is_negated);
            (Name::parse(name).unwrap(), patterns)
        };
        Matcher::new(conditions.iter().map(condition).collect())
    }

    fn rule(source: &[(&str, &str)], target: &[(&str, &str)]) -> Inhibition {
        Inhibition {
            position: FilePosition::default(),
            source: matcher(source),
            target: matcher(target),
            equal: Vec::new(),
        }
    }

    #[test]
    fn conditions_exclude_each_other_only_where_no_value_fits_both() {
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "!a", false),
            ("a", "!b", true),
            ("a", "~^a", true),
            ("b", "~^a", false),
            ("~^a", "~^b", true),
            ("!a", "!a", true),
            ("a", "!~^a", false),
        ] {
            let of = |text| matcher(&[("fields.x", text)]);
            assert_eq!(may_overlap(&of(one), &of(other)), expected, "{one} {other}");
            assert_eq!(may_overlap(&of(other), &of(one)), expected, "{other} {one}");
        }
        let host = matcher(&[("fields.host", "a")]);
        assert!(may_overlap(&host, &matcher(&[("level", "error")])));
    }

    #[test]
    fn rules_whose_alerts_may_mute_each_other_are_cycles() {
        let host = [("title", "host down")];
        let switch = [("title", "switch down")];
        let power = [("title", "power off")];
        let disk = [("title", "disk full")];
        for (rules, expected) in [
            (vec![], vec![]),
            (vec![rule(&host, &disk)], vec![]),
            // An alert that matches both sides of one rule is no target of it.
            (vec![rule(&host, &[])], vec![]),
            (vec![rule(&switch, &host), rule(&host, &disk)], vec![]),
            (
                vec![rule(&switch, &host), rule(&host, &switch)],
                vec![vec![0, 1]],
            ),
            (
                vec![
                    rule(&disk, &[("title", "slow")]),
                    rule(&host, &switch),
                    rule(&switch, &power),
                    rule(&power, &host),
                ],
                vec![vec![1, 2, 3]],
            ),
            (
                vec![
                    rule(&host, &[("level", "warning")]),
                    rule(&disk, &[("level", "warning")]),
                ],
                vec![vec![0, 1]],
            ),
            (
                vec![
                    rule(
                        &[("title", "host down"), ("level", "critical")],
                        &[("level", "warning")],
                    ),
                    rule(
                        &[("title", "disk full"), ("level", "critical")],
                        &[("level", "warning")],
                    ),
                ],
                vec![],
            ),
        ] {
            assert_eq!(cycles(&rules), expected);
        }
    }
}
