use super::*;
use crate::config::matcher::Name;

const ROUTES: &str = "[receivers.a]\nslack = { webhook_url = \"https://a.example\" }\n[[routes]]\nreceivers = \"a\"\n";

fn errors(text: &str) -> Vec<String> {
    let report = read(text).config.expect_err(text);
    report.errors.iter().map(ToString::to_string).collect()
}

#[test]
fn time_intervals_and_their_routes_are_read() {
    let text = format!(
        "{ROUTES}mute_time_intervals = [\"off\", \"off\"]\nactive_time_intervals = \"office\"\n[[routes.routes]]\n\
         [[time_intervals.office]]\ntime_zone = \"Europe/Berlin\"\nweekly = \"Mon-Fri 09:00-17:00\"\n\
         [[time_intervals.off]]\ntime_zone = \"UTC\"\ndates = [\"2026-12-24..2026-12-26\", 2027-01-01]\n\
         [[time_intervals.off]]\nmonths = [7, \"nov..jan\"]\ndays_of_month = [1, -1]\nyears = 2026\n"
    );
    let loaded = read(&text);
    let config = loaded.config.unwrap();
    let names: Vec<_> = config
        .time_intervals
        .iter()
        .map(|interval| (interval.name.as_str(), interval.entries.len()))
        .collect();
    assert_eq!(names, [("office", 1), ("off", 2)]);
    let of = |route: usize| {
        let route = &config.routes[route];
        (route.mute_intervals.clone(), route.active_intervals.clone())
    };
    assert_eq!(of(0), (vec![1], vec![0]));
    // As in Alertmanager, a child inherits none.
    assert_eq!(of(1), (vec![], vec![]));
    let off = &config.time_intervals[1];
    for (time, expected) in [
        ("2026-12-25T12:00:00Z", true),
        ("2027-01-01T00:00:00Z", true),
        ("2026-07-31T23:59:59Z", true),
        ("2026-12-27T00:00:00Z", false),
        ("2026-12-01T00:00:00Z", true),
    ] {
        assert_eq!(off.contains(time.parse().unwrap()), expected, "{time}");
    }
    let key = config.alerts.enabled_by.unwrap();
    assert!(key.path.starts_with("time_intervals."), "{}", key.path);
}

#[test]
fn inhibitions_are_read() {
    let text = format!(
        "{ROUTES}[[inhibitions]]\nsource = {{ fields.check = \"host_down\" }}\n\
         target = {{ level = [\"warning\", \"error\"] }}\nequal = [\"fields.host\"]\n"
    );
    let loaded = read(&text);
    assert!(
        loaded.warnings.warnings.is_empty(),
        "{:?}",
        loaded.warnings.warnings
    );
    let config = loaded.config.unwrap();
    let [rule] = &*config.inhibitions else {
        panic!("{:?}", config.inhibitions);
    };
    assert_eq!(rule.equal, [Name::Field("host".to_owned())]);
    assert_eq!(rule.position.line, 5);
    assert_eq!(config.alerts.enabled_by.unwrap().path, "inhibitions");
}

#[test]
fn what_mutes_nothing_or_everything_is_an_error_or_a_warning() {
    let interval = |keys: &str| format!("{ROUTES}[[time_intervals.x]]\n{keys}\n");
    let rule = |keys: &str| format!("{ROUTES}[[inhibitions]]\n{keys}\n");
    for (text, place, words) in [
        (
            interval("weekly = \"Sat 00:00-24:00\""),
            "line 5, column 1: time_intervals.x[0]",
            "needs a time_zone",
        ),
        (
            interval("time_zone = \"UTC\""),
            "line 5, column 1: time_intervals.x[0]",
            "has no condition",
        ),
        (
            interval("time_zone = \"Europe/Berlim\"\nyears = 2026"),
            "line 6, column 13: time_intervals.x[0].time_zone",
            "did you mean Europe/Berlin?",
        ),
        (
            interval("time_zone = \"UTC\"\nmonths = [\"smarch\"]"),
            "line 7, column 11: time_intervals.x[0].months",
            "must be months such as",
        ),
        (
            interval("time_zone = \"UTC\"\ndays_of_month = [0]"),
            "line 7, column 18: time_intervals.x[0].days_of_month",
            "must be days of the month",
        ),
        (
            interval("time_zone = \"UTC\"\nyears = []"),
            "line 7, column 9: time_intervals.x[0].years",
            "the list is empty",
        ),
        (
            interval("time_zone = \"UTC\"\ndates = \"2026-12-26..2026-12-24\""),
            "line 7, column 9: time_intervals.x[0].dates",
            "must be dates such as",
        ),
        (
            interval("time_zone = \"UTC\"\nweekday = \"monday\""),
            "line 7, column 1: time_intervals.x[0].weekday",
            "unknown key",
        ),
        (
            format!("{ROUTES}[time_intervals.x]\ntime_zone = \"UTC\"\n"),
            "time_intervals.x",
            "must be written [[time_intervals.x]]",
        ),
        (
            format!(
                "{ROUTES}mute_time_intervals = [\"wekend\"]\n[[time_intervals.weekend]]\ntime_zone = \"UTC\"\nyears = 2026\n"
            ),
            "line 5, column 24: routes[0].mute_time_intervals",
            "there is no such time interval; did you mean weekend?",
        ),
        (
            rule("source = { level = \"error\" }"),
            "line 5, column 1: inhibitions[0]",
            "needs target",
        ),
        (
            rule("source = { level = \"error\" }\ntarget = {}\nequal = [\"host\"]"),
            "line 8, column 10: inhibitions[0].equal",
            "did you mean fields.host?",
        ),
        (
            rule("source = { level = \"error\" }\ntarget = {}\nsources = {}"),
            "line 8, column 1: inhibitions[0].sources",
            "did you mean source?",
        ),
    ] {
        let errors = errors(&text);
        let [error] = errors.as_slice() else {
            panic!("{text}: {errors:?}");
        };
        assert!(error.contains(place) && error.contains(words), "{error}");
    }
    for (text, words) in [
        (
            rule("source = { level = \"error\" }\ntarget = { level = \"error\" }"),
            "mutes nothing",
        ),
        (
            rule("source = { status = \"firing\" }\ntarget = {}"),
            "status has no effect",
        ),
        (
            format!(
                "{ROUTES}[[inhibitions]]\nsource = {{ title = \"a\" }}\ntarget = {{ title = \"b\" }}\n\
                 [[inhibitions]]\nsource = {{ title = \"b\" }}\ntarget = {{ title = \"a\" }}\n"
            ),
            "the inhibitions in lines 5, 8 may mute each other's sources",
        ),
    ] {
        let warnings = read(&text).warnings.warnings;
        let [warning] = warnings.as_slice() else {
            panic!("{text}: {warnings:?}");
        };
        assert!(warning.to_string().contains(words), "{warning}");
    }
}
