use super::*;
use crate::config::matcher::Name;

const RECEIVERS: &str = "[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n";

fn config(text: &str) -> Config {
    let loaded = read(text);
    loaded
        .config
        .unwrap_or_else(|report| panic!("{:?}", report.errors))
}

#[test]
fn state_is_on_for_a_file_with_any_of_its_keys() {
    let on_by = |settings: &str, route: &str| {
        let text = format!(
            "[settings]\nmax_attempts = 3\n{settings}\n{RECEIVERS}[[routes]]\nreceivers = \"a\"\n{route}\n"
        );
        let key = config(&text).alerts.enabled_by;
        key.map(|key| (key.path, key.position.line))
    };
    let by = |path: &str, line| Some((path.to_owned(), line));
    for (settings, route, expected) in [
        ("", "", None),
        ("", "name = \"x\"", None),
        ("", "[[routes.routes]]", None),
        ("state = \"memory\"", "", None),
        ("alert_key = [\"title\"]\nmax_alerts = 10", "", None),
        (
            "resolve_timeout = \"10min\"",
            "",
            by("settings.resolve_timeout", 3),
        ),
        ("", "group_by = []", by("routes[0].group_by", 8)),
        ("", "group_wait = \"0s\"", by("routes[0].group_wait", 8)),
        (
            "",
            "group_interval = \"5min\"",
            by("routes[0].group_interval", 8),
        ),
        (
            "",
            "resolve_timeout = \"7d\"",
            by("routes[0].resolve_timeout", 8),
        ),
        (
            "",
            "[[routes.routes]]\ngroup_by = [\"title\"]",
            by("routes[0].routes[0].group_by", 9),
        ),
        (
            "resolve_timeout = \"10min\"",
            "group_by = []",
            by("settings.resolve_timeout", 3),
        ),
    ] {
        assert_eq!(on_by(settings, route), expected, "{settings} {route}");
    }
    // The first key in the file, independent of the position of [settings].
    let text = format!(
        "[[routes]]\nreceivers = \"a\"\ngroup_by = []\n{RECEIVERS}[settings]\nresolve_timeout = \"1min\"\n"
    );
    let key = config(&text).alerts.enabled_by.unwrap();
    assert_eq!(
        (key.path.as_str(), key.position.line),
        ("routes[0].group_by", 3)
    );
}

#[test]
fn the_settings_of_alert_state_are_read() {
    let text = format!(
        "[settings]\nalert_key = [\"title\", \"fields.host\", \"title\"]\nstate = \"memory\"\nmax_alerts = 500\n\
         resolve_timeout = \"10min\"\n{RECEIVERS}send_resolved = false\n[receivers.b.slack]\n\
         webhook_url = \"https://b.example\"\n"
    );
    let config = config(&text);
    let alerts = &config.alerts;
    assert_eq!(
        alerts.alert_key,
        [Name::Title, Name::Field("host".to_owned())]
    );
    assert!(alerts.is_in_memory && alerts.is_state_on());
    assert_eq!(alerts.max_alerts, 500);
    assert_eq!(alerts.without_route.resolve_timeout.unwrap().as_secs(), 600);
    let sent: Vec<_> = config
        .receivers
        .iter()
        .map(|receiver| receiver.send_resolved)
        .collect();
    assert_eq!(sent, [false, true]);
    assert!(
        config
            .receivers
            .iter()
            .all(|receiver| receiver.destinations.len() == 1)
    );
}

#[test]
fn a_group_has_alertmanagers_times_where_it_has_more_than_one_alert() {
    let times = |keys: &str| {
        let text = format!("{RECEIVERS}[[routes]]\nreceivers = \"a\"\n{keys}\n");
        let config = config(&text);
        let group = config.routes.first().unwrap().group.clone();
        let (wait, interval) = (
            group.group_wait.as_millis(),
            group.group_interval.as_millis(),
        );
        (group.group_by.map(|names| names.len()), wait, interval)
    };
    for (keys, expected) in [
        ("", (None, 0, 0)),
        ("resolve_timeout = \"1h\"", (None, 0, 0)),
        ("group_by = []", (Some(0), 30_000, 300_000)),
        (
            "group_by = [\"level\"]\ngroup_wait = \"0s\"",
            (Some(1), 0, 300_000),
        ),
        (
            "group_by = \"fields.a\"\ngroup_interval = \"1s\"",
            (Some(1), 30_000, 1_000),
        ),
        ("group_wait = \"5s\"", (None, 5_000, 0)),
        ("group_wait = \"1ms\"", (None, 1, 0)),
    ] {
        assert_eq!(times(keys), expected, "{keys}");
    }
}

