//! What goes by matchers: `[[routes]]` and `[[silences]]`.

use std::collections::HashMap;

use regex::Regex;

use super::Loader;
use super::tree::{Member, Node, Table, Value};
use crate::config::matcher::{Matcher, Pattern};
use crate::config::silence::{Silence, Window};
use crate::json::Path;
use crate::model::extract::Extraction;
use crate::model::notification::{Level, Status};
use crate::model::problem::Place;
use crate::text::{bounded_regex, did_you_mean, nearest};

/// Who gets a notification that names nobody.
#[derive(Debug)]
pub struct Route {
    /// In the file.
    pub place: Place,
    pub matcher: Matcher,
    /// Places of the file's receivers.
    pub receivers: Vec<usize>,
    /// Whether the routes after it are asked as well.
    pub continue_matching: bool,
    /// What makes fields of the text where it matches.
    pub extract: Vec<Extraction>,
}

impl Route {
    /// Whether no notification gets past it.
    pub const fn is_last(&self) -> bool {
        self.matcher.is_for_all() && !self.continue_matching
    }
}

impl Loader<'_> {
    pub fn routes(&mut self, node: &Node, receivers: &HashMap<String, usize>) -> Vec<Route> {
        let each = self.tables(node, "routes").into_iter();
        let routes: Vec<_> = each
            .map(|(node, path)| self.route(node, &path, receivers))
            .collect();
        let last = routes.iter().position(Route::is_last);
        let last = last.and_then(|last| Some((routes.get(last)?, last + 1)));
        if let Some((last, place)) = last
            && let Some(next) = routes.get(place)
        {
            let what = format!(
                "is never asked: the route in line {} matches everything; give it continue = true, or put it last",
                last.place.line
            );
            let path = Path::root().key("routes").index(place);
            self.report.warning(next.place, path.as_str(), &what);
        }
        routes
    }

    fn route(&mut self, node: &Node, path: &Path, receivers: &HashMap<String, usize>) -> Route {
        let mut route = Route {
            place: node.place,
            matcher: Matcher::default(),
            receivers: Vec::new(),
            continue_matching: false,
            extract: Vec::new(),
        };
        let Some(table) = self.table(node, path.as_str()) else {
            return route;
        };
        self.known_keys(table, path, &["match", "receivers", "continue", "extract"]);
        for member in table.iter() {
            let path = path.key(&member.key);
            match (member.key.as_str(), &member.node.value) {
                ("match", _) => route.matcher = self.matcher(&member.node, &path),
                ("receivers", _) => {
                    route.receivers = self.receiver_names(&member.node, &path, receivers)
                }
                ("extract", _) => route.extract = self.extractions(&member.node, &path),
                ("continue", Value::Boolean(value)) => route.continue_matching = *value,
                ("continue", _) => {
                    self.mismatch(&member.node, &path, "true or false");
                }
                _ => {}
            }
        }
        if route.receivers.is_empty()
            && table
                .get("receivers")
                .is_none_or(|names| names.one_or_several().is_empty())
        {
            let what = "names no receiver; give receivers = [\"NAME\"]";
            self.report.error(node.place, path.as_str(), what);
        }
        route
    }

    /// Names of the file's receivers as their places.
    pub fn receiver_names(
        &mut self,
        node: &Node,
        path: &Path,
        receivers: &HashMap<String, usize>,
    ) -> Vec<usize> {
        let mut places = Vec::new();
        for node in node.one_or_several() {
            let Some(name) = node.as_str() else {
                self.mismatch(node, path, "a list of receivers' names");
                continue;
            };
            match receivers.get(name) {
                Some(place) if !places.contains(place) => places.push(*place),
                Some(_) => {}
                None => {
                    let meant = did_you_mean(name, receivers.keys().map(String::as_str));
                    let what = format!("there is no such receiver{meant}");
                    self.report.error(node.place, path.as_str(), &what);
                }
            }
        }
        places
    }

    pub fn matcher(&mut self, node: &Node, path: &Path) -> Matcher {
        let Some(table) = self.table(node, path.as_str()) else {
            return Matcher::default();
        };
        self.known_matcher_keys(table, path);
        let mut matcher = Matcher::default();
        let levels = self.levels.clone();
        for member in table.iter() {
            let path = path.key(&member.key);
            match member.key.as_str() {
                "level" => {
                    let known = Level::ALL.map(Level::word);
                    let word = |text: &str| levels.parse(text).map(Level::word);
                    matcher.level = Some(self.patterns(member, &path, Some((&known, &word))));
                }
                "status" => {
                    let known = Status::ALL.map(Status::word);
                    let word = |text: &str| Status::parse(text).map(Status::word);
                    matcher.status = Some(self.patterns(member, &path, Some((&known, &word))));
                }
                "text" => matcher.text = Some(self.patterns(member, &path, None)),
                "fields" => {
                    let Some(table) = self.table(&member.node, path.as_str()) else {
                        continue;
                    };
                    for member in table.iter() {
                        let path = path.key(&member.key);
                        self.warn_of_globs(member, &path);
                        let patterns = self.patterns(member, &path, None);
                        matcher.fields.push((member.key.clone(), patterns));
                    }
                }
                _ => {}
            }
        }
        matcher
    }

    /// A field is no key of its own: `match = { host = … }` is the first thing that many try.
    fn known_matcher_keys(&mut self, table: &Table, path: &Path) {
        let known = |member: &&Member| MATCHER_KEYS.contains(&member.key.as_str());
        for member in table.iter().filter(|member| !known(member)) {
            let key = &member.key;
            let what = match nearest(key, MATCHER_KEYS.iter().copied()) {
                Some(meant) => format!("unknown key; did you mean {meant}?"),
                None => format!(
                    "unknown key; there are {}. A field is matched by fields = {{ {key} = … }}",
                    MATCHER_KEYS.join(", ")
                ),
            };
            self.report
                .error(member.place, path.key(key).as_str(), &what);
        }
    }

    /// `db*` is compared as it stands, and values seldom hold an asterisk.
    fn warn_of_globs(&mut self, member: &Member, path: &Path) {
        for node in member.node.one_or_several() {
            if let Some(text) = node.as_str()
                && let Some(expression) = of_glob(text)
            {
                let what = format!(
                    "{text} is compared as it stands, asterisk included; did you mean ~{expression}?"
                );
                self.report.warning(node.place, path.as_str(), &what);
            }
        }
    }

    /// A string: equal; a list: one of; `~…`: a regular expression. `words` are all that the value can be.
    fn patterns(&mut self, member: &Member, path: &Path, words: Words<'_>) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        if member.node.one_or_several().is_empty() {
            let what =
                "the list is empty, and nothing fits it; leave it out where anything may fit";
            self.report.error(member.node.place, path.as_str(), what);
        }
        for node in member.node.one_or_several() {
            let Some(text) = node.scalar() else {
                self.mismatch(node, path, "a string, or a list of strings");
                continue;
            };
            match (text.strip_prefix('~'), words) {
                (Some(expression), _) => match self.regex(expression) {
                    Some(regex) => patterns.push(Pattern::Regex(regex)),
                    None => {
                        let what = "the regular expression after ~ cannot be read, or is too large";
                        self.report.error(node.place, path.as_str(), what);
                    }
                },
                (None, Some((known, word))) => match word(&text) {
                    Some(word) => patterns.push(Pattern::Equal(word.to_owned())),
                    None => {
                        let what = format!("must be one of {}", known.join(", "));
                        self.report.error(node.place, path.as_str(), &what);
                    }
                },
                (None, None) => patterns.push(Pattern::Equal(text)),
            }
        }
        patterns
    }

    /// Equal ones are made once: there may be ten thousand routes.
    pub fn regex(&mut self, expression: &str) -> Option<Regex> {
        if let Some(known) = self.regexes.get(expression) {
            return known.clone();
        }
        let made = bounded_regex(expression);
        self.regexes.insert(expression.to_owned(), made.clone());
        made
    }

    pub fn silences(&mut self, node: &Node) -> Vec<Silence> {
        let each = self.tables(node, "silences").into_iter();
        each.filter_map(|(node, path)| self.silence(node, &path))
            .collect()
    }

    fn silence(&mut self, node: &Node, path: &Path) -> Option<Silence> {
        let (table, place) = (self.table(node, path.as_str())?, node.place);
        self.known_keys(
            table,
            path,
            &["name", "match", "from", "until", "weekly", "time_zone"],
        );
        let errors = self.report.errors.len();
        let mut silence = Silence {
            place,
            ..Silence::default()
        };
        for member in table.iter() {
            let (node, path) = (&member.node, path.key(&member.key));
            match member.key.as_str() {
                "name" => silence.name = self.text(node, &path, "a name").unwrap_or_default(),
                "match" => silence.matcher = self.matcher(node, &path),
                "from" => silence.from = self.time(node, &path),
                "until" => silence.until = self.time(node, &path),
                "time_zone" => {
                    let name = self.text(node, &path, "a time zone such as Europe/Berlin");
                    silence.zone = name.and_then(|name| self.zone(node, &path, &name));
                }
                "weekly" => silence.weekly = self.weekly(node, &path),
                _ => {}
            }
        }
        if silence.name.trim().is_empty() {
            self.report.error(
                place,
                path.as_str(),
                "a silence needs a name: it stands in the answer and in the log",
            );
        }
        if let (Some(from), Some(until)) = (silence.from, silence.until)
            && until <= from
        {
            let what = "ends before it begins: until must be later than from";
            self.report.error(place, path.as_str(), what);
        }
        if table.get("weekly").is_none() && table.get("time_zone").is_some() {
            let what = "time_zone is for weekly windows, and there are none";
            self.report.warning(place, path.as_str(), what);
        }
        if !silence.weekly.is_empty() && silence.zone.is_none() && table.get("time_zone").is_none()
        {
            let what = "weekly windows need a time_zone, such as \"Europe/Berlin\" or \"UTC\"";
            self.report.error(place, path.as_str(), what);
        }
        (self.report.errors.len() == errors).then_some(silence)
    }

    fn time(&mut self, node: &Node, path: &Path) -> Option<jiff::Timestamp> {
        let time = node.scalar().and_then(|text| text.trim().parse().ok());
        if time.is_none() {
            self.mismatch(
                node,
                path,
                "a time of RFC 3339 with its zone, such as 2026-01-31T12:00:00Z",
            );
        }
        time
    }

    fn zone(&mut self, node: &Node, path: &Path, name: &str) -> Option<jiff::tz::TimeZone> {
        let zone = jiff::tz::TimeZone::get(name.trim()).ok();
        if zone.is_none() {
            let known: Vec<String> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let what = match nearest(name, known.iter().map(String::as_str)) {
                Some(meant) => format!("there is no such time zone; did you mean {meant}?"),
                None => "there is no such time zone; give one such as Europe/Berlin".to_owned(),
            };
            self.report.error(node.place, path.as_str(), &what);
        }
        zone
    }

    fn weekly(&mut self, node: &Node, path: &Path) -> Vec<Window> {
        let mut windows = Vec::new();
        if node.one_or_several().is_empty() {
            let what = "the list is empty; leave weekly out where the silence holds on every day";
            self.report.error(node.place, path.as_str(), what);
        }
        for node in node.one_or_several() {
            let window = node.as_str().and_then(Window::parse);
            if window.is_none() {
                self.mismatch(
                    node,
                    path,
                    "windows such as \"Sat 00:00-24:00\" or \"Mon-Fri 22:00-06:00\"",
                );
            }
            windows.extend(window);
        }
        windows
    }

    fn text(&mut self, node: &Node, path: &Path, expected: &str) -> Option<String> {
        match node.as_str() {
            Some(text) => Some(text.to_owned()),
            None => self.wrong_type(node, path, expected),
        }
    }
}

