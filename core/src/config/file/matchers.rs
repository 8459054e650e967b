//! Reads `match = { … }`, with the same rules in every section of the file.

use regex::Regex;

use super::Loader;
use super::tree::{Node, Table, TableEntry};
use crate::config::matcher::{Matcher, NAMES, Name, Pattern, PatternText, Patterns};
use crate::json::Path;
use crate::text::{bounded_regex, nearest};

/// The table of fields. A name inside it needs no prefix `fields.`.
const FIELDS: &str = "fields";

impl Loader<'_> {
    pub fn matcher(&mut self, node: &Node, path: &Path) -> Matcher {
        let Some(table) = self.table(node, path.as_str()) else {
            return Matcher::default();
        };
        let mut conditions = Vec::with_capacity(table.len());
        for member in table.iter() {
            let path = path.key(&member.key);
            if member.key == FIELDS {
                if let Some(table) = self.table(&member.node, path.as_str()) {
                    self.fields(table, &path, &mut conditions);
                }
                continue;
            }
            match Name::parse(&member.key) {
                Ok(name) => {
                    let patterns = self.condition(&name, member, &path);
                    conditions.push((name, patterns));
                }
                Err(_) => self.unknown_condition(member, &path),
            }
        }
        Matcher::new(conditions)
    }

    fn fields(&mut self, table: &Table, path: &Path, conditions: &mut Vec<(Name, Patterns)>) {
        for member in table.iter() {
            let name = Name::Field(member.key.clone());
            let patterns = self.condition(&name, member, &path.key(&member.key));
            conditions.push((name, patterns));
        }
    }

    /// Reports an unknown name. Many users first try a bare field: `match = { host = … }`.
    fn unknown_condition(&mut self, member: &TableEntry, path: &Path) {
        let known = NAMES.iter().map(|(word, _)| *word).chain([FIELDS]);
        let key = &member.key;
        let message = match nearest(key, known.clone()) {
            Some(meant) => format!("unknown key; did you mean {meant}?"),
            None => format!(
                "unknown key; there are {}. A field is matched by fields = {{ {key} = … }}",
                known.collect::<Vec<_>>().join(", ")
            ),
        };
        self.report.error(member.position, path.as_str(), &message);
    }

    /// Reads the patterns of one name.
    fn condition(&mut self, name: &Name, member: &TableEntry, path: &Path) -> Patterns {
        // Texts are sentences and may contain asterisks.
        if !matches!(name, Name::Level | Name::Status | Name::Text) {
            self.warn_of_globs(member, path);
        }
        let mut patterns = Patterns::default();
        if member.node.one_or_several().is_empty() {
            let message =
                "the list is empty, and nothing fits it; leave it out where anything may fit";
            self.report
                .error(member.node.position, path.as_str(), message);
        }
        for node in member.node.one_or_several() {
            let Some(text) = node.scalar() else {
                self.mismatch(node, path, "a string, or a list of strings");
                continue;
            };
            let text = PatternText::parse(&text);
            if let Some(pattern) = self.pattern(name, text, node, path) {
                patterns.push(pattern, text.is_negated);
            }
        }
        patterns
    }

    fn pattern(
        &mut self,
        name: &Name,
        text: PatternText<'_>,
        node: &Node,
        path: &Path,
    ) -> Option<Pattern> {
        let regex = text.is_regex.then(|| self.regex(text.rest)).flatten();
        match Pattern::of(name, text, &self.levels, |_| regex) {
            Ok(pattern) => Some(pattern),
            Err(message) => {
                self.report.error(node.position, path.as_str(), &message);
                None
            }
        }
    }

    /// Warns of a value such as `db*`: the matcher compares it literally, and real values seldom contain an asterisk.
    fn warn_of_globs(&mut self, member: &TableEntry, path: &Path) {
        for node in member.node.one_or_several() {
            if let Some(text) = node.as_str()
                && let Some(expression) = of_glob(text)
            {
                let message = format!(
                    "{text} is compared as it stands, asterisk included; did you mean {expression}?"
                );
                self.report.warning(node.position, path.as_str(), &message);
            }
        }
    }

    /// Compiles a regular expression. Equal expressions share one: a file may have ten thousand routes.
    pub fn regex(&mut self, expression: &str) -> Option<Regex> {
        if let Some(known) = self.regexes.get(expression) {
            return known.clone();
        }
        let regex = bounded_regex(expression);
        self.regexes.insert(expression.to_owned(), regex.clone());
        regex
    }
}

/// Returns the regular expression that is equivalent to a shell glob. Returns none for a text after `=`, which is
/// literal.
fn of_glob(text: &str) -> Option<String> {
    let (not, text) = match text.strip_prefix('!') {
        Some(text) => ("!", text),
        None => ("", text),
    };
    if text.starts_with(['~', '=']) || !text.contains('*') {
        return None;
    }
    let parts: Vec<_> = text.split('*').map(regex::escape).collect();
    let (first, last) = (parts.first()?, parts.last()?);
    let begin = if first.is_empty() { "" } else { "^" };
    let end = if last.is_empty() { "" } else { "$" };
    let inner = parts.join(".*");
    let inner = inner.strip_prefix(".*").unwrap_or(&inner);
    let inner = inner.strip_suffix(".*").unwrap_or(inner);
    Some(format!("{not}~{begin}{inner}{end}"))
}

#[cfg(test)]
mod tests {
    use super::of_glob;

    #[test]
    fn a_glob_is_shown_as_its_regular_expression() {
        for (text, expression) in [
            ("db*", Some("~^db")),
            ("*.example.com", Some(r"~\.example\.com$")),
            ("a*b", Some("~^a.*b$")),
            ("*disk*", Some("~disk")),
            ("*", Some("~")),
            ("!db*", Some("!~^db")),
            ("db1", None),
            ("~^db.*", None),
            ("!~^db.*", None),
            ("=db*", None),
            ("!=db*", None),
            ("", None),
        ] {
            assert_eq!(of_glob(text).as_deref(), expression, "{text}");
        }
    }
}
