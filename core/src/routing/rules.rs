//! Applies the file's routes and silences to a notification.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Settings;
use crate::config::file::Route;
use crate::config::matcher::{MatchInput, Name, searched_bytes};
use crate::config::silence::Silence;
use crate::model::extract::{MAX_FIELDS, extract};
use crate::model::notification::Notification;

/// A receiver that the rules select, by its index in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    pub receiver: usize,
    pub matched_by: MatchedBy,
}

/// The reason why the rules select a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// The route at this index in the list of routes.
    Route(usize),
    Default,
}

/// The receivers that the file's rules select for a notification without explicit receivers.
#[derive(Debug)]
pub struct Routed {
    /// The receivers of routes, or else the default receivers, without duplicates.
    pub receivers: Vec<RouteMatch>,
    /// The indexes of the routes that apply, in the order of their evaluation.
    pub routes: Vec<usize>,
    /// The notification with the fields that routes extracted from its text.
    pub notification: Arc<Notification>,
}

impl Routed {
    /// Returns the result for a notification with explicit receivers.
    pub fn unasked(notification: &Arc<Notification>) -> Self {
        Self {
            receivers: Vec::new(),
            routes: Vec::new(),
            notification: Arc::clone(notification),
        }
    }
}

pub fn route(settings: &Settings, notification: &Arc<Notification>) -> Routed {
    let mut known = vec![false; settings.config.receivers.len()];
    let mut is_new = |receiver: usize| {
        let known = known.get_mut(receiver);
        known.is_some_and(|known| !std::mem::replace(known, true))
    };
    let mut receivers = Vec::new();
    let AskedRoutes {
        routes,
        notification,
    } = ask_routes(settings, notification, |_, _, _| {});
    for index in &routes {
        let Some(route) = settings.config.routes.get(*index) else {
            continue;
        };
        let new = route.receivers.iter().filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            matched_by: MatchedBy::Route(*index),
        }));
    }
    if receivers.is_empty() {
        let default = settings.default_receivers.iter();
        let new = default.filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            matched_by: MatchedBy::Default,
        }));
    }
    Routed {
        receivers,
        routes,
        notification,
    }
}

/// The result of evaluating the routes.
#[derive(Debug)]
pub struct AskedRoutes {
    /// The indexes of the routes that apply, in the order of their evaluation.
    pub routes: Vec<usize>,
    /// The notification with the fields that routes extracted from its text.
    pub notification: Arc<Notification>,
}

/// Evaluates the routes in the order of the file. After a match, evaluates the route's children. Evaluates the siblings
/// after it only with `continue`. A matching route applies unless one of its children matches, as in Alertmanager
/// (`Route.Match`, <https://github.com/prometheus/alertmanager/blob/main/dispatch/route.go>). Routes after one that
/// extracts fields can match these fields. Calls `observe` for each evaluated route, with its first condition that does
/// not hold.
pub fn ask_routes<'s>(
    settings: &'s Settings,
    notification: &Arc<Notification>,
    mut observe: impl FnMut(usize, &'s Route, Option<&'s Name>),
) -> AskedRoutes {
    let (config, mut left) = (&settings.config, MAX_FIELDS);
    let searched = searched_bytes(config.regexes);
    let mut notification = Arc::clone(notification);
    let mut walk = Walk::new(&config.routes);
    // Repeat after each route that extracts fields, because the values for all routes have changed.
    loop {
        let seen = Arc::clone(&notification);
        let input = MatchInput::of(&seen).for_regexes(config.regexes);
        loop {
            let Some((index, route)) = walk.next() else {
                return AskedRoutes {
                    routes: walk.applied,
                    notification,
                };
            };
            let mismatch = route.matcher.mismatch(&input);
            observe(index, route, mismatch);
            if mismatch.is_some() {
                walk.skip(route);
                continue;
            }
            walk.enter(index);
            if extract(&route.extract, &mut notification, searched, &mut left) {
                break;
            }
        }
    }
}

/// The walk through the tree of routes.
struct Walk<'s> {
    routes: &'s [Route],
    /// The next index to evaluate.
    next: usize,
    /// The matching routes whose children are under evaluation, and whether a child has matched.
    open: Vec<(usize, bool)>,
    applied: Vec<usize>,
}

impl<'s> Walk<'s> {
    const fn new(routes: &'s [Route]) -> Self {
        Self {
            routes,
            next: 0,
            open: Vec::new(),
            applied: Vec::new(),
        }
    }

    /// Returns the next route to evaluate.
    fn next(&mut self) -> Option<(usize, &'s Route)> {
        let index = self.next;
        self.routes.get(index).map(|route| (index, route))
    }

    /// Skips a route that does not match, with its children.
    fn skip(&mut self, route: &Route) {
        self.next = route.end;
        self.close();
    }

    /// Enters a matching route, whose children come next.
    fn enter(&mut self, index: usize) {
        self.open.push((index, false));
        self.next = index + 1;
        self.close();
    }

    /// Closes the routes whose children are all evaluated.
    fn close(&mut self) {
        while let Some((index, has_match)) = self.open.last().copied()
            && let Some(route) = self.routes.get(index)
            && route.end <= self.next
        {
            self.open.pop();
            if !has_match {
                self.applied.push(index);
            }
            let parent = self.open.last_mut();
            let end = match parent {
                Some((parent, has_match)) => {
                    *has_match = true;
                    self.routes.get(*parent).map(|parent| parent.end)
                }
                None => None,
            };
            if !route.continue_matching {
                self.next = end.unwrap_or(self.routes.len());
            }
        }
    }
}

/// Returns the first silence that mutes a notification.
pub fn silence<'s>(
    settings: &'s Settings,
    notification: &Notification,
    now: Timestamp,
) -> Option<&'s Silence> {
    let silences = &settings.config.silences;
    if silences.is_empty() {
        return None;
    }
    let input = MatchInput::of(notification).for_regexes(settings.config.regexes);
    silences.iter().find(|silence| silence.holds(&input, now))
}

#[cfg(test)]
mod tests;
