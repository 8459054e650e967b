//! Puts a marked secret in every field of a call, and searches the output of Rust code for it: `Debug` of every type
//! that contains it, errors, responses and panic messages. `tests/leaks` searches the other outputs end to end.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use notifier_core::api::request;
use notifier_core::config::{Environment, Named, Resolution, SettingsCache};
use notifier_core::json::Json;
use notifier_core::model::plan::Disposition;
use notifier_core::model::policy::{ClientKey, PrivateAddresses, ProxySettings, TlsFiles};
use notifier_core::model::read_options::ReadOptions;
use notifier_core::model::wire::{HttpReply, Outbound, Reply, SmtpReply, SmtpStage};
use notifier_core::panics;
use notifier_core::plugin::{Body, Call, Notifier, Response};
use notifier_core::routing;
use notifier_core::secret::Secret;
use notifier_core::store::Backends;
use notifier_core::transport::{SendError, Transport};
use notifier_core::warnings::Warnings;

/// Every field that may contain a secret, each with its own secret.
const PLACES: &[&str] = &[
    "path",
    "query",
    "user",
    "password",
    "header",
    "bearer",
    "slack",
    "discord",
    "sid",
    "token",
    "from",
    "to",
    "mail-to",
    "mail-cc",
    "mail-bcc",
    "mail-user",
    "mail-password",
    "env-sid",
    "env-token",
    "http-proxy",
    "https-proxy",
    "argument",
    "caller",
    "callers-query",
    "file-url",
    "file-variable",
    "file-header",
    "file-password",
    "file-token",
    "file-proxy",
    "file-key",
    "file-template",
    "file-certificate",
    "file-mail-to",
    "file-mail-cc",
    "file-mail-user",
    "file-mail-password",
];

fn secret(place: &str) -> String {
    assert!(PLACES.contains(&place), "{place}");
    match place {
        // Twilio takes letters and digits for the account, and warns of other numbers.
        "sid" | "env-sid" => "AC5ecre7Mark".repeat(2),
        "from" => "+15005557701".to_owned(),
        "to" => "+15005557702".to_owned(),
        "mail-to" | "mail-cc" | "mail-bcc" | "file-mail-to" | "file-mail-cc" => {
            format!("s3cr3t.{place}.M4rk@example.com")
        }
        place => format!("s3cr3t+{place}/M4rk"),
    }
}

/// Returns all secrets, in plain form and in frequent encodings.
fn needles() -> Vec<(&'static str, String)> {
    let mut needles = Vec::new();
    for place in PLACES {
        let secret = secret(place);
        let escaped = secret.replace('+', "%2B").replace('/', "%2F");
        for form in [
            secret.clone(),
            escaped,
            BASE64_STANDARD_NO_PAD.encode(&secret),
        ] {
            needles.push((*place, form));
        }
        needles.push((*place, secret.trim_start_matches('+').to_owned()));
    }
    needles
}

#[track_caller]
fn shows_none(what: &str, text: &str) {
    for (place, needle) in needles() {
        assert!(
            !text.contains(&needle),
            "{what} shows the secret of {place}: {text}"
        );
    }
}

#[track_caller]
fn debug_shows_none(value: &impl Debug) {
    shows_none(
        std::any::type_name_of_val(value),
        &format!("{value:?} {value:#?}"),
    );
}

fn body() -> String {
    let s = secret;
    let headers = serde_json::json!({
        "X-Key": s("header"), "Authorization": format!("Bearer {}", s("bearer")), "Bad Name": s("header"),
    });
    let headers = BASE64_STANDARD.encode(headers.to_string());
    let encode = |text: String| text.replace('+', "%2B").replace('/', "%2F");
    let url = format!(
        "http://{}:{}@127.0.0.1:9/{}?key={}",
        encode(s("user")),
        encode(s("password")),
        encode(s("path")),
        encode(s("query")),
    );
    let twilio = serde_json::json!({
        "twilio_sid": s("sid"), "twilio_token": s("token"), "twilio_from_number": s("from"), "twilio_to_number": s("to"),
    });
    let to_only =
        serde_json::json!({ "twilio_from_number": s("from"), "twilio_to_number": s("to") });
    serde_json::json!({
        "notification_text": "the text is no secret",
        "dedup_key": "nor is this",
        "senders_config": {
            "http": [
                { "http_webhook_url": url, "http_headers": headers },
                { "http_webhook_url": format!("no-scheme/{}", s("path")) },
                { "http_webhook_url": [s("path")], "http_headers": { "X-Key": s("header") } },
                { "http_webhok_url": s("path"), "http_headers": s("header") },
            ],
            "slack": { "slack_webhook_url": format!("https://hooks.slack.com/services/{}", encode(s("slack"))) },
            "discord": { "discord_webhook_url": format!("https://discord.com/api/webhooks/1/{}", encode(s("discord"))) },
            "sms": [twilio, to_only],
            "email": {
                "email_host": "smtp.example.com", "email_from": "alerts@example.com", "email_to": [s("mail-to")],
                "email_cc": s("mail-cc"), "email_bcc": s("mail-bcc"),
                "email_username": s("mail-user"), "email_password": s("mail-password"),
            },
        },
    })
    .to_string()
}

