//! The text of a digest: how many notifications of each kind, and the subject of the first.

use std::fmt::Write as _;

use crate::json::Json;
use crate::model::notification::{AlertState, AlertStatus, Level, Notification};
use crate::model::plan::PlannedSend;
use crate::text::{one_line, truncate};

/// The maximum length of the quoted first text, in characters.
const MAX_QUOTED_CHARS: usize = 200;
/// The limit that a delivery exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    Minute,
    ThrottleBatch,
}

impl LimitKind {
    /// The rule in answers and log lines.
    pub const fn rule(self) -> &'static str {
        match self {
            LimitKind::Minute => "max_per_minute",
            LimitKind::ThrottleBatch => "max_per_batch",
        }
    }

    const fn when(self) -> &'static str {
        match self {
            LimitKind::Minute => "in the last minute",
            LimitKind::ThrottleBatch => "in the same batch",
        }
    }
}

/// The number of notifications of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub notifications: usize,
    /// By [`Level::ALL`].
    levels: [usize; Level::ALL.len()],
    /// By [`AlertStatus::ALL`].
    statuses: [usize; AlertStatus::ALL.len()],
}

impl Tally {
    pub fn count(&mut self, sending: &PlannedSend) {
        self.notifications += 1;
        let Some(AlertState { level, status }) = sending.state() else {
            return;
        };
        for (count, of) in self.levels.iter_mut().zip(Level::ALL) {
            *count += usize::from(level == Some(of));
        }
        for (count, of) in self.statuses.iter_mut().zip(AlertStatus::ALL) {
            *count += usize::from(status == Some(of));
        }
    }

    /// The digest: as plain or as rich as the first.
    pub fn digest(&self, first: &Notification, limit: LimitKind) -> Notification {
        let text = self.text(first, limit);
        let level = self.by_level().next().map(|(level, _)| level);
        if !first.is_rich() {
            // If only texts have a level, the digest's text begins with it too.
            let word = level.map_or(String::new(), |level| {
                format!("[{}] ", level.word().to_uppercase())
            });
            return Notification::plain(Json::String(word + &text));
        }
        let title = match self.notifications {
            1 => "1 more notification".to_owned(),
            many => format!("{many} more notifications"),
        };
        Notification {
            title: first.title.is_some().then_some(title),
            level,
            // The digest is firing while one member is firing.
            status: (self.resolved() == self.notifications).then_some(AlertStatus::Resolved),
            link: first.link.clone(),
            ..Notification::plain(Json::String(text))
        }
    }

    fn text(&self, first: &Notification, limit: LimitKind) -> String {
        let mut text = format!("and {} more {}", self.notifications, limit.when());
        let levels = self
            .by_level()
            .map(|(level, count)| format!("{count} {level}"));
        let mut counts: Vec<_> = levels.collect();
        let without = self.notifications - self.levels.iter().sum::<usize>();
        if !counts.is_empty() && without > 0 {
            counts.push(format!("{without} without a level"));
        }
        let mut counts = vec![counts.join(", ")];
        if self.resolved() > 0 {
            let statuses = AlertStatus::ALL.into_iter().zip(self.statuses);
            let statuses = statuses.filter(|(_, count)| *count > 0);
            let statuses = statuses.map(|(status, count)| format!("{count} {status}"));
            counts.push(statuses.collect::<Vec<_>>().join(", "));
        }
        counts.retain(|counts| !counts.is_empty());
        if !counts.is_empty() {
            let _ = write!(text, ": {}", counts.join("; "));
        }
        let _ = write!(text, ". The first: {}", subject(first));
        text
    }

    /// The worst first.
    fn by_level(&self) -> impl Iterator<Item = (Level, usize)> {
        let levels = Level::ALL.into_iter().zip(self.levels).rev();
        levels.filter(|(_, count)| *count > 0)
    }

    fn resolved(&self) -> usize {
        let [.., resolved] = self.statuses;
        resolved
    }
}

