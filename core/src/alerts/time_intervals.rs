//! Time intervals mute a route.

use super::alert::Now;
use super::group::RouteRef;
use super::mute::Mute;
use crate::config::Settings;
use crate::config::time_interval::TimeInterval;

/// The time intervals of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteIntervals<'a> {
    /// The route is muted during any of these.
    pub mute: Vec<&'a TimeInterval>,
    /// Not empty: the route is muted except during one of these.
    pub active: Vec<&'a TimeInterval>,
}

/// Finds the time intervals of a route in the configuration file as it is now.
pub trait FindIntervals {
    fn intervals_of(&self, route: &RouteRef) -> RouteIntervals<'_>;
}

impl FindIntervals for Settings {
    fn intervals_of(&self, route: &RouteRef) -> RouteIntervals<'_> {
        let config = &self.config;
        let RouteRef::Route(key) = route else {
            return RouteIntervals::default();
        };
        let by_index = |indexes: &[usize]| {
            let intervals = indexes.iter();
            let intervals = intervals.filter_map(|index| config.time_intervals.get(*index));
            intervals.collect()
        };
        let index = config.routes_by_key.get(key.as_str());
        let route = index.and_then(|index| config.routes.get(*index));
        route.map_or_else(RouteIntervals::default, |route| RouteIntervals {
            mute: by_index(&route.mute_intervals),
            active: by_index(&route.active_intervals),
        })
    }
}

/// Returns the interval that mutes a route now.
pub fn mute(intervals: &RouteIntervals<'_>, now: Now) -> Option<Mute> {
    let holds = |interval: &&&TimeInterval| interval.contains(now.wall);
    let muting = intervals.mute.iter().find(holds);
    let is_active = || intervals.active.iter().any(|interval| holds(&interval));
    let inactive = || intervals.active.first().filter(|_| !is_active());
    let interval = muting.or_else(inactive)?;
    Some(Mute {
        rule: format!("time_interval:{}", interval.name),
        // Its end is computed by the judgement with each minute.
        until: None,
    })
}
