//! What callers and operators write: requests, trigger arguments, configuration files, templates.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use notifier_core::api::alert_list::AlertList;
use notifier_core::api::body::{RequestBody, read_body};
use notifier_core::api::request as reading;
use notifier_core::channels::OperatorSettings;
use notifier_core::config::arguments::ARGUMENTS;
use notifier_core::config::file;
use notifier_core::config::template::{Renderer, SAMPLE, SAMPLE_TIME, TemplateContext};
use notifier_core::config::{Environment, Resolution, SettingsCache, from_file};
use notifier_core::json;
use notifier_core::model::plan::Disposition;
use notifier_core::model::problem::Problem;
use notifier_core::model::read_options::ReadOptions;
use notifier_core::model::wire::Outbound;
use notifier_core::routing;
use notifier_core::secret::Secret;

use super::{are_sound, is_fit_to_show, is_of_few_words};

/// An alert has an identity and a status, or an error with its path.
fn alerts(list: &AlertList) {
    for alert in &list.alerts {
        match alert {
            Ok(request) => {
                assert!(request.notification.dedup_key.is_some() && request.alert.is_some());
                assert!(!request.notification.fields.is_empty());
                assert!(request.notification.status.is_some());
            }
            Err(error) => {
                assert!(error.location.path.is_some());
                is_fit_problem(error);
            }
        }
    }
}

fn is_fit_problem(error: &Problem) {
    is_fit_to_show(&error.message, 400);
    is_fit_to_show(&error.hint, 400);
    is_fit_to_show(error.location.path.as_deref().unwrap_or_default(), 400);
}

/// A body is read and planned, or refused with words that can be shown; what was read means the same when written again.
pub fn request(data: &[u8]) {
    let now = SAMPLE_TIME.parse().unwrap();
    let body = read_body(data, &BTreeMap::new(), &ReadOptions::default(), now);
    let request = match body {
        Ok(RequestBody::Request(request)) => *request,
        Ok(RequestBody::Alerts(list)) => return alerts(&list),
        Err(error) => return is_fit_problem(&error),
    };
    for value in [&request.notification.text]
        .into_iter()
        .chain(request.data.as_deref())
    {
        let written = serde_json::to_string(value).unwrap();
        assert_eq!(json::parse(&written).unwrap().json, *value);
    }
    let settings = SettingsCache::default()
        .resolve(&BTreeMap::new(), &environment(), &BTreeMap::new())
        .settings()
        .unwrap();
    let mut warnings = request.warnings.clone();
    let Ok(plan) = routing::plan(&request, &settings, "task", &mut warnings) else {
        return assert!(request.senders.is_none());
    };
    for warning in warnings.into_lines() {
        is_fit_to_show(&warning, 1_000);
    }
    for delivery in &plan.deliveries {
        match &delivery.disposition {
            Disposition::Ignore | Disposition::Decided { .. } => panic!("nothing decides it"),
            Disposition::Send(sending)
            | Disposition::Preview(sending)
            | Disposition::Suppress { sending, .. } => {
                is_fit_to_show(&sending.channel.destination().label, 400);
                for message in sending.messages.parts.iter().filter_map(Outbound::http) {
                    are_sound(&message.headers);
                    assert!(message.url.username().is_empty() && message.url.password().is_none());
                }
            }
            Disposition::Reject { failure, path } => {
                is_of_few_words(failure);
                is_fit_to_show(path.as_deref().unwrap_or_default(), 400);
            }
        }
    }
}

fn environment() -> Environment {
    Environment {
        twilio_sid: Some(Secret::new("AC0123456789abcdef")),
        twilio_token: Some(Secret::new("t0ken")),
        ..Environment::default()
    }
}

