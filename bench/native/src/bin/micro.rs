//! The core's steps without Python, network and other threads.
//!
//! `micro time STEP` prints how many nanoseconds the step takes, the median of several batches. `micro count STEP TIMES`
//! only runs it so often, for a profiler to count instructions.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use notifier_core::api::request::{self, Request};
use notifier_core::config::template::{Renderer, TemplateContext};
use notifier_core::config::{Environment, Settings, SettingsCache, from_file};
use notifier_core::model::channel::ComposeContext;
use notifier_core::model::plan::{Disposition, Plan, PlannedSend};
use notifier_core::model::policy::PrivateAddresses;
use notifier_core::model::read_options::ReadOptions;
use notifier_core::model::wire::{HttpReply, Outbound, Reply};
use notifier_core::plugin::{Body, Call, CallLog, Notifier};
use notifier_core::routing;
use notifier_core::store::Backends;
use notifier_core::transport::check_host;
use notifier_core::warnings::Warnings;

/// A request for several channels.
const THREE_CHANNELS: &str = r#"{
    "notification_text": "Performance warning: memory usage above threshold",
    "senders_config": {
        "slack": {"slack_webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"},
        "discord": {"discord_webhook_url": "https://discord.com/api/webhooks/123456789012345678/XXXXXXXX"},
        "whatsapp": {"twilio_sid": "AC00000000000000000000000000000000", "twilio_token": "00000000000000000000000000000000",
                     "twilio_from_number": "+14155238886", "twilio_to_number": "+15558675310"}
    }
}"#;
const DISCORD: &str = r#"{
    "notification_text": "x",
    "senders_config": {
        "discord": {"discord_webhook_url": "https://discord.com/api/webhooks/123456789012345678/XXXXXXXX"}
    }
}"#;
const TASK_ID: &str = "7b0c2f0e-5a54-4b0c-9d0b-3f2a5e6f7a10";

/// Runs the step so often and says how long that took.
type Step = Box<dyn FnMut(usize) -> Duration>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["time", name] => step(name).map(|step| println!("{}", time(step))),
        ["count", name, times] => step(name).zip(times.parse().ok()).map(|(mut step, times)| {
            step(times);
        }),
        _ => None,
    };
    if done.is_none() {
        eprintln!(
            "usage: micro time STEP | micro count STEP TIMES\nsteps: plan, answer, cut, guard, load, route, template, \
             duplicates, rejects, recipients, titles, texts"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn step(name: &str) -> Option<Step> {
    match name {
        "plan" => plan(),
        "answer" => answer(),
        "cut" => cut(),
        "guard" => guard(),
        "load" => load(),
        "route" => route(),
        "template" => template(),
        "duplicates" => bodies(duplicates()),
        "rejects" => bodies(rejects()),
        "recipients" => bodies(recipients()),
        "titles" => bodies(discords("title")),
        "texts" => bodies(discords("notification_text")),
        _ => None,
    }
}

/// Parse, route, compose.
fn plan() -> Option<Step> {
    let planner = Planner::new()?;
    Some(repeated(move || {
        black_box(planner.plan(black_box(THREE_CHANNELS)));
    }))
}

/// All that a call does but sending: read, plan, take charge, answer as JSON, with the log lines. `dry_run` sends nothing,
/// and shows each message besides.
fn answer() -> Option<Step> {
    bodies(THREE_CHANNELS.to_owned())
}

/// A key that stands 75,000 times, below sixty long ones.
fn duplicates() -> String {
    let open = format!("{{\"{}\":", "k".repeat(8_000)).repeat(60);
    let members = vec!["\"a\":1"; 75_000].join(",");
    format!(
        "{{\"notification_text\":\"x\",\"senders_config\":{{}},\"data\":{open}{{{members}}}{}}}",
        "}".repeat(60)
    )
}

/// A request with the maximum number of deliveries. Every entry is invalid, so nothing is sent.
fn rejects() -> String {
    let entries = vec!["1"; 10_000].join(",");
    format!("{{\"notification_text\":\"x\",\"senders_config\":{{\"slack\":[{entries}]}}}}")
}

/// As many deliveries as one request may have.
fn recipients() -> String {
    let to: Vec<_> = (0..10_000)
        .map(|n| format!("\"somebody.{n}@example.com\""))
        .collect();
    format!(
        "{{\"notification_text\":\"x\",\"title\":\"t\",\"senders_config\":{{\"email\":{{\"email_host\":\"h\",
         \"email_from\":\"a@example.com\",\"email_to\":[{}]}}}}}}",
        to.join(",")
    )
}

/// Many destinations that cut a member, as long as so many may have it.
fn discords(member: &str) -> String {
    let one = |n| {
        format!(
            "{{\"discord_webhook_url\":\"https://discord.com/api/webhooks/12345678901234{n:04}/X\"}}"
        )
    };
    let webhooks: Vec<_> = (0..9_000).map(one).collect();
    let text = "Größe ".chars().cycle().take(5_000).collect::<String>();
    format!(
        "{{\"notification_text\":\"x\",\"{member}\":\"{text}\",\"senders_config\":{{\"discord\":[{}]}}}}",
        webhooks.join(",")
    )
}

fn bodies(body: String) -> Option<Step> {
    let notifier = Notifier::new(Backends::default()).ok()?;
    let call = Call {
        arguments: BTreeMap::from([("dry_run".to_owned(), "true".to_owned())]),
        body: body.into_bytes(),
        ..Call::default()
    };
    Some(repeated(move || {
        let Ok(response) = notifier.process_request(black_box(&call)) else {
            return;
        };
        if let Body::RequestResponse(answer) = &response.body {
            black_box(serde_json::to_string(answer).ok());
        }
        if let CallLog::Task(task) = &response.log {
            black_box(task.log.take());
        }
    }))
}

/// A text of 1,000,000 characters, cut for Discord.
fn cut() -> Option<Step> {
    let line = "The CPU of h\u{f6}st-7 is at 97 % for the fifth minute \u{1f6a8} and its queue grows; whoever is on call finds \
        the runbook behind the link on the dashboard. ";
    let text: String = line.chars().cycle().take(1_000_000).collect();
    let body = format!(
        r#"{{"notification_text": "{text}", "senders_config": {{"discord": {{
            "discord_webhook_url": "https://discord.com/api/webhooks/123456789012345678/XXXXXXXX"}}}}}}"#
    );
    let (request, plan) = Planner::new()?.plan(&body)?;
    let discord = sendings(plan).next()?.channel;
    let cx = ComposeContext::new(TASK_ID);
    Some(repeated(move || {
        let notification = black_box(&request.notification);
        black_box(discord.compose(notification, &cx).ok());
    }))
}