fn environment() -> Environment {
    let proxy = |place: &str| {
        let password = secret(place).replace('+', "%2B").replace('/', "%2F");
        Some(Secret::new(format!("http://user:{password}@127.0.0.1:9")))
    };
    Environment {
        twilio_sid: Some(Secret::new(secret("env-sid"))),
        twilio_token: Some(Secret::new(secret("env-token"))),
        proxy: ProxySettings {
            http: proxy("http-proxy"),
            https: proxy("https-proxy"),
            no_proxy: String::new(),
        },
        ..Environment::default()
    }
}

fn call(body: String) -> Call {
    let pair = |name: &str, value: String| BTreeMap::from([(name.to_owned(), value)]);
    Call {
        arguments: BTreeMap::from([
            ("max_attempts".to_owned(), "1".to_owned()),
            // Adds the input of a digest.
            ("max_per_minute".to_owned(), "10".to_owned()),
            ("unknown".to_owned(), secret("argument")),
        ]),
        environment: environment(),
        named: Named::new(),
        query: pair("q", secret("callers-query")),
        headers: pair("authorization", format!("Bearer {}", secret("caller"))),
        body: body.into_bytes(),
        trigger: None,
    }
}

#[test]
fn debug_of_nothing_that_holds_a_secret_shows_it() {
    let call = call(body());
    debug_shows_none(&call);
    debug_shows_none(&call.environment);
    let settings = SettingsCache::default()
        .resolve(&call.arguments, &call.environment, &call.named)
        .settings()
        .unwrap();
    debug_shows_none(&settings);
    debug_shows_none(&ClientKey {
        private_addresses: PrivateAddresses::Allow,
        reuse: true,
        connect_timeout: Duration::from_secs(1),
        proxy: Arc::new(call.environment.proxy.clone()),
        tls: None,
    });
    let request = request::read(&call.body, &call.headers, &ReadOptions::default()).unwrap();
    debug_shows_none(&request);
    debug_shows_none(&Json::String(secret("path")));
    let mut warnings = Warnings::default();
    let plan = routing::plan(&request, &settings, "task", &mut warnings).unwrap();
    debug_shows_none(&plan);
    debug_shows_none(&warnings);
    assert_eq!(warnings.iter().count(), 2, "{warnings:?}");

    let mut channels = 0;
    for delivery in &plan.deliveries {
        let Disposition::Send(sending) = &delivery.disposition else {
            continue;
        };
        channels += 1;
        debug_shows_none(&sending.channel);
        debug_shows_none(sending.channel.destination());
        for message in &sending.messages.parts {
            debug_shows_none(message);
            if let Outbound::Http(request) = message {
                debug_shows_none(&request.headers);
            }
        }
        // Each receiver can mask only its own secrets.
        let own: &[&str] = match delivery.sender.as_str() {
            "http" => &["path", "query", "user", "password", "header", "bearer"],
            "slack" => &["slack"],
            "discord" => &["discord"],
            "email" => &["mail-to", "mail-cc", "mail-user", "mail-password"],
            _ => &["from", "to"],
        };
        let sent = &sending.messages.parts[0];
        for status in [200, 404, 407, 429, 500] {
            let reply = Reply::Http(HttpReply {
                status,
                headers: HeaderMap::new(),
                body: echo(own).into(),
                complete: true,
                received: SystemTime::now(),
            });
            debug_shows_none(&reply);
            debug_shows_none(&sending.channel.classify(sent, &reply));
        }
        for (stage, code) in [
            (SmtpStage::Auth, 535),
            (SmtpStage::Recipient, 450),
            (SmtpStage::Message, 250),
        ] {
            let reply = Reply::Smtp(SmtpReply {
                stage,
                code,
                text: format!("2.0.0 queued as {}", echo(own)),
            });
            debug_shows_none(&reply);
            debug_shows_none(&sending.channel.classify(sent, &reply));
        }
    }
    assert_eq!(channels, 8, "those that can be sent");
}