/// Returns the heading of a notification: its title, or the beginning of its text.
fn subject(notification: &Notification) -> String {
    let text = match (&notification.title, notification.as_text()) {
        (Some(title), _) => title.as_str().into(),
        (None, Some(text)) => text,
        (None, None) => serde_json::to_string(&notification.text)
            .unwrap_or_default()
            .into(),
    };
    truncate(one_line(&text).trim(), MAX_QUOTED_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{CHANNELS, configured};
    use crate::model::channel::ComposeContext;

    fn rich(title: &str) -> Notification {
        Notification {
            title: Some(title.to_owned()),
            link: Some("https://grafana.example.com/d/1".to_owned()),
            dedup_key: Some("cpu".into()),
            ..Notification::plain(Json::String("text".to_owned()))
        }
    }

    /// Each level and no level, each status and no status.
    fn tally() -> Tally {
        Tally {
            notifications: 212,
            levels: [0, 2, 100, 0, 100],
            statuses: [180, 2, 20],
        }
    }

    #[test]
    fn a_digest_says_how_many_there_are_of_each_kind_the_worst_first() {
        let none = Tally {
            notifications: 2,
            ..Tally::default()
        };
        let firing = Tally {
            statuses: [2, 0, 0],
            ..none.clone()
        };
        let long = "ä".repeat(300);
        let cut = format!("{}…", "ä".repeat(199));
        for (tally, first, expected) in [
            (
                tally(),
                rich("disk full"),
                "and 212 more in the last minute: 100 critical, 100 warning, 2 info, 10 without a level; \
                 180 firing, 2 acknowledged, 20 resolved. The first: disk full",
            ),
            (
                none.clone(),
                Notification::plain(Json::Number("5".to_owned())),
                "and 2 more in the last minute. The first: 5",
            ),
            // Firing is the usual state, so the digest does not mention it if all are firing.
            (
                firing,
                Notification::plain(Json::Object(vec![("a".to_owned(), Json::Null)])),
                r#"and 2 more in the last minute. The first: {"a":null}"#,
            ),
            (
                none,
                Notification::plain(Json::String(format!("\n{long}"))),
                &format!("and 2 more in the last minute. The first: {cut}"),
            ),
        ] {
            assert_eq!(tally.text(&first, LimitKind::Minute), expected);
        }
    }

    #[test]
    fn a_digest_is_as_plain_as_the_first_and_bears_the_highest_level() {
        let plain = Notification::plain(Json::String("[WARN] x".to_owned()));
        let digest = tally().digest(&plain, LimitKind::ThrottleBatch);
        assert!(!digest.is_rich());
        let text = digest.as_text().unwrap().into_owned();
        assert!(
            text.starts_with("[CRITICAL] and 212 more in the same batch: "),
            "{text}"
        );
        let digest = tally().digest(&rich("disk full"), LimitKind::ThrottleBatch);
        assert_eq!(digest.title.as_deref(), Some("212 more notifications"));
        assert_eq!((digest.level, digest.status), (Some(Level::Critical), None));
        assert_eq!(digest.link, rich("").link);
        assert_eq!(digest.dedup_key, None);
        let over = Tally {
            statuses: [0, 0, 212],
            ..tally()
        };
        let digest = over.digest(&rich("disk full"), LimitKind::ThrottleBatch);
        assert_eq!(digest.status, Some(AlertStatus::Resolved));
    }

    #[test]
    fn every_channel_takes_a_digest() {
        let firsts = [
            Notification::plain(Json::String("text".to_owned())),
            rich("title"),
            rich(&"👩‍👩‍👧‍👦".repeat(10_000)),
        ];
        for spec in CHANNELS {
            let channel = configured(spec, crate::channels::example).unwrap();
            for first in &firsts {
                let digest = tally().digest(first, LimitKind::Minute);
                let composed = channel
                    .compose(&digest, &ComposeContext::new("key"))
                    .unwrap();
                assert_eq!(composed.parts.len(), 1, "{}", spec.key);
                assert_eq!(composed.warnings, [] as [&str; 0], "{}", spec.key);
                let body = composed.parts[0].body();
                let body = String::from_utf8_lossy(&body);
                let body = body.replace('+', " ");
                assert!(body.contains("212 more"), "{}: {body}", spec.key);
            }
        }
    }
}
