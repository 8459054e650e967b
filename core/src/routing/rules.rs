//! Whom the file's rules choose, and what they keep back.

use std::sync::Arc;

use jiff::Timestamp;

use crate::config::Settings;
use crate::config::file::Route;
use crate::config::matcher::{MatchInput, Name, searched_bytes};
use crate::config::silence::Silence;
use crate::model::extract::{MAX_FIELDS, extract};
use crate::model::notification::Notification;

/// A receiver that the rules choose, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    pub receiver: usize,
    pub why: MatchedBy,
}

/// Why a receiver is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchedBy {
    /// By the route at this place in the list of routes.
    Route(usize),
    Default,
}

/// Whom the file's rules choose for a notification that names nobody.
#[derive(Debug)]
pub struct Routed {
    /// Each once: those of routes, else the default receivers.
    pub receivers: Vec<RouteMatch>,
    /// Places of the routes that apply, in the order in which they do.
    pub routes: Vec<usize>,
    /// With the fields that routes made of its text.
    pub notification: Arc<Notification>,
}

impl Routed {
    /// A notification that names somebody.
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
    for place in &routes {
        let Some(route) = settings.config.routes.get(*place) else {
            continue;
        };
        let new = route.receivers.iter().filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            why: MatchedBy::Route(*place),
        }));
    }
    if receivers.is_empty() {
        let default = settings.default_receivers.iter();
        let new = default.filter(|receiver| is_new(**receiver));
        receivers.extend(new.map(|receiver| RouteMatch {
            receiver: *receiver,
            why: MatchedBy::Default,
        }));
    }
    Routed {
        receivers,
        routes,
        notification,
    }
}

/// What came of asking the routes.
#[derive(Debug)]
pub struct AskedRoutes {
    /// Places of the routes that apply, in the order in which they do.
    pub routes: Vec<usize>,
    /// With the fields that routes made of its text.
    pub notification: Arc<Notification>,
}

/// Asks the routes in the order of the file. The children of a route that matches are asked next, and of siblings those after it
/// only where it says `continue`. A route that matches applies unless one of its children does, as in Alertmanager
/// (`Route.Match`, <https://github.com/prometheus/alertmanager/blob/main/dispatch/route.go>). Routes behind one that makes fields
/// see them. `told` hears of each route that is asked, and of its first condition that does not hold.
pub fn ask_routes<'s>(
    settings: &'s Settings,
    notification: &Arc<Notification>,
    mut told: impl FnMut(usize, &'s Route, Option<&'s Name>),
) -> AskedRoutes {
    let (config, mut left) = (&settings.config, MAX_FIELDS);
    let searched = searched_bytes(config.regexes);
    let mut notification = Arc::clone(notification);
    let mut walk = Walk::new(&config.routes);
    // Again for each route that has made fields: what is looked up for all routes has changed.
    loop {
        let seen = Arc::clone(&notification);
        let input = MatchInput::of(&seen).for_regexes(config.regexes);
        loop {
            let Some((place, route)) = walk.next() else {
                return AskedRoutes {
                    routes: walk.applied,
                    notification,
                };
            };
            let mismatch = route.matcher.mismatch(&input);
            told(place, route, mismatch);
            if mismatch.is_some() {
                walk.skip(route);
                continue;
            }
            walk.enter(place);
            if extract(&route.extract, &mut notification, searched, &mut left) {
                break;
            }
        }
    }
}

/// The way through the tree of routes.
struct Walk<'s> {
    routes: &'s [Route],
    /// The next place to look at.
    next: usize,
    /// Routes that match and whose children are being asked; whether a child has matched.
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

    /// The next route to ask.
    fn next(&mut self) -> Option<(usize, &'s Route)> {
        let place = self.next;
        self.routes.get(place).map(|route| (place, route))
    }

    /// The route does not match, so nor do its children.
    fn skip(&mut self, route: &Route) {
        self.next = route.end;
        self.close();
    }

    /// The route matches; its children come next.
    fn enter(&mut self, place: usize) {
        self.open.push((place, false));
        self.next = place + 1;
        self.close();
    }

    /// Closes the routes whose children have all been asked.
    fn close(&mut self) {
        while let Some((place, has_match)) = self.open.last().copied()
            && let Some(route) = self.routes.get(place)
            && route.end <= self.next
        {
            self.open.pop();
            if !has_match {
                self.applied.push(place);
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

/// The first silence that suppresses a notification.
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
