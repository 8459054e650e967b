//! What must hold for any bytes at all: one function for each fuzz target. `make fuzz` feeds them what libFuzzer makes up;
//! `tests/seeds.rs` feeds them the files in `seeds`, so that whatever was found once is tried at every `make test`.

// Each target is a program that needs one of the functions.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use influxdb3_notifier::api::request as reading;
use influxdb3_notifier::channels::{
    self, CHANNELS, Channel, ChannelSpec, Composing, Fields, Operator, Origin, Parameter, parse_url,
};
use influxdb3_notifier::model::json::{self, Json, Path};
use influxdb3_notifier::model::notification::Notification;
use influxdb3_notifier::model::outcome::{Detail, Failure, Verdict};
use influxdb3_notifier::model::plan::Work;
use influxdb3_notifier::model::policy::PrivateAddresses::{Allow, Deny};
use influxdb3_notifier::model::secret::{MASK, Redactor, Secret};
use influxdb3_notifier::model::text::{self, Limit, MAX_PARTS, Unit, is_invisible};
use influxdb3_notifier::model::wire::{HttpReply, Outbound, Reply};
use influxdb3_notifier::routing;
use influxdb3_notifier::settings::arguments::ARGUMENTS;
use influxdb3_notifier::settings::file;
use influxdb3_notifier::settings::template::{Renderer, SAMPLE, SAMPLE_TIME, Seen};
use influxdb3_notifier::settings::{Environment, Resolution, SettingsCache, from_file};
use influxdb3_notifier::transport::check_host;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use unicode_segmentation::UnicodeSegmentation;
use url::Host;

/// A target's name and what must hold.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("request", request),
    ("arguments", arguments),
    ("headers", headers),
    ("judge", judge),
    ("split", split),
    ("retry_after", retry_after),
    ("url_guard", url_guard),
    ("redaction", redaction),
    ("config_file", config_file),
    ("template", template),
];

/// A body is read and planned, or refused with words that can be shown; what was read means the same when written again.
pub fn request(data: &[u8]) {
    let request = match reading::read(data, &BTreeMap::new()) {
        Ok(request) => request,
        Err(error) => {
            is_fit_to_show(&error.message, 400);
            is_fit_to_show(&error.hint, 400);
            return is_fit_to_show(error.path.as_deref().unwrap_or_default(), 400);
        }
    };
    for value in [&request.notification.text]
        .into_iter()
        .chain(&request.data)
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
    for warning in &warnings {
        is_fit_to_show(warning, 1_000);
    }
    for delivery in &plan.deliveries {
        match &delivery.work {
            Work::Ignore => panic!("nothing is ignored"),
            Work::Send(sending) | Work::Preview(sending) | Work::Suppress { sending, .. } => {
                is_fit_to_show(&sending.channel.destination().label, 400);
                for message in sending
                    .composition
                    .messages
                    .iter()
                    .filter_map(Outbound::http)
                {
                    are_sound(&message.headers);
                    assert!(message.url.username().is_empty() && message.url.password().is_none());
                }
            }
            Work::Reject { failure, path } => {
                is_of_few_words(failure);
                is_fit_to_show(path.as_deref().unwrap_or_default(), 400);
            }
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
        let loaded = file::load(data, directory, &named, Operator::default(), look_up);
        let problems = match loaded.config {
            Ok(_) => loaded.warnings.warnings,
            Err(report) => {
                assert!(!report.errors.is_empty());
                report.errors
            }
        };
        for problem in &problems {
            assert!((1..=lines).contains(&problem.place.line), "{problem}");
            assert!(problem.place.column >= 1);
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
        assert_eq!(problem.place.line, lines, "{problem}");
        is_fit_to_show(&problem.to_string(), 400);
    }
    assert_eq!(report.errors.is_empty(), made.settings.is_ok());
    let (Ok(settings), Some(template)) = (&made.settings, &checked.template) else {
        return;
    };
    let request = reading::read(SAMPLE.as_bytes(), &BTreeMap::new()).unwrap();
    let now = SAMPLE_TIME.parse().unwrap();
    let seen = Seen::new(&request.notification, request.data.as_ref(), now);
    let render = || Renderer::new(&settings.config.templates).render(template, &seen);
    let rendered = render();
    match &rendered {
        // 64 bytes for each unit of what one rendering may take.
        Ok(text) => assert!(text.len() <= 64 * 200_000),
        Err(error) => {
            assert_eq!(error.place.line, lines, "{error}");
            is_fit_to_show(&error.to_string(), 400);
        }
    }
    // Dictionaries, times and addresses of objects would show here.
    assert_eq!(render(), rendered);
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
            is_fit_to_show(&error.what, 400);
            is_fit_to_show(&error.hint, 400);
        }
    }
}