/// The cost of the address guard and of the reply's redaction for one delivered notification: check the host, gather the
/// destination's secrets, and search the message's identifier in the reply for them. Only replies of Discord and Twilio
/// have such an identifier. Each request has new destinations, so nothing is cached; creating them is not measured.
fn guard() -> Option<Step> {
    let planner = Planner::new()?;
    let reply = Reply::Http(HttpReply {
        status: 200,
        headers: http::HeaderMap::default(),
        body: r#"{"id":"1279000000000000000","channel_id":"123456789012345678"}"#.into(),
        complete: true,
        received: SystemTime::now(),
    });
    Some(Box::new(move |times| {
        let plans = (0..times).filter_map(|_| planner.plan(DISCORD));
        let fresh: Vec<PlannedSend> = plans.flat_map(|(_, plan)| sendings(plan)).collect();
        let started = Instant::now();
        for sending in &fresh {
            for message in sending.messages.parts.iter().filter_map(Outbound::http) {
                black_box(check_host(&message.url, PrivateAddresses::Allow).is_ok());
            }
            if let Some(sent) = sending.messages.parts.first() {
                black_box(sending.channel.classify(sent, black_box(&reply)));
            }
        }
        started.elapsed()
    }))
}

/// A configuration file with ten thousand receivers and ten thousand routes, from its bytes to what it says.
fn load() -> Option<Step> {
    let text = scaled_file(10_000);
    let (arguments, environment) = (BTreeMap::new(), Environment::default());
    let path = Path::new("/nonexistent/notifier.toml");
    let load = move || {
        from_file(
            text.as_bytes(),
            path,
            &arguments,
            &environment,
            &BTreeMap::new(),
            true,
        )
    };
    // One that cannot be used would be fast.
    load().settings.ok()?;
    Some(repeated(move || {
        black_box(load());
    }))
}

/// Evaluates 1,000 routes when only the last matches.
fn route() -> Option<Step> {
    let settings = settings_of(&scaled_file(1_000))?;
    let request =
        request::read(ALERT.as_bytes(), &BTreeMap::new(), &ReadOptions::default()).ok()?;
    let routed = routing::route(&settings, &request.notification);
    if routed.receivers.first().map(|reached| reached.receiver) != Some(999) {
        return None;
    }
    Some(repeated(move || {
        black_box(routing::route(
            black_box(&settings),
            black_box(&request.notification),
        ));
    }))
}

