//! Silences by action. They are stored, unlike those of the configuration file, which the file has.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Now, later};
use super::mute::{Mute, on_steady_clock};
use crate::config::matcher::{MatchInput, Matcher};
use crate::config::silence::Silence;

/// The most silences, expired ones included.
pub const MAX_SILENCES: usize = 1_000;
/// How long an expired silence is still shown.
const KEEP_EXPIRED: Duration = Duration::from_secs(24 * 3600);

/// A silence by action.
#[derive(Clone, Debug)]
pub struct StoredSilence {
    pub id: String,
    pub matcher: Matcher,
    pub from: Timestamp,
    pub until: Timestamp,
    pub comment: String,
    pub created_by: String,
    pub created_at: Timestamp,
    /// Who ended it before its time.
    pub expired_by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceState {
    Pending,
    Active,
    Expired,
}

impl SilenceState {
    pub const fn word(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

impl StoredSilence {
    pub fn state(&self, wall: Timestamp) -> SilenceState {
        match (wall < self.from, wall < self.until) {
            (_, false) => SilenceState::Expired,
            (true, true) => SilenceState::Pending,
            (false, true) => SilenceState::Active,
        }
    }
}

/// The silences by action of one scope.
#[derive(Debug, Default)]
pub struct Silences {
    by_id: BTreeMap<String, StoredSilence>,
    regexes: usize,
}

impl Silences {
    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &StoredSilence> {
        self.by_id.values()
    }

    pub fn get(&self, id: &str) -> Option<&StoredSilence> {
        self.by_id.get(id)
    }

    /// The number of their regular expressions.
    pub const fn regexes(&self) -> usize {
        self.regexes
    }

    /// Removes silences that expired long ago, and, to make room for another, the oldest expired ones. Returns their ids, or
    /// `None` if all others are in force.
    pub fn make_room(&mut self, wall: Timestamp) -> Option<Vec<String>> {
        let expired = |silence: &&StoredSilence| silence.state(wall) == SilenceState::Expired;
        let mut ended: Vec<_> = self.iter().filter(expired).collect();
        ended.sort_by_key(|silence| silence.until);
        let too_many = (self.by_id.len() + 1).saturating_sub(MAX_SILENCES);
        if too_many > ended.len() {
            return None;
        }
        let is_old = |silence: &StoredSilence| later(silence.until, KEEP_EXPIRED) <= wall;
        let removed = ended.iter().enumerate();
        let removed = removed.filter(|(index, silence)| *index < too_many || is_old(silence));
        let removed: Vec<_> = removed.map(|(_, silence)| silence.id.clone()).collect();
        for id in &removed {
            self.remove(id);
        }
        Some(removed)
    }

    pub fn put(&mut self, silence: StoredSilence) {
        self.remove(&silence.id);
        self.regexes += silence.matcher.regexes();
        self.by_id.insert(silence.id.clone(), silence);
    }

    fn remove(&mut self, id: &str) {
        if let Some(silence) = self.by_id.remove(id) {
            self.regexes -= silence.matcher.regexes();
        }
    }
}

/// Returns the silence that mutes now: one of the file by its name, another by its id.
pub fn mute(
    of_file: &[Silence],
    stored: &Silences,
    input: &MatchInput<'_>,
    now: Now,
) -> Option<Mute> {
    let mut of_file = of_file.iter();
    if let Some(silence) = of_file.find(|silence| silence.holds(input, now.wall)) {
        let until = silence.until.map(|until| on_steady_clock(until, now));
        let rule = silence.name.clone();
        return Some(Mute { rule, until });
    }
    let is_active = |silence: &&StoredSilence| silence.state(now.wall) == SilenceState::Active;
    let mut active = stored.iter().filter(is_active);
    let silence = active.find(|silence| silence.matcher.matches(input))?;
    Some(Mute {
        rule: silence.id.clone(),
        until: Some(on_steady_clock(silence.until, now)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(id: usize, until: i64) -> StoredSilence {
        StoredSilence {
            id: format!("{id:04}"),
            matcher: Matcher::default(),
            from: Timestamp::UNIX_EPOCH,
            until: Timestamp::from_second(until).unwrap(),
            comment: "test".to_owned(),
            created_by: "ann".to_owned(),
            created_at: Timestamp::UNIX_EPOCH,
            expired_by: None,
        }
    }

    #[test]
    fn a_silence_is_pending_until_it_begins_and_expired_from_its_end() {
        let mut silence = silence(1, 20);
        silence.from = Timestamp::from_second(10).unwrap();
        for (second, state) in [
            (9, "pending"),
            (10, "active"),
            (19, "active"),
            (20, "expired"),
        ] {
            let at = Timestamp::from_second(second).unwrap();
            assert_eq!(silence.state(at).word(), state);
        }
    }

    #[test]
    fn expired_silences_make_room_the_oldest_first() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut silences = Silences::default();
        for id in 0..MAX_SILENCES {
            let until = if id < 2 { 100 - id as i64 } else { 1_000_000 };
            silences.put(silence(id, until));
        }
        assert_eq!(
            silences.make_room(at(1_000)),
            Some(vec!["0001".to_owned()]),
            "one is enough"
        );
        silences.put(silence(5_000, 1_000_000));
        assert_eq!(silences.make_room(at(1_000)), Some(vec!["0000".to_owned()]));
        silences.put(silence(5_001, 1_000_000));
        assert_eq!(silences.make_room(at(1_000)), None);
        assert_eq!(silences.iter().count(), MAX_SILENCES);
        let after_a_day = silences.make_room(at(1_000_000 + 86_400)).unwrap();
        assert_eq!(after_a_day.len(), MAX_SILENCES);
    }
}