/// Returns a file with a secret in every field, and the environment variables that it names.
fn file() -> (String, Named) {
    let encode = |place| secret(place).replace('+', "%2B").replace('/', "%2F");
    let key = BASE64_STANDARD.encode(secret("file-key").repeat(2));
    let text = format!(
        r#"
[receivers.a.http]
webhook_url = "https://hooks.example/{url}"
headers = {{ X-Key = "{header}" }}
basic_auth = {{ username = "me", password = "{password}" }}
proxy = "http://me:{proxy}@proxy.example"
signing_secret = "whsec_{key}"
body_template = "{{{{ notification.text }}}} {template}"
[receivers.b.http]
webhook_url = {{ env = "HOOK" }}
bearer_token = "{token}"
[receivers.c.sms]
sid = "{sid}"
token = "{token}"
from_number = "{from}"
to_number = "{to}"
[receivers.d.email]
host = "smtp.example.com"
from = "alerts@example.com"
to = ["{mail_to}"]
cc = "{mail_cc}"
username = "{mail_user}"
password = "{mail_password}"
[templates.t]
text = "{template}"
[[routes]]
receivers = ["a", "b", "c", "d"]
"#,
        url = encode("file-url"),
        header = secret("file-header"),
        password = secret("file-password"),
        proxy = encode("file-proxy"),
        template = secret("file-template"),
        token = secret("file-token"),
        sid = secret("sid"),
        from = secret("from"),
        to = secret("to"),
        mail_to = secret("file-mail-to"),
        mail_cc = secret("file-mail-cc"),
        mail_user = secret("file-mail-user"),
        mail_password = secret("file-mail-password"),
    );
    let hook = format!("https://hooks.example/{}", encode("file-variable"));
    (
        text,
        Named::from([("HOOK".to_owned(), Some(Secret::new(hook)))]),
    )
}

#[test]
fn debug_of_nothing_that_comes_from_the_file_shows_a_secret() {
    let (text, named) = file();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notifier.toml");
    std::fs::write(&path, &text).unwrap();
    let arguments = BTreeMap::from([
        (
            "config_file_path".to_owned(),
            path.to_str().unwrap().to_owned(),
        ),
        ("max_per_minute".to_owned(), "10".to_owned()),
    ]);
    let resolution = SettingsCache::default().resolve(&arguments, &environment(), &named);
    let Resolution::Settled { settings, .. } = resolution else {
        panic!("it asks for variables")
    };
    let settings = settings.unwrap();
    debug_shows_none(&settings);
    debug_shows_none(&settings.config);
    let body = br#"{"notification_text": "x", "template": "none"}"#;
    let request = request::read(body, &BTreeMap::new(), &ReadOptions::default()).unwrap();
    let mut warnings = Warnings::default();
    let plan = routing::plan(&request, &settings, "task", &mut warnings).unwrap();
    debug_shows_none(&plan);
    debug_shows_none(&warnings);
    assert_eq!(plan.deliveries.len(), 5);
    for delivery in &plan.deliveries {
        let Disposition::Send(sending) = &delivery.disposition else {
            panic!("{delivery:?}")
        };
        debug_shows_none(&sending.own);
        debug_shows_none(&sending.input.as_ref().unwrap());
        debug_shows_none(&sending.channel);
    }
    debug_shows_none(&TlsFiles {
        authorities: Some(b"public".to_vec()),
        identity: Some(Secret::new(secret("file-certificate"))),
    });
    // A file with something wrong in every place.
    let broken = text
        .replace("https://", "ftp://")
        .replace("whsec_", "whsec_$");
    std::fs::write(
        &path,
        broken.replace("[templates.t]", "[templates.t]\nnope = 1"),
    )
    .unwrap();
    let resolution = SettingsCache::default().resolve(&arguments, &environment(), &named);
    let Resolution::Settled { settings, .. } = resolution else {
        panic!("it asks for variables")
    };
    debug_shows_none(&settings.unwrap_err());
}

/// The secrets of these places, as a receiver might quote them.
fn echo(places: &[&str]) -> String {
    let all = places.iter().map(|place| secret(place));
    serde_json::json!({ "sid": all.clone().collect::<String>(), "message": all.collect::<Vec<_>>().join(" ") })
        .to_string()
}