#[test]
fn keys_without_effect_are_warned_of() {
    let warnings = |text: &str| {
        let warnings = read(text).warnings.warnings;
        let warnings = warnings.iter().map(|warning| {
            assert!(
                warning
                    .message
                    .starts_with("has no effect: no key turns alert state on")
            );
            warning
                .location
                .path
                .as_deref()
                .unwrap_or_default()
                .to_owned()
        });
        warnings.collect::<Vec<_>>()
    };
    let keys = "[settings]\nalert_key = \"title\"\nstate = \"memory\"\nmax_alerts = 1\n";
    let text = format!("{keys}{RECEIVERS}send_resolved = true\n");
    let all = [
        "settings.alert_key",
        "settings.state",
        "settings.max_alerts",
        "receivers.a.send_resolved",
    ];
    assert_eq!(warnings(&text), all);
    assert!(
        warnings(&text.replace("[settings]", "[settings]\nresolve_timeout = \"1h\"")).is_empty()
    );
}

#[test]
fn impossible_alert_settings_are_errors() {
    for (settings, expected) in [
        (
            "alert_key = []",
            "line 2, column 13: settings.alert_key: the list is empty",
        ),
        (
            "alert_key = [\"titel\"]",
            "line 2, column 14: settings.alert_key: unknown name; did you mean title?",
        ),
        (
            "alert_key = [\"title\", \"status\"]",
            "line 2, column 23: settings.alert_key: status changes when an alert resolves",
        ),
        (
            "alert_key = 5",
            "line 2, column 13: settings.alert_key: must be a list of names such as \"fields.host\"",
        ),
        (
            "state = \"outbox\"",
            "line 2, column 9: settings.state: must be \"memory\"",
        ),
        (
            "max_alerts = 0",
            "line 2, column 14: settings.max_alerts: must be a whole number from 1 to 1000000",
        ),
        (
            "max_alerts = \"5\"",
            "line 2, column 14: settings.max_alerts: must be a whole number from 1 to 1000000",
        ),
        (
            "resolve_timeout = \"0.9s\"",
            "line 2, column 19: settings.resolve_timeout: must be a duration from 1s to 7d",
        ),
        (
            "resolve_timeout = \"\"",
            "line 2, column 19: settings.resolve_timeout: must be a duration from 1s to 7d",
        ),
    ] {
        let errors = read(&format!("[settings]\n{settings}\n"))
            .config
            .map(drop)
            .unwrap_err()
            .errors;
        let [error] = &*errors else {
            panic!("{settings}: {errors:?}")
        };
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let text = format!("{RECEIVERS}send_resolved = \"no\"\n");
    let errors = read(&text).config.map(drop).unwrap_err().errors;
    assert!(
        errors[0]
            .to_string()
            .contains("receivers.a.send_resolved: must be true or false, found a string")
    );
    let errors = read("[receivers.a]\nsend_resolved = true\n")
        .config
        .map(drop)
        .unwrap_err()
        .errors;
    assert!(
        errors[0].to_string().contains("it has no channel"),
        "{errors:?}"
    );
}

#[test]
fn a_dedup_key_of_changing_values_gives_a_warning() {
    for (names, expected) in [
        ("[\"title\", \"fields.level\"]", vec![]),
        ("\"level\"", vec!["level"]),
        ("[\"text\", \"level\"]", vec!["level", "text"]),
    ] {
        let text =
            format!("[settings]\nresolve_timeout = \"1h\"\nalert_key = {names}\n{RECEIVERS}");
        let warnings = read(&text).warnings.warnings;
        let expected = expected
            .iter()
            .map(|name| format!("an event with another {name} is another alert"));
        assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
        for (warning, expected) in warnings.iter().zip(expected) {
            assert!(warning.message.starts_with(&expected), "{warning}");
        }
    }
}

#[test]
fn grouping_by_every_label_equals_no_group_by() {
    for (name, expected) in [("...", "leave it out"), ("status", "status changes when")] {
        let text = format!("{RECEIVERS}[[routes]]\nreceivers = \"a\"\ngroup_by = [\"{name}\"]\n");
        let errors = read(&text).config.map(drop).unwrap_err().errors;
        assert!(errors[0].message.contains(expected), "{errors:?}");
    }
}
