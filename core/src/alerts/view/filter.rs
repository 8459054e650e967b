//! The parameters of the view: conditions on alerts, and a limit.

use std::collections::{BTreeMap, HashMap};

use crate::alerts::alert::Alert;
use crate::alerts::destinations::Destinations;
use crate::alerts::group::RouteRef;
use crate::alerts::state::ScopeState;
use crate::config::Settings;
use crate::config::matcher::{MatchInput, Matcher, NAMES, Name, Pattern, PatternText, Patterns};
use crate::model::problem::{Location, Problem};
use crate::text::{bounded_regex, did_you_mean, shown};

const DEFAULT_LIMIT: usize = 500;
const MAX_LIMIT: usize = 2_000;

/// Which alerts a view shows, and how many.
#[derive(Debug)]
pub struct ViewFilter {
    matcher: Matcher,
    receiver: Option<String>,
    limit: usize,
}

impl ViewFilter {
    /// Reads the parameters of a query.
    pub fn read(query: &BTreeMap<String, String>, settings: &Settings) -> Result<Self, Problem> {
        let mut conditions = Vec::new();
        let mut receiver = None;
        let mut limit = DEFAULT_LIMIT;
        for (parameter, value) in query.iter().filter(|(name, _)| *name != "view") {
            match parameter.as_str() {
                "receiver" => receiver = Some(value.clone()),
                "limit" => {
                    let parsed = value.parse().ok();
                    let parsed = parsed.filter(|limit| (1..=MAX_LIMIT).contains(limit));
                    let wrong = || invalid(parameter, &format!("must be 1 to {MAX_LIMIT}"));
                    limit = parsed.ok_or_else(wrong)?;
                }
                _ => conditions.push(condition(parameter, value, settings)?),
            }
        }
        Ok(Self {
            matcher: Matcher::new(conditions),
            receiver,
            limit,
        })
    }

    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Copies the alerts that the receiver was or will be notified of; without a receiver, all alerts.
    pub fn alerts_of_receiver(&self, state: &ScopeState, settings: &Settings) -> Vec<Alert> {
        let Some(receiver) = &self.receiver else {
            return state.alerts().cloned().collect();
        };
        let mut routes: HashMap<&RouteRef, bool> = HashMap::new();
        let mut is_reached = |route| {
            let targets = || settings.of_route(route);
            let has = || {
                targets()
                    .iter()
                    .any(|target| target.id.receiver == *receiver)
            };
            *routes.entry(route).or_insert_with(has)
        };
        let mut alerts = Vec::new();
        for alert in state.alerts() {
            let mut groups = alert.groups.iter().filter_map(|key| state.group(key));
            if groups.any(|group| {
                let mut logged = group.log.keys();
                is_reached(&group.route) || logged.any(|id| id.receiver == *receiver)
            }) {
                alerts.push(alert.clone());
            }
        }
        alerts
    }

    /// Whether the conditions on the alert itself hold.
    pub fn matches(&self, alert: &Alert) -> bool {
        let input = MatchInput::of(&alert.notification).with_status(alert.status);
        self.matcher.matches(&input)
    }
}

fn condition(
    parameter: &str,
    value: &str,
    settings: &Settings,
) -> Result<(Name, Patterns), Problem> {
    let name = Name::parse(parameter).map_err(|_| unknown(parameter))?;
    let text = PatternText::parse(value);
    let levels = &settings.config.read_options.levels;
    let pattern = Pattern::of(&name, text, levels, bounded_regex);
    let pattern = pattern.map_err(|message| invalid(parameter, &message))?;
    let mut patterns = Patterns::default();
    patterns.push(pattern, text.is_negated);
    Ok((name, patterns))
}

fn unknown(parameter: &str) -> Problem {
    let names = NAMES.iter().map(|(word, _)| *word);
    let known = names.chain(["receiver", "limit"]);
    let meant = did_you_mean(parameter, known);
    invalid(parameter, &format!("unknown parameter{meant}"))
}

fn invalid(parameter: &str, message: &str) -> Problem {
    Problem {
        code: "invalid_filter",
        message: format!("{}: {message}.", shown(parameter)),
        location: Location::path(shown(parameter)),
        hint: "The view has the parameters receiver, limit, level, status, title, text, table, check and fields.NAME, with \
               the values of a matcher, such as ~^db or !info."
            .to_owned(),
    }
}