/// The first byte says whether the rest is what stands in `http_headers`, or what is encoded there.
pub fn headers(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let field = match how % 3 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => BASE64_STANDARD.encode(rest),
        _ => BASE64_URL_SAFE_NO_PAD.encode(rest),
    };
    let spec = CHANNELS.get(usize::from(how / 3) % 3).unwrap();
    let url = format!("{}_webhook_url", spec.key);
    let members = [
        (url, Json::String("https://hooks.example/x".to_owned())),
        (format!("{}_headers", spec.key), Json::String(field)),
    ];
    let (channel, warnings) = configured(spec, &members);
    for warning in &warnings {
        is_fit_to_show(warning, 400);
    }
    // No headers are bad enough to stop the message.
    for message in compose(&*channel.unwrap(), "x")
        .iter()
        .filter_map(Outbound::http)
    {
        are_sound(&message.headers);
        let hosts = message.headers.get_all(http::header::HOST).iter().count();
        assert!(hosts <= usize::from(spec.key == "http"));
    }
}

/// Two bytes are the status, one chooses the channel, one says whether the body came whole; then headers, a blank line, and
/// the body. A verdict, in few clean words without the destination's secret.
pub fn judge(data: &[u8]) {
    let [high, low, which, complete, rest @ ..] = data else {
        return;
    };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 900;
    let text = String::from_utf8_lossy(rest);
    let (head, body) = text.split_once("\n\n").unwrap_or(("", &text));
    let mut headers = HeaderMap::new();
    for line in head.lines() {
        let pair = line.split_once(':').and_then(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        });
        headers.extend(pair.map(|(name, value)| (Some(name), value)));
    }
    let reply = Reply::Http(HttpReply {
        status,
        headers,
        body: body.to_owned().into(),
        complete: complete % 2 == 0,
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480),
    });
    let (channel, secret) = channels().swap_remove(usize::from(*which) % CHANNELS.len());
    let judgement = channel.judge(&reply);
    match &judgement.verdict {
        Verdict::Delivered { message } => {
            assert!((200..300).contains(&status), "{status}");
            let name = message.as_ref().map_or("", |message| message.0.as_str());
            assert!(!name.contains(&secret));
            is_fit_to_show(name, 128);
        }
        Verdict::Retry { failure, .. } | Verdict::Ambiguous(failure) | Verdict::Reject(failure) => {
            is_of_few_words(failure);
            assert!(!failure.to_string().contains(&secret), "{failure}");
        }
        Verdict::Stale => {}
    }
}

/// Every channel, and what must not show of it: the first secret that may be any word, or the last part of its example.
fn channels() -> Vec<(Arc<dyn Channel>, String)> {
    let mark = "s3cr3tM4rk";
    let all = CHANNELS.iter().map(|spec| {
        let secrets = spec
            .parameters
            .iter()
            .filter(|one| one.secret && !one.operator_only);
        for secret in secrets {
            let value = match secret.example.rsplit_once('/') {
                Some((head, _)) if secret.example.starts_with("http") => format!("{head}/{mark}"),
                _ => mark.to_owned(),
            };
            let of = |one: &Parameter| {
                let example = (one.name != secret.name).then(|| one.example.to_owned());
                Some(example.unwrap_or_else(|| value.clone()))
            };
            if let Ok(channel) = channels::configured(spec, of) {
                return (channel, mark.to_owned());
            }
        }
        let channel = channels::configured(spec, |one| Some(one.example.to_owned()));
        let secrets = spec.parameters.iter().filter(|one| one.secret);
        let example = secrets.map(|one| one.example).next().unwrap_or("none");
        let last = example.rsplit(':').next().unwrap_or(example);
        (channel.ok().unwrap(), last.to_owned())
    });
    all.collect()
}

