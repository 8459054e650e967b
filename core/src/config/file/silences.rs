//! Reads `[[silences]]`.

use super::Loader;
use super::tree::Node;
use crate::config::silence::Silence;
use crate::config::weekly_window::WeeklyWindow;
use crate::json::Path;
use crate::text::nearest;

impl Loader<'_> {
    pub fn silences(&mut self, node: &Node) -> Vec<Silence> {
        let each = self.tables(node, &Path::root().key("silences")).into_iter();
        each.filter_map(|(node, path)| self.silence(node, &path))
            .collect()
    }

    fn silence(&mut self, node: &Node, path: &Path) -> Option<Silence> {
        let (table, position) = (self.table(node, path.as_str())?, node.position);
        self.known_keys(
            table,
            path,
            &["name", "match", "from", "until", "weekly", "time_zone"],
        );
        let errors = self.report.errors.len();
        let mut silence = Silence {
            position,
            ..Silence::default()
        };
        for member in table.iter() {
            let (node, path) = (&member.node, path.key(&member.key));
            match member.key.as_str() {
                "name" => silence.name = self.text(node, &path, "a name").unwrap_or_default(),
                "match" => silence.matcher = self.matcher(node, &path),
                "from" => silence.from = self.time(node, &path),
                "until" => silence.until = self.time(node, &path),
                "time_zone" => silence.zone = self.time_zone(node, &path),
                "weekly" => silence.weekly = self.weekly(node, &path),
                _ => {}
            }
        }
        if silence.name.trim().is_empty() {
            self.report.error(
                position,
                path.as_str(),
                "a silence needs a name: it stands in the answer and in the log",
            );
        }
        if let (Some(from), Some(until)) = (silence.from, silence.until)
            && until <= from
        {
            let message = "ends before it begins: until must be later than from";
            self.report.error(position, path.as_str(), message);
        }
        if table.get("weekly").is_none() && table.get("time_zone").is_some() {
            let message = "time_zone is for weekly windows, and there are none";
            self.report.warning(position, path.as_str(), message);
        }
        if !silence.weekly.is_empty() && silence.zone.is_none() && table.get("time_zone").is_none()
        {
            let message = "weekly windows need a time_zone, such as \"Europe/Berlin\" or \"UTC\"";
            self.report.error(position, path.as_str(), message);
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

    pub fn time_zone(&mut self, node: &Node, path: &Path) -> Option<jiff::tz::TimeZone> {
        let name = self.text(node, path, "a time zone such as Europe/Berlin")?;
        let zone = jiff::tz::TimeZone::get(name.trim()).ok();
        if zone.is_none() {
            let known: Vec<String> = jiff::tz::db()
                .available()
                .map(|name| name.to_string())
                .collect();
            let message = match nearest(&name, known.iter().map(String::as_str)) {
                Some(meant) => format!("there is no such time zone; did you mean {meant}?"),
                None => "there is no such time zone; give one such as Europe/Berlin".to_owned(),
            };
            self.report.error(node.position, path.as_str(), &message);
        }
        zone
    }

    pub fn weekly(&mut self, node: &Node, path: &Path) -> Vec<WeeklyWindow> {
        let mut windows = Vec::new();
        if node.one_or_several().is_empty() {
            let message = "the list is empty; leave weekly out where every day is meant";
            self.report.error(node.position, path.as_str(), message);
        }
        for node in node.one_or_several() {
            let window = node.as_str().and_then(WeeklyWindow::parse);
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

    pub fn text(&mut self, node: &Node, path: &Path, expected: &str) -> Option<String> {
        match node.as_str() {
            Some(text) => Some(text.to_owned()),
            None => self.wrong_type(node, path, expected),
        }
    }
}
