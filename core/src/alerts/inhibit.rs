//! Inhibition: while a source alert fires, alerts that match the target are muted, as in Alertmanager
//! (<https://prometheus.io/docs/alerting/latest/configuration/#inhibit_rule>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::alert::{Alert, AlertKey, Now};
use super::mute::Mute;
use crate::config::inhibition::Inhibition;
use crate::config::matcher::MatchInput;

/// How long a source mutes after it has resolved: what it caused needs time to resolve too.
pub const RELEASE_WAIT: Duration = Duration::from_secs(30);

/// The rules of the configuration file, and the source alerts of each.
#[derive(Debug, Default)]
pub struct Inhibitor {
    /// The digest of the file that has the rules.
    file: String,
    rules: Arc<[Inhibition]>,
    regexes: usize,
    sources: HashMap<SourceKey, HashMap<AlertKey, Source>>,
    keys: HashMap<AlertKey, Vec<SourceKey>>,
}

/// A rule's index, and the values of its `equal`. An absent value is empty, as in Alertmanager.
type SourceKey = (usize, Vec<String>);

#[derive(Clone, Copy, Debug)]
struct Source {
    /// The alert matches the target too: it mutes no other such alert.
    is_target: bool,
    /// `None`: it fires.
    until: Option<Timestamp>,
}

impl Inhibitor {
    /// Uses the rules of a file. Returns whether they are others than before.
    pub fn use_rules<'a>(
        &mut self,
        file: &str,
        rules: &Arc<[Inhibition]>,
        regexes: usize,
        alerts: impl Iterator<Item = &'a Alert>,
    ) -> bool {
        if self.file == file {
            return false;
        }
        *self = Self {
            file: file.to_owned(),
            rules: Arc::clone(rules),
            regexes,
            ..Self::default()
        };
        alerts.for_each(|alert| self.put(alert));
        true
    }

    /// Adds an alert, or replaces it.
    pub fn put(&mut self, alert: &Alert) {
        self.remove(&alert.key);
        if alert.is_one_off || (alert.is_resolved() && alert.inhibits_until.is_none()) {
            return;
        }
        let rules = Arc::clone(&self.rules);
        if rules.is_empty() {
            return;
        }
        let input = MatchInput::of(&alert.notification).for_regexes(self.regexes);
        let matching = rules.iter().enumerate();
        for (index, rule) in matching.filter(|(_, rule)| rule.source.matches(&input)) {
            let key = (index, equal_values(rule, &input));
            let source = Source {
                is_target: rule.target.matches(&input),
                until: alert.inhibits_until.filter(|_| alert.is_resolved()),
            };
            let sources = self.sources.entry(key.clone()).or_default();
            sources.insert(alert.key.clone(), source);
            let keys = self.keys.entry(alert.key.clone()).or_default();
            keys.push(key);
        }
    }

    pub fn remove(&mut self, alert: &AlertKey) {
        for key in self.keys.remove(alert).unwrap_or_default() {
            if let Some(sources) = self.sources.get_mut(&key) {
                sources.remove(alert);
                if sources.is_empty() {
                    self.sources.remove(&key);
                }
            }
        }
    }

    /// Returns the first rule that mutes an alert.
    pub fn mute(&self, alert: &AlertKey, input: &MatchInput<'_>, now: Now) -> Option<Mute> {
        let rules = self.rules.iter().enumerate();
        rules
            .filter_map(|(index, rule)| {
                let until = self.muted_until(index, rule, alert, input, now)?;
                let rule = format!("inhibition:{}", index + 1);
                Some(Mute { rule, until })
            })
            .next()
    }

    /// Returns when a rule stops muting an alert, `Some(None)`: that is not known yet.
    fn muted_until(
        &self,
        index: usize,
        rule: &Inhibition,
        alert: &AlertKey,
        input: &MatchInput<'_>,
        now: Now,
    ) -> Option<Option<Timestamp>> {
        if self.sources.is_empty() || !rule.target.matches(input) {
            return None;
        }
        let sources = self.sources.get(&(index, equal_values(rule, input)))?;
        let is_source = rule.source.matches(input);
        let mutes = |(key, source): &(&AlertKey, &Source)| {
            let is_over = source.until.is_some_and(|until| until <= now.steady);
            *key != alert && !is_over && !(is_source && source.is_target)
        };
        let mut until = sources
            .iter()
            .filter(mutes)
            .map(|(_, source)| source.until)
            .peekable();
        until.peek()?;
        // The last end of all counts. One that fires has none.
        let ends: Option<Vec<_>> = until.collect();
        Some(ends.and_then(|ends| ends.into_iter().max()))
    }
}

fn equal_values(rule: &Inhibition, input: &MatchInput<'_>) -> Vec<String> {
    let value = |name| input.value(name).unwrap_or_default().to_owned();
    rule.equal.iter().map(value).collect()
}