fn configured(
    spec: &'static ChannelSpec,
    members: &[(String, Json)],
) -> (Option<Arc<dyn Channel>>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        members,
        Path::root().key(spec.key),
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &Operator::default()).ok();
    (channel, warnings.iter().map(ToString::to_string).collect())
}

fn compose(channel: &dyn Channel, text: &str) -> Vec<Outbound> {
    let notification = Notification::plain(Json::String(text.to_owned()));
    let cx = Composing::new("task");
    channel.compose(&notification, &cx).unwrap().messages
}

/// Two bytes choose limit and unit. Nothing is lost in up to ten parts, no limit is passed, no cluster broken.
pub fn split(data: &[u8]) {
    let [limit, unit, rest @ ..] = data else {
        return;
    };
    let units = [
        Unit::CodePoints,
        Unit::Utf16,
        Unit::Utf16Escaped,
        Unit::Bytes,
        Unit::JsonBytes,
    ];
    // Shorter ones than the shortest note of what is missing are nobody's.
    let limit = Limit {
        length: 48 + usize::from(*limit),
        unit: *units.get(usize::from(*unit) % units.len()).unwrap(),
    };
    let text = String::from_utf8_lossy(rest);
    let split = text::split(&text, limit);
    assert!((1..=MAX_PARTS).contains(&split.parts.len()));
    for part in &split.parts {
        assert!(limit.unit.of(part) <= limit.length, "{limit:?} {part:?}");
    }
    let [whole] = &split.parts[..] else {
        return parts_make_up(&text, &split, limit);
    };
    assert_eq!(*whole, text);
}

fn parts_make_up(text: &str, split: &text::Split, limit: Limit) {
    let total = split.parts.len();
    let pieces = split.parts.iter().enumerate().map(|(n, part)| {
        let prefix = format!("({}/{total}) ", n + 1);
        part.strip_prefix(&prefix)
            .unwrap_or_else(|| panic!("{part:?} lacks {prefix:?}"))
    });
    let pieces: Vec<&str> = pieces.collect();
    if split.missing > 0 {
        let note = format!("… {} characters missing", split.missing);
        let kept = pieces.concat();
        let kept = kept
            .strip_suffix(&note)
            .unwrap_or_else(|| panic!("{kept:?} lacks {note:?}"));
        assert!(text.starts_with(kept), "{text:?}: {kept:?}");
        assert_eq!(kept.chars().count() + split.missing, text.chars().count());
        return;
    }
    assert_eq!(pieces.concat(), text);
    // Each cut is one between clusters of the text, unless a cluster is longer than a part.
    let room = limit.length - format!("({total}/{total}) ").len();
    if text
        .graphemes(true)
        .any(|cluster| limit.unit.of(cluster) > room)
    {
        return;
    }
    let boundaries: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
    let mut at = 0;
    for piece in &pieces {
        assert!(
            boundaries.binary_search(&at).is_ok(),
            "{text:?} is cut at {at}"
        );
        at += piece.len();
    }
}

/// A wait or none; dates of the past and of the far future too.
pub fn retry_after(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    let wait = influxdb3_notifier::channels::retry_after(&text, now);
    let trimmed = text.trim();
    if trimmed.starts_with('-') || trimmed.is_empty() {
        assert_eq!(wait, None);
    }
    if let Ok(seconds) = trimmed.parse::<u32>()
        && !trimmed.starts_with('+')
    {
        assert_eq!(wait, Some(Duration::from_secs(seconds.into())));
    }
}