/// The words that a value can be, and how one of them is read.
type Words<'a> = Option<(&'a [&'static str], &'a dyn Fn(&str) -> Option<&'static str>)>;

const MATCHER_KEYS: &[&str] = &["level", "status", "text", "fields"];

/// The regular expression that a text with asterisks stands for, as shells read it.
fn of_glob(text: &str) -> Option<String> {
    if text.starts_with('~') || !text.contains('*') {
        return None;
    }
    let parts: Vec<_> = text.split('*').map(regex::escape).collect();
    let (first, last) = (parts.first()?, parts.last()?);
    let begin = if first.is_empty() { "" } else { "^" };
    let end = if last.is_empty() { "" } else { "$" };
    let inner = parts.join(".*");
    let inner = inner.strip_prefix(".*").unwrap_or(&inner);
    let inner = inner.strip_suffix(".*").unwrap_or(inner);
    Some(format!("{begin}{inner}{end}"))
}

#[cfg(test)]
mod tests {
    use super::of_glob;

    #[test]
    fn a_glob_is_told_as_the_regular_expression_that_it_stands_for() {
        for (text, expression) in [
            ("db*", Some("^db")),
            ("*.example.com", Some(r"\.example\.com$")),
            ("a*b", Some("^a.*b$")),
            ("*disk*", Some("disk")),
            ("*", Some("")),
            ("db1", None),
            ("~^db.*", None),
            ("", None),
        ] {
            assert_eq!(of_glob(text).as_deref(), expression, "{text}");
        }
    }
}