/// A line is an argument: its first byte chooses the name, the rest is the value. Settings or a refusal, never a panic.
pub fn arguments(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut given = BTreeMap::new();
    for line in text.lines() {
        let mut characters = line.chars();
        let Some(first) = characters.next() else {
            continue;
        };
        let argument = ARGUMENTS.get(first as usize % (ARGUMENTS.len() + 1));
        let name = argument.map_or(line, |argument| argument.name);
        given.insert(name.to_owned(), characters.as_str().to_owned());
    }
    // Files have a target of their own.
    given.remove("config_file_path");
    let resolution =
        SettingsCache::default().resolve(&given, &Environment::default(), &BTreeMap::new());
    let Resolution::Settled { settings, .. } = resolution else {
        panic!("it asks for variables, and there is no file");
    };
    match settings {
        Ok(settings) => {
            assert!(settings.response_timeout <= Duration::from_millis(4_500));
            let policy = &settings.policy;
            assert!((1..=100).contains(&policy.max_attempts));
            assert!(policy.delivery_timeout >= Duration::from_secs(1));
            assert!(
                policy
                    .rate_limit
                    .is_none_or(|rate| !rate.interval().is_zero() || rate.messages > 1)
            );
            for warning in &settings.warnings {
                is_fit_to_show(warning, 400);
            }
        }
        Err(error) => {
            is_fit_to_show(&error.message, 400);
            is_fit_to_show(&error.hint, 400);
        }
    }
}

/// A configuration file is taken, or every problem has a place within it and words that can be shown.
pub fn config_file(data: &[u8]) {
    let variables = file::variables(data);
    let named = variables
        .into_iter()
        .map(|name| (name, Some(Secret::new("v4lue"))));
    let named: BTreeMap<_, _> = named.collect();
    let lines = String::from_utf8_lossy(data).lines().count() + 1;
    for look_up in [false, true] {
        // A directory that is not there: no file of this machine is read.
        let directory = std::path::Path::new("/nonexistent");
        let loaded = file::load(
            data,
            directory,
            &named,
            OperatorSettings::default(),
            look_up,
        );
        let problems = match loaded.config {
            Ok(_) => loaded.warnings.warnings,
            Err(report) => {
                assert!(!report.errors.is_empty());
                report.errors
            }
        };
        for problem in &problems {
            assert!(
                (1..=lines).contains(&problem.location.position.unwrap().line),
                "{problem}"
            );
            assert!(problem.location.position.unwrap().column >= 1);
            is_fit_to_show(&problem.to_string(), 2_000);
        }
    }
}

/// A template is refused with its places and words that can be shown, or makes a text of bounded length, or fails in the same
/// way; the same one each time.
pub fn template(data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    let file = format!("[templates.t]\ntext = {}\n", toml_string(&source));
    let lines = file.lines().count();
    let (none, path) = (BTreeMap::new(), std::path::Path::new("/nonexistent/n.toml"));
    let made = from_file(
        file.as_bytes(),
        path,
        &none,
        &Environment::default(),
        &BTreeMap::new(),
        true,
    );
    let [checked] = &made.templates[..] else {
        panic!("{} templates", made.templates.len());
    };
    let report = &checked.report;
    for problem in report.errors.iter().chain(&report.warnings) {
        assert_eq!(problem.location.position.unwrap().line, lines, "{problem}");
        is_fit_to_show(&problem.to_string(), 400);
    }
    assert_eq!(report.errors.is_empty(), made.settings.is_ok());
    let (Ok(settings), Some(template)) = (&made.settings, &checked.template) else {
        return;
    };
    let request =
        reading::read(SAMPLE.as_bytes(), &BTreeMap::new(), &ReadOptions::default()).unwrap();
    let now = SAMPLE_TIME.parse().unwrap();
    let seen = TemplateContext::new(&request.notification, request.data.as_deref(), now);
    let render = || Renderer::new(&settings.config.templates).render(template, &seen);
    let started = Instant::now();
    let rendered = render();
    match &rendered {
        // 64 bytes for each unit of what one rendering may take, and a value of 8 MiB in the notation of a program.
        Ok(text) => assert!(text.len() <= 64 * 200_000 + 32 * 1024 * 1024),
        Err(error) => {
            assert_eq!(error.location.position.unwrap().line, lines, "{error}");
            is_fit_to_show(&error.to_string(), 400);
        }
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    // Dictionaries, times and addresses of objects would show here. Where it ended by its time, it may end elsewhere.
    if rendered.is_ok() {
        let again = render();
        assert!(again == rendered || again.is_err_and(|error| error.message.contains("100 ms")));
    }
}

/// As a basic string, on one line.
fn toml_string(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}