/// A URL or a sentence; what is denied always is denied to the strict too; an address in another form has the same fate.
pub fn url_guard(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let url = match parse_url(&text) {
        Ok(url) => url,
        Err(what) => return is_fit_to_show(&what, 200),
    };
    assert!(matches!(url.scheme(), "http" | "https") && url.has_host());
    assert_eq!(url.fragment(), None);
    if url.as_str().len() <= 8 * 1024 {
        assert_eq!(parse_url(url.as_str()).as_ref(), Ok(&url));
    }
    let (allow, deny) = (check_host(&url, Allow), check_host(&url, Deny));
    if allow.is_err() {
        assert_eq!(deny, allow, "{url}");
    }
    for denied in [allow, deny].into_iter().filter_map(Result::err) {
        is_fit_to_show(&denied.to_string(), 200);
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        _ => return,
    };
    if is_local(address) {
        assert!(deny.is_err(), "{url}");
    }
    // Mapped, translated, 6to4: what is denied as it is is denied in these forms.
    if let IpAddr::V4(v4) = address {
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for form in [
            format!("http://[::ffff:{v4}]/"),
            format!("http://[64:ff9b::{v4}]/"),
            format!("http://[2002:{high:x}:{low:x}::1]/"),
        ] {
            let form = parse_url(&form).unwrap();
            for (policy, verdict) in [(Allow, allow), (Deny, deny)] {
                assert_eq!(check_host(&form, policy), verdict, "{form} {url}");
            }
        }
    }
}

/// By the standard library's own opinion, where it has one.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.to_ipv4_mapped().is_some_and(|v4| is_local(v4.into()))
        }
    }
}

/// The first byte chooses a spelling, the first line is a secret, the rest a text around it: the secret does not show.
pub fn redaction(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let (secret, around) = text.split_once('\n').unwrap_or((&text, ""));
    // Shorter ones are left alone, and the mask itself may make up what has stars.
    let letters = secret
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '+' && !is_invisible(*c));
    if letters.count() < 8 || secret.contains('*') {
        return;
    }
    let redactor = Redactor::new([secret]);
    let spelled = match how % 6 {
        0 => secret.to_owned(),
        1 => utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        2 => secret
            .chars()
            .map(|c| format!("&#{};", u32::from(c)))
            .collect(),
        3 => secret
            .encode_utf16()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
        4 => serde_json::to_string(secret).unwrap(),
        _ => secret.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    };
    let middle = around.len() / 2;
    let middle = (0..=middle)
        .rev()
        .find(|at| around.is_char_boundary(*at))
        .unwrap_or(0);
    let (before, after) = around.split_at(middle);
    let clean = redactor.redact(&format!("{before} {spelled} {after}"));
    assert!(clean.contains(MASK), "{clean:?}");
    assert!(!clean.contains(secret), "{clean:?}");
    assert!(!clean.contains(&spelled), "{clean:?}");
    // Its first half is gone as well.
    assert_eq!(redactor.redact(&clean), clean, "once is enough");
    if let Some(detail) = Detail::new(&clean, &redactor) {
        is_fit_to_show(detail.as_str(), Detail::MAX_CHARACTERS);
    }
}

#[track_caller]
fn is_of_few_words(failure: &Failure) {
    if let Some(detail) = &failure.detail {
        is_fit_to_show(detail.as_str(), Detail::MAX_CHARACTERS);
    }
}

#[track_caller]
fn is_fit_to_show(text: &str, characters: usize) {
    assert!(text.chars().count() <= characters, "{text:?}");
    let odd = text.chars().find(|c| is_invisible(*c));
    assert_eq!(odd, None, "{text:?}");
}

/// Nothing that frames the message but what the client adds, and no name that stands twice.
#[track_caller]
fn are_sound(headers: &HeaderMap) {
    for name in headers.keys() {
        assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
        let framing = [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
            "te",
            "trailer",
            "expect",
        ];
        assert!(
            !framing.contains(&name.as_str()) && !name.as_str().starts_with("proxy-"),
            "{name}"
        );
    }
}