/// What a template adds to a notification: what it sees is gathered, and it is rendered.
fn template() -> Option<Step> {
    let settings = settings_of(TEMPLATE)?;
    let request =
        request::read(ALERT.as_bytes(), &BTreeMap::new(), &ReadOptions::default()).ok()?;
    let template = settings.config.template("alert")?.clone();
    let now = request.notification.timestamp?;
    Some(repeated(move || {
        let seen = TemplateContext::new(black_box(&request.notification), None, now);
        let mut renderer = Renderer::new(&settings.config.templates);
        black_box(renderer.render(&template, &seen).ok());
    }))
}

/// So many receivers and routes: each route names a level and has a regular expression or a word for the host.
fn scaled_file(count: usize) -> String {
    let mut text = String::new();
    for n in 0..count {
        let host = if n % 2 == 0 {
            format!("~^db{}[0-9]$", n % 100)
        } else {
            format!("web{n}")
        };
        let host = if n + 1 == count {
            "db77".to_owned()
        } else {
            host
        };
        text.push_str(&format!(
            "[receivers.team-{n}]\nslack.webhook_url = \"https://hooks.slack.com/services/T0/B{n}/XXXXXXXXXXXXXXXX\"\n\
             [[routes]]\nmatch = {{ level = [\"error\", \"critical\"], fields = {{ host = \"{host}\" }} }}\n\
             receivers = [\"team-{n}\"]\n"
        ));
    }
    text
}

const ALERT: &str = r#"{
    "notification_text": "Above 95 % for 5 minutes; 37 queries are waiting.", "title": "CPU of db77 at 97 %",
    "level": "critical", "status": "firing", "fields": {"service": "billing", "host": "db77", "cpu": "97.3 %"},
    "link": "https://grafana.example.com/d/cpu?var-host=db77", "timestamp": "2026-11-25T02:41:00Z"
}"#;
const TEMPLATE: &str = r#"[templates.alert]
text = """
{{ notification.emoji }} {{ notification.level | upper }}: {{ notification.text }}
{% for name, value in notification.fields | items %}{{ name }}: {{ value }}
{% endfor %}{{ notification.timestamp | time("%H:%M", "Europe/Berlin") }} ({{ notification.timestamp | age | duration }})
{% if notification.link %}{{ notification.link }}{% endif %}"""
"#;

fn settings_of(text: &str) -> Option<Settings> {
    let path = Path::new("/nonexistent/notifier.toml");
    let none = BTreeMap::new();
    from_file(
        text.as_bytes(),
        path,
        &none,
        &Environment::default(),
        &BTreeMap::new(),
        true,
    )
    .settings
    .ok()
}

struct Planner {
    settings: Arc<Settings>,
}

impl Planner {
    fn new() -> Option<Self> {
        let cache = SettingsCache::default();
        let defaults = cache.resolve(&BTreeMap::new(), &Environment::default(), &BTreeMap::new());
        Some(Self {
            settings: defaults.settings()?,
        })
    }

    fn plan(&self, body: &str) -> Option<(Request, Plan)> {
        let request =
            request::read(body.as_bytes(), &BTreeMap::new(), &ReadOptions::default()).ok()?;
        let mut warnings = Warnings::default();
        let plan = routing::plan(&request, &self.settings, TASK_ID, &mut warnings).ok()?;
        Some((request, plan))
    }
}

fn sendings(plan: Plan) -> impl Iterator<Item = PlannedSend> {
    plan.deliveries
        .into_iter()
        .filter_map(|delivery| match delivery.disposition {
            Disposition::Send(sending) => Some(*sending),
            Disposition::Preview(_)
            | Disposition::Suppress { .. }
            | Disposition::Decided { .. }
            | Disposition::Ignore
            | Disposition::Reject { .. } => None,
        })
}

fn repeated(mut work: impl FnMut() + 'static) -> Step {
    Box::new(move |times| {
        let started = Instant::now();
        (0..times).for_each(|_| work());
        started.elapsed()
    })
}

/// Batches long enough for the clock, and so many that one which was disturbed does not show.
const BATCH: Duration = Duration::from_millis(20);
const BATCHES: usize = 15;

/// Nanoseconds for one run of the step.
fn time(mut step: Step) -> u128 {
    let mut times = 1;
    while step(times) < BATCH {
        times *= 2;
    }
    let mut batches: Vec<Duration> = (0..BATCHES).map(|_| step(times)).collect();
    batches.sort();
    batches[BATCHES / 2].as_nanos() / times as u128
}
