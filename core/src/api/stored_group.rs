//! The group of a stored notification.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::json::Json;
use crate::model::group::{AlertCounts, AlertGroup, GroupedAlert};
use crate::model::notification::{AlertStatus, DedupKey, Level};

/// The member of a stored request with its group. A caller's request has no such member.
pub const GROUP: &str = "group";
/// The member of a stored request, and of a group's alert, with the levels that were sent.
pub const SENT_LEVELS: &str = "sent_levels";

#[derive(Serialize)]
pub struct StoredGroup<'a> {
    key: &'a str,
    receiver: &'a str,
    #[serde(serialize_with = "object")]
    labels: &'a [(String, String)],
    at: String,
    total: usize,
    statuses: [usize; 3],
    levels: [usize; 5],
    #[serde(serialize_with = "object")]
    common: &'a [(String, Json)],
    shared: Vec<(&'a str, &'a Json, usize)>,
    alerts: Vec<StoredAlert<'a>>,
}

#[derive(Serialize)]
struct StoredAlert<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    status: &'static str,
    #[serde(serialize_with = "object")]
    labels: &'a [(String, Json)],
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    starts_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sent_levels: Vec<Option<&'static str>>,
}

impl<'a> StoredGroup<'a> {
    pub fn of(group: &'a AlertGroup) -> Self {
        let shared = group.shared.iter();
        Self {
            key: &group.key,
            receiver: &group.receiver,
            labels: &group.labels,
            at: group.at.to_string(),
            total: group.total,
            statuses: group.counts.statuses,
            levels: group.counts.levels,
            common: &group.common,
            shared: shared
                .map(|((name, value), count)| (name.as_str(), value, *count))
                .collect(),
            alerts: group.alerts.iter().map(StoredAlert::of).collect(),
        }
    }
}

impl<'a> StoredAlert<'a> {
    fn of(alert: &'a GroupedAlert) -> Self {
        Self {
            key: &alert.key,
            title: alert.title.as_deref(),
            text: &alert.text,
            level: alert.level.map(Level::word),
            status: alert.status.word(),
            labels: &alert.labels,
            link: alert.link.as_deref(),
            starts_at: alert.starts_at.to_string(),
            ends_at: alert.ends_at.map(|time| time.to_string()),
            sent_levels: level_words(&alert.sent_levels),
        }
    }
}

fn object<S: Serializer>(
    members: &[(String, impl Serialize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
}

/// Reads a [`StoredGroup`]. Returns `None` if it is not one.
pub fn read(stored: &Json) -> Option<AlertGroup> {
    let of = Members(stored.as_object()?);
    let labels = of.get("labels")?.as_object()?.iter();
    let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let shared = of.array("shared")?.iter().map(|label| match label {
        Json::Array(parts) => match parts.as_slice() {
            [Json::String(name), value, count] => {
                Some(((name.clone(), value.clone()), number(count)?))
            }
            _ => None,
        },
        _ => None,
    });
    Some(AlertGroup {
        key: of.text("key")?.to_owned(),
        receiver: of.text("receiver")?.to_owned(),
        labels: labels.collect::<Option<_>>()?,
        total: number(of.get("total")?)?,
        lead: None,
        counts: AlertCounts {
            statuses: of.counts("statuses")?,
            levels: of.counts("levels")?,
        },
        common: of.get("common")?.as_object()?.to_vec(),
        shared: shared.collect::<Option<_>>()?,
        alerts: of
            .array("alerts")?
            .iter()
            .map(alert)
            .collect::<Option<_>>()?,
        at: of.time("at")?,
    })
}

fn alert(stored: &Json) -> Option<GroupedAlert> {
    let of = Members(stored.as_object()?);
    Some(GroupedAlert {
        key: DedupKey::from(of.text("key")?),
        title: of.text("title").map(str::to_owned),
        text: of.text("text")?.to_owned(),
        level: of.text("level").and_then(Level::parse),
        status: AlertStatus::parse(of.text("status")?)?,
        labels: of.get("labels")?.as_object()?.to_vec(),
        link: of.text("link").map(str::to_owned),
        starts_at: of.time("starts_at")?,
        ends_at: of.time("ends_at"),
        sent_levels: of.get(SENT_LEVELS).map(read_levels).unwrap_or_default(),
    })
}

/// Returns the levels as they are stored. No level is `null`.
pub fn level_words(levels: &[Option<Level>]) -> Vec<Option<&'static str>> {
    levels.iter().map(|level| level.map(Level::word)).collect()
}

/// Reads [`level_words`].
pub fn read_levels(stored: &Json) -> Vec<Option<Level>> {
    let Json::Array(words) = stored else {
        return Vec::new();
    };
    let levels = words.iter();
    levels
        .map(|word| word.as_str().and_then(Level::parse))
        .collect()
}

fn number(json: &Json) -> Option<usize> {
    json.as_word()?.parse().ok()
}

struct Members<'a>(&'a [(String, Json)]);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Json> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.get(name)?.as_str()
    }

    fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name)?.parse().ok()
    }

    fn array(&self, name: &str) -> Option<&'a [Json]> {
        match self.get(name)? {
            Json::Array(items) => Some(items),
            _ => None,
        }
    }

    fn counts<const N: usize>(&self, name: &str) -> Option<[usize; N]> {
        let counts = self.array(name)?.iter().map(number);
        counts.collect::<Option<Vec<_>>>()?.try_into().ok()
    }
}