#[test]
fn no_error_quotes_its_input() {
    let s = secret;
    let headers = BTreeMap::from([("idempotency-key".to_owned(), s("caller"))]);
    let bodies = [
        format!("{{\"notification_text\": \"{}\" oops", s("path")),
        format!("\"{}\"", s("path")),
        format!("[\"{}\"]", s("path")),
        s("path"),
        format!("{{\"senders_config\": {{\"http\": \"{}\"}}}}", s("path")),
        format!(
            "{{\"notification_text\": \"x\", \"senders_config\": \"{}\"}}",
            s("path")
        ),
        format!(
            "{{\"notification_text\": \"x\", \"senders_config\": {{}}, \"dry_run\": \"{}\"}}",
            s("path")
        ),
        format!(
            "{{\"notification_text\": \"x\", \"senders_config\": {{}}, \"receivers\": \"{}\"}}",
            s("path")
        ),
        format!(
            "{{\"notification_text\": \"x\", \"senders_config\": {{}}, \"idempotency_key\": \"{}\"}}",
            s("path")
        ),
    ];
    for body in bodies {
        let error = request::read(body.as_bytes(), &headers, &ReadOptions::default()).unwrap_err();
        debug_shows_none(&error);
    }
    for (name, value) in [
        (
            "twilio_base_url",
            format!("https://user:{}@host/", "s3cr3t%2Bargument%2FM4rk"),
        ),
        (
            "response_timeout",
            format!("https://{}@host/", "s3cr3t%2Bargument%2FM4rk"),
        ),
        ("twilio_base_url", format!("ftp://host/{}", s("argument"))),
    ] {
        let arguments = BTreeMap::from([(name.to_owned(), value)]);
        let error = SettingsCache::default().resolve(&arguments, &environment(), &Named::new());
        let Resolution::Settled {
            settings: Err(error),
            ..
        } = error
        else {
            panic!("taken: {arguments:?}")
        };
        debug_shows_none(&error);
    }
}

/// Panics with everything that it was given to send.
struct Panics;

impl Transport for Panics {
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        _: &'a ClientKey,
        _: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        match outbound {
            Outbound::Http(request) => {
                panic!("{} {:?} {}", request.url, request.body, echo(PLACES))
            }
            Outbound::Mail(mail) => panic!("{} {} {}", mail.recipient, mail.text, echo(PLACES)),
        }
    }
}

fn answer_of(response: &Response) -> String {
    match &response.body {
        Body::RequestResponse(answer) => serde_json::to_string(answer).unwrap(),
        Body::Alerts(answer) => serde_json::to_string(answer).unwrap(),
        Body::Error(error) => serde_json::to_string(error).unwrap(),
        Body::Status(view) => serde_json::to_string(view).unwrap(),
        Body::AlertsView(view) => serde_json::to_string(view).unwrap(),
        Body::Metrics(text) => text.clone(),
    }
}

const CHILD: &str = "NOTIFIER_TEST_PANICS";

/// Runs this test program again as a process with captured standard error.
#[test]
fn a_panic_prints_its_place_and_nothing_that_it_holds() {
    if std::env::var_os(CHILD).is_some() {
        return panics_in_a_delivery_and_in_a_call();
    }
    let test = "a_panic_prints_its_place_and_nothing_that_it_holds";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            &format!("{}::{test}", module_path!().split_once("::").unwrap().1),
            "--nocapture",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&child.stdout),
        String::from_utf8_lossy(&child.stderr),
    );
    assert!(child.status.success(), "{out}{err}");
    shows_none("standard output", &out);
    shows_none("standard error", &err);
    let place = "influxdb3-notifier: internal error at tests/rust/tests/all/leaks.rs:";
    assert!(err.matches(place).count() >= 6, "{err}");
}

fn panics_in_a_delivery_and_in_a_call() {
    panics::install_panic_hook();
    let place = panics::catch_panic(|| panic!("{}", echo(PLACES))).unwrap_err();
    shows_none("the place of a panic", &place);
    assert!(
        place.starts_with("tests/rust/tests/all/leaks.rs:"),
        "{place}"
    );

    let notifier = Notifier::with_transport(Backends::default(), || Arc::new(Panics)).unwrap();
    for _ in 0..2 {
        let response = notifier.process_request(&call(body()));
        let answer = answer_of(&response.unwrap());
        shows_none("the answer", &answer);
        assert_eq!(
            answer.matches("\"reason\":\"internal\"").count(),
            8,
            "{answer}"
        );
    }
    for view in ["status", "metrics", "alerts"] {
        let query = BTreeMap::from([("view".to_owned(), view.to_owned())]);
        let call = Call {
            query,
            ..Call::default()
        };
        shows_none(view, &answer_of(&notifier.process_request(&call).unwrap()));
    }
}
