//! The severity levels, and the words of other systems for them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// The severity; later variants are more severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Ok,
    Info,
    Warning,
    Error,
    Critical,
}

/// The words of common systems for levels, besides the levels' own names. [`folded`] normalises words for the
/// comparison.
///
/// - syslog: RFC 5424, section 6.2.1, with the keywords of syslog.conf(5) (`emerg`, `panic`, `err`, `warn`)
/// - PagerDuty: severities of the Events API v2 and incident priorities,
///   <https://support.pagerduty.com/main/docs/incident-priority> (P1 to P5, SEV-1 to SEV-5); Opsgenie also has P1 to
///   P5
/// - Prometheus: `page` as in the alerting rules of its documentation,
///   <https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/>; `none` as in kube-prometheus'
///   Watchdog
/// - ITU-T X.733, Alerta and ServiceNow: `major`, `minor`, `cleared`, `normal`; Zabbix: `disaster`, `information`
/// - loggers: `fatal`, `debug`, `trace`, `verbose`
///
/// The list omits plain numbers and words with different meanings in different systems, such as `high` or `severe`.
pub const ALIASES: &[(Level, &[&str])] = &[
    (Level::Ok, &["normal", "clear", "cleared"]),
    (
        Level::Info,
        &[
            "informational",
            "information",
            "notice",
            "debug",
            "trace",
            "verbose",
            "none",
            "p4",
            "p5",
            "sev4",
            "sev5",
        ],
    ),
    (Level::Warning, &["warn", "minor", "p3", "sev3"]),
    (Level::Error, &["err", "major", "p2", "sev2"]),
    (
        Level::Critical,
        &[
            "crit",
            "alert",
            "emergency",
            "emerg",
            "panic",
            "fatal",
            "disaster",
            "page",
            "p1",
            "p0",
            "sev1",
            "sev0",
        ],
    ),
];

/// The maximum length of a level's word.
pub const MAX_WORD_BYTES: usize = 64;

impl Level {
    pub const ALL: [Level; 5] = [
        Level::Ok,
        Level::Info,
        Level::Warning,
        Level::Error,
        Level::Critical,
    ];

    /// Parses a level's name, or one of [`ALIASES`].
    pub fn parse(word: &str) -> Option<Self> {
        let folded = folded(word)?;
        let is_named = |level: &Level| level.word() == folded;
        let by_alias = || ALIASES.iter().find(|(_, words)| words.contains(&&*folded));
        let named = Level::ALL.into_iter().find(is_named);
        named.or_else(|| by_alias().map(|(level, _)| *level))
    }

    pub const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Info => "info",
            Level::Warning => "warning",
            Level::Error => "error",
            Level::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Returns a word in lower case and without separators, so that `SEV-1` is `sev1`.
fn folded(word: &str) -> Option<Cow<'_, str>> {
    let word = word.trim();
    if word.is_empty() || word.len() > MAX_WORD_BYTES {
        return None;
    }
    if word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Some(Cow::Borrowed(word));
    }
    let parts = word.split([' ', '-', '_']);
    Some(Cow::Owned(parts.collect::<String>().to_lowercase()))
}

/// The operator's own words for levels. They take precedence over [`ALIASES`].
#[derive(Clone, Debug, Default)]
pub struct LevelMap(HashMap<String, Level>);

impl LevelMap {
    /// Adds a word. Returns false if the word is a duplicate or invalid.
    pub fn insert(&mut self, word: &str, level: Level) -> bool {
        let Some(word) = folded(word).filter(|word| !word.is_empty()) else {
            return false;
        };
        self.0.insert(word.into_owned(), level).is_none()
    }

    /// Returns the level of a word.
    pub fn parse(&self, word: &str) -> Option<Level> {
        self.mapped(word).or_else(|| Level::parse(word))
    }

    /// Returns the level that the operator assigned to a word.
    fn mapped(&self, word: &str) -> Option<Level> {
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&*folded(word)?).copied()
    }

    /// Returns the level that the operator assigned to the bracketed word at the text's beginning.
    pub fn in_text(&self, text: &str) -> Option<Level> {
        self.mapped(word_in_text(text)?)
    }
}

/// Returns the bracketed word at the text's beginning, as in `[CRITICAL] cpu`, if it is short enough for a level.
pub fn word_in_text(text: &str) -> Option<&str> {
    let text = text.trim_start().strip_prefix('[')?;
    let mut bytes = text.bytes().take(MAX_WORD_BYTES);
    text.get(..bytes.position(|byte| byte == b']')?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_alias_means_its_level_however_it_is_written() {
        for (level, words) in ALIASES {
            for word in *words {
                assert_eq!(folded(word).as_deref(), Some(*word));
                for word in [word.to_string(), word.to_uppercase(), format!(" {word}\n")] {
                    assert_eq!(Level::parse(&word), Some(*level), "{word}");
                }
            }
        }
        let all = ALIASES.iter().flat_map(|(_, words)| words.iter().copied());
        let mut all: Vec<_> = all.chain(Level::ALL.map(Level::word)).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "an alias stands there twice");
    }

    #[test]
    fn words_of_common_systems_are_levels_and_others_are_not() {
        for (words, level) in [
            ("ok OK normal Cleared", Some(Level::Ok)),
            (
                "debug notice INFORMATIONAL info none P4 p5 SEV-5",
                Some(Level::Info),
            ),
            ("warn Warning minor P3 sev_3", Some(Level::Warning)),
            ("err ERROR Major p2 Sev-2", Some(Level::Error)),
            (
                "crit CRITICAL alert emerg emergency panic fatal page P1 SEV1 sev-1 Sev_1 p0",
                Some(Level::Critical),
            ),
            (
                "kritical high severe unknown sev6 p 1 0 true critical! fatality",
                None,
            ),
        ] {
            for word in words.split(' ') {
                assert_eq!(Level::parse(word), level, "{word}");
            }
        }
        for (word, level) in [("SEV 1", Some(Level::Critical)), ("", None), (" - ", None)] {
            assert_eq!(Level::parse(word), level, "{word:?}");
        }
        assert_eq!(Level::parse(&"critical".repeat(100)), None);
    }

    #[test]
    fn the_operators_words_win_over_the_aliases() {
        let mut map = LevelMap::default();
        for (word, level, is_new) in [
            ("Störung", Level::Critical, true),
            ("page", Level::Warning, true),
            ("P-A-G-E", Level::Warning, false),
            ("3", Level::Error, true),
            (" ", Level::Error, false),
            ("--", Level::Error, false),
            (&"x".repeat(65), Level::Error, false),
        ] {
            assert_eq!(map.insert(word, level), is_new, "{word}");
        }
        for (word, level) in [
            ("STÖRUNG", Some(Level::Critical)),
            ("Page", Some(Level::Warning)),
            ("3", Some(Level::Error)),
            ("4", None),
            ("crit", Some(Level::Critical)),
            ("", None),
        ] {
            assert_eq!(map.parse(word), level, "{word}");
        }
        for (text, level) in [
            ("[störung] cpu", Some(Level::Critical)),
            (" [ PAGE ] cpu", Some(Level::Warning)),
            ("[crit] cpu", None),
            ("[störung cpu", None),
            ("störung] cpu", None),
            ("[] cpu", None),
        ] {
            assert_eq!(map.in_text(text), level, "{text}");
        }
    }
}
