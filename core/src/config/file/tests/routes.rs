use std::fmt::Write as _;

use super::*;
use crate::model::notification::AlertStatus;

const RECEIVERS: &str = "[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n\
                         [receivers.b]\nslack = { webhook_url = \"https://b.example\" }\n";

/// Returns the routes of a file with the receivers a and b.
fn routes(text: &str) -> Vec<Route> {
    let loaded = read(&format!("{RECEIVERS}{text}"));
    loaded
        .config
        .unwrap_or_else(|report| panic!("{:?}", report.errors))
        .routes
}

/// Returns the problems of the routes of a file with these receivers.
fn problems(text: &str) -> Vec<String> {
    let loaded = read(&format!("{RECEIVERS}{text}"));
    let errors = loaded.config.map(drop).err().unwrap_or_default().errors;
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_matcher_may_name_fields_in_every_way() {
    for (condition, value, expected) in [
        ("fields = { host = \"db1\" }", "db1", true),
        ("fields.host = \"db1\"", "db1", true),
        ("\"fields.host\" = \"db1\"", "db1", true),
        ("\"fields.host\" = \"!db1\"", "db1", false),
        (
            "\"fields.host\" = \"~^db\", fields.host = \"!db1\"",
            "db1",
            false,
        ),
        (
            "\"fields.host\" = \"~^db\", fields.host = \"!db1\"",
            "db2",
            true,
        ),
        ("fields.host = [\"~^db\", \"!db1\"]", "db1", false),
        ("fields.host = [\"!db1\", \"!db2\"]", "db2", false),
        ("fields.host = [\"!db1\", \"!db2\"]", "db3", true),
        ("fields.rack = \"!r7\"", "db1", true),
        ("level = \"!error\", status = \"!resolved\"", "db1", true),
        ("level = [\"!warning\", \"!error\"]", "db1", false),
        ("status = \"!firing\"", "db1", false),
        ("status = \"=firing\"", "db1", true),
        ("title = \"~isk\"", "db1", true),
        ("title = \"!~isk\"", "db1", false),
        ("text = \"!text\"", "db1", false),
        ("table = \"cpu\"", "db1", true),
        ("table = \"!cpu\"", "db1", false),
        ("check = \"!cpu\"", "db1", true),
        ("check = \"~\"", "db1", false),
    ] {
        let text = format!("[[routes]]\nmatch = {{ {condition} }}\nreceivers = \"a\"\n");
        let notification = Notification {
            title: Some("Disk".to_owned()),
            level: Some(Level::Warning),
            status: Some(AlertStatus::Firing),
            fields: vec![("host".to_owned(), Json::String(value.to_owned()))],
            table: Some("cpu".into()),
            ..Notification::plain(Json::String("text".to_owned()))
        };
        let [route] = &*routes(&text) else { panic!() };
        let matches = route.matcher.matches(&MatchInput::of(&notification));
        assert_eq!(matches, expected, "{condition} {value}");
    }
}

const TREE: &str = r#"
[settings]
resolve_timeout = "1h"

[[routes]]
name = "databases"
match = { fields = { host = "~^db" } }
receivers = ["a", "b"]
group_by = ["fields.region"]
group_wait = "10s"

[[routes.routes]]
match = { level = "critical" }
receivers = "b"
group_interval = "1min"
resolve_timeout = "10min"
continue = true

[[routes.routes.routes]]

[[routes.routes]]
match = { level = "critical" }

[[routes]]
receivers = "a"
"#;

#[test]
fn a_child_inherits_receivers_and_the_keys_of_groups() {
    let routes = routes(TREE);
    let seconds = |route: &Route| {
        let group = &route.group;
        let resolve_timeout = group.resolve_timeout.unwrap().as_secs();
        let (wait, interval) = (group.group_wait.as_secs(), group.group_interval.as_secs());
        (wait, interval, resolve_timeout)
    };
    let seen: Vec<_> = routes
        .iter()
        .map(|route| {
            (
                route.parent,
                route.end,
                route.receivers.clone(),
                seconds(route),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (None, 4, vec![0, 1], (10, 300, 3_600)),
            (Some(0), 3, vec![1], (10, 60, 600)),
            (Some(1), 3, vec![1], (10, 60, 600)),
            (Some(0), 4, vec![0, 1], (10, 300, 3_600)),
            (None, 5, vec![0], (0, 0, 3_600)),
        ]
    );
    let region = routes.first().unwrap().group.group_by.clone();
    assert_eq!(region.as_deref().unwrap().len(), 1);
    assert!(
        routes
            .iter()
            .take(4)
            .all(|route| route.group.group_by == region)
    );
    assert_eq!(routes.last().unwrap().group.group_by, None);
    // Routes do not inherit these settings.
    let continues: Vec<_> = routes.iter().map(|route| route.continue_matching).collect();
    assert_eq!(continues, [false, true, false, false, false]);
}

#[test]
fn the_key_of_a_routes_groups_is_its_name_or_the_matchers_of_its_path() {
    let keys = |text: &str| {
        let routes = routes(text).into_iter();
        routes
            .map(|route| route.group_key.to_string())
            .collect::<Vec<_>>()
    };
    let expected = [
        "databases",
        r#"databases{level = "critical"}"#,
        r#"databases{level = "critical"}{}"#,
        r#"databases{level = "critical"}#2"#,
        "{}",
    ];
    assert_eq!(keys(TREE), expected);
    // A new route before the others changes no key.
    let before = "[[routes]]\nmatch = { level = \"ok\" }\nreceivers = \"a\"\n";
    let edited = TREE.replacen("[[routes]]", &format!("{before}[[routes]]"), 1);
    assert_eq!(keys(&edited)[1..], expected);
    // The notation of a matcher does not change the key.
    let one =
        keys("[[routes]]\nmatch = { fields.a = \"1\", level = \"crit\" }\nreceivers = \"a\"\n");
    let other = keys(
        "[[routes]]\nmatch = { level = \"=critical\", fields = { a = 1 } }\nreceivers = \"a\"\n",
    );
    assert_eq!(one, other);
    // A long key is shortened. A name that equals a generated key does not collide with it.
    let long = format!(
        "[[routes]]\nmatch = {{ text = \"{}\" }}\nreceivers = \"a\"\n",
        "x".repeat(10_000)
    );
    assert!(keys(&long).iter().all(|key| key.len() < 100));
    let named = "[[routes]]\nreceivers = \"a\"\ncontinue = true\n[[routes]]\nreceivers = \"a\"\nname = \"{}\"\n";
    assert_eq!(keys(named), ["{}#2", "{}"]);
}

#[test]
fn unsupported_keys_of_a_route_are_errors() {
    for (text, expected) in [
        (
            "[[routes]]\nreceivers = \"a\"\nrepeat_interval = \"4h\"",
            "line 7, column 1: routes[0].repeat_interval: a route repeats nothing; set remind_every for reminders \
             of what still fires",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\nfoo = \"4h\"",
            "line 7, column 1: routes[0].foo: unknown key; there are name, match, receivers, continue, extract, \
             routes, group_by, group_wait, group_interval, resolve_timeout, remind_every, mute_time_intervals, active_time_intervals",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\ngroup_wait = \"8d\"",
            "line 7, column 14: routes[0].group_wait: must be a duration from 0s to 7d (us ms s min m h d w)",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\ngroup_interval = \"0s\"",
            "line 7, column 18: routes[0].group_interval: must be a duration from 1s to 7d (us ms s min m h d w)",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\nresolve_timeout = 5",
            "line 7, column 19: routes[0].resolve_timeout: must be a duration from 1s to 7d (us ms s min m h d w)",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\ngroup_by = [\"host\"]",
            "line 7, column 13: routes[0].group_by: unknown name; there are level, status, title, text, table, check and \
             fields.NAME; did you mean fields.host?",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\nname = \"x\"\n[[routes.routes]]\nname = \"x\"",
            "line 9, column 8: routes[0].routes[0].name: the route in line 7 has the same name",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\nname = \" \"",
            "line 7, column 8: routes[0].name: the name is blank",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\n[[routes.routes]]\nreceivers = []",
            "line 7, column 1: routes[0].routes[0]: names no receiver; give receivers = [\"NAME\"]",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\n[routes.routes]\nreceivers = \"b\"",
            "line 7, column 1: routes[0].routes: must be written [[routes.routes]], found a table",
        ),
        (
            "[[routes]]\nreceivers = \"a\"\n[[routes.routes]]\nmatch = { levl = \"ok\" }",
            "line 8, column 11: routes[0].routes[0].match.levl: unknown key; did you mean level?",
        ),
    ] {
        assert_eq!(problems(text), [expected], "{text}");
    }
}

#[test]
fn a_tree_has_a_depth_that_people_can_follow() {
    let tree = |depth: usize| {
        let mut text = String::new();
        for level in 1..=depth {
            let path = vec!["routes"; level].join(".");
            let _ = writeln!(text, "[[{path}]]");
            if level == 1 {
                text.push_str("receivers = \"a\"\n");
            }
        }
        text
    };
    assert_eq!(routes(&tree(16)).len(), 16);
    let [problem] = &*problems(&tree(17)) else {
        panic!()
    };
    assert!(
        problem.ends_with("routes stand in each other more than 16 deep"),
        "{problem}"
    );
    // Deeper than any stack allows.
    assert!(!problems(&tree(1_000)).is_empty());
}

#[test]
fn a_child_that_is_never_asked_is_warned_of() {
    let text = "[[routes]]\nreceivers = \"a\"\n[[routes.routes]]\n[[routes.routes]]\nmatch = { level = \"ok\" }\n";
    let loaded = read(&format!("{RECEIVERS}{text}"));
    let warnings = loaded.warnings.warnings.iter().map(ToString::to_string);
    assert_eq!(
        warnings.collect::<Vec<_>>(),
        [
            "line 8, column 1: routes[0].routes[1]: is never asked: the route in line 7 matches everything; give it \
             continue = true, or put it last"
        ]
    );
}

#[test]
fn ten_thousand_equal_routes_have_keys_of_their_own() {
    let route = "[[routes]]\nreceivers = \"a\"\ncontinue = true\n";
    let routes = routes(&route.repeat(10_000));
    let keys: std::collections::HashSet<_> = routes.iter().map(|route| &route.group_key).collect();
    assert_eq!(keys.len(), 10_000);
}
