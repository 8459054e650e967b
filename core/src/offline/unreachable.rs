//! Finds routes that never apply because an earlier route matches all their notifications.

use std::collections::HashMap;

use crate::config::file::{Config, Route};
use crate::config::report::problem;
use crate::model::problem::{Location, Problem};

/// The routes of one level that end the matching.
#[derive(Default)]
struct Earlier {
    /// The number of routes on this level so far.
    routes: usize,
    /// The routes by their whole matcher and by their only condition: the line, and whether a warning named it.
    matchers: HashMap<String, (usize, bool)>,
    conditions: HashMap<String, (usize, bool)>,
}

/// Returns one warning for each route that makes later routes unreachable. Returns none for a file whose routes extract
/// fields: a later route may match these. The loader already reports a route that matches everything.
pub fn warnings(config: &Config) -> Vec<Problem> {
    if config.routes.iter().any(|route| !route.extract.is_empty()) {
        return Vec::new();
    }
    let mut levels: HashMap<Option<usize>, Earlier> = HashMap::new();
    let mut paths: Vec<String> = Vec::with_capacity(config.routes.len());
    let mut warnings = Vec::new();
    for route in &config.routes {
        let level = levels.entry(route.parent).or_default();
        let parent = route.parent.and_then(|parent| paths.get(parent));
        let parent = parent.map_or(String::new(), |parent| format!("{parent}."));
        let path = format!("{parent}routes[{}]", level.routes);
        level.routes += 1;
        if let Some(line) = level.untold(route) {
            let message = format!(
                "never applies: the route in line {line} matches all that it matches; put it before that route, or give \
                 that route continue = true"
            );
            let location = Location::in_file(route.position, path.as_str());
            warnings.push(problem(location, message));
        }
        paths.push(path);
    }
    warnings
}

impl Earlier {
    /// Returns the line of an earlier route that makes this one unreachable, unless a warning already named it.
    /// Otherwise adds the route.
    fn untold(&mut self, route: &Route) -> Option<usize> {
        let conditions = route.matcher.conditions();
        if conditions.is_empty() {
            return None;
        }
        let texts: Vec<_> = conditions
            .iter()
            .map(|(name, patterns)| format!("{name} = {patterns}"))
            .collect();
        let matcher = texts.join(", ");
        let known = texts
            .iter()
            .find(|text| self.conditions.contains_key(*text));
        let earlier = match known {
            Some(text) => self.conditions.get_mut(text),
            None => self.matchers.get_mut(&matcher),
        };
        if let Some((line, is_told)) = earlier {
            return (!std::mem::replace(is_told, true)).then_some(*line);
        }
        if !route.continue_matching {
            let line = (route.position.line, false);
            if let [text] = &*texts {
                self.conditions.insert(text.clone(), line);
            }
            self.matchers.insert(matcher, line);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::channels::OperatorSettings;
    use crate::config::file;

    const HEAD: &str = "[receivers.a.slack]\nwebhook_url = \"https://a.example\"\n";

    fn told(routes: &str) -> Vec<String> {
        let (text, none) = (format!("{HEAD}{routes}"), BTreeMap::new());
        let loaded = file::load(
            text.as_bytes(),
            Path::new("/"),
            &none,
            OperatorSettings::default(),
            true,
        );
        let config = loaded.config.unwrap_or_else(|report| panic!("{report:?}"));
        let warnings = warnings(&config);
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_unreachable_route_is_reported_with_the_route_that_shadows_it() {
        const ERROR: &str = "[[routes]]\nreceivers = \"a\"\nmatch = { level = \"error\" }\n";
        const ERROR_OF_DB: &str =
            "[[routes]]\nreceivers = \"a\"\nmatch = { fields.host = \"~db\", level = \"error\" }\n";
        const OK: &str = "[[routes]]\nreceivers = \"a\"\nmatch = { level = \"ok\" }\n";
        const CONTINUE: &str = "continue = true\n";
        const EXTRACT: &str = "extract = '~(?<a>.)'\n";
        for (routes, expected) in [
            (vec![ERROR, OK], vec![]),
            (vec![ERROR, OK, ERROR], vec![(9, "routes[2]", 3)]),
            (vec![ERROR, ERROR_OF_DB], vec![(6, "routes[1]", 3)]),
            (vec![ERROR_OF_DB, ERROR], vec![]),
            (vec![ERROR_OF_DB, ERROR_OF_DB], vec![(6, "routes[1]", 3)]),
            (vec![ERROR, CONTINUE, ERROR], vec![]),
            (vec![ERROR, ERROR, CONTINUE], vec![(6, "routes[1]", 3)]),
            // Only the first unreachable route after each earlier route causes a warning.
            (
                vec![OK, ERROR, ERROR, OK, ERROR, OK],
                vec![(9, "routes[2]", 6), (12, "routes[3]", 3)],
            ),
            (vec![ERROR, EXTRACT, ERROR], vec![]),
            (
                vec![ERROR, "[[routes.routes]]\nmatch = { level = \"error\" }\n"],
                vec![],
            ),
            (
                vec![
                    ERROR,
                    "[[routes.routes]]\nmatch = { level = \"!ok\" }\n",
                    "[[routes.routes]]\nmatch = { level = \"!ok\", title = \"x\" }\n",
                ],
                vec![(8, "routes[0].routes[1]", 6)],
            ),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(line, path, before)| {
                    format!(
                        "line {line}, column 1: {path}: never applies: the route in line {before} matches all that it \
                         matches; put it before that route, or give that route continue = true"
                    )
                })
                .collect();
            assert_eq!(told(&routes.concat()), expected, "{routes:?}");
        }
    }
}
