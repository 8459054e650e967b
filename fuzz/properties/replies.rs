//! What goes over the wire: headers and addresses of messages, replies of providers.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use notifier_core::channels::{
    self, CHANNELS, Channel, ChannelSpec, ComposeContext, Fields, OperatorSettings, Origin,
    Parameter, parse_url,
};
use notifier_core::json::{Json, Path};
use notifier_core::model::notification::Notification;
use notifier_core::model::outcome::{AttemptResult, Reason};
use notifier_core::model::policy::ClientKey;
use notifier_core::model::policy::PrivateAddresses::{Allow, Deny};
use notifier_core::model::wire::{HttpReply, HttpRequest, Outbound, Reply, ResendEffect};
use notifier_core::transport::{
    Dns, HttpTransport, ReplyBody, SendError, Sent, SystemLookup, Transport, check_host,
};
use notifier_core::warnings::Warnings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Host;

use super::{are_sound, is_fit_to_show, is_of_few_words};

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

fn configured(
    spec: &'static ChannelSpec,
    members: &[(String, Json)],
) -> (Option<Arc<dyn Channel>>, Vec<String>) {
    let mut warnings = Warnings::default();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        members,
        Path::root().key(spec.key),
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &OperatorSettings::default()).ok();
    (channel, warnings.iter().map(ToString::to_string).collect())
}

fn compose(channel: &dyn Channel, text: &str) -> Vec<Outbound> {
    let notification = Notification::plain(Json::String(text.to_owned()));
    let cx = ComposeContext::new("task");
    channel.compose(&notification, &cx).unwrap().parts
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
    let sent = compose(channel.as_ref(), "text").remove(0);
    let result = channel.classify(&sent, &reply).result;
    if let Some(failure) = result.failure() {
        is_of_few_words(failure);
        assert!(!failure.to_string().contains(&secret), "{failure}");
    }
    if let AttemptResult::Delivered { message, .. } = &result {
        assert!((200..300).contains(&status), "{status}");
        let name = message.as_ref().map_or("", |message| message.0.as_str());
        assert!(!name.contains(&secret));
        is_fit_to_show(name, 128);
    }
}

/// The first byte chooses a coding, the rest is a body in it: never more than the bound comes of it, and what is encoded
/// comes out as it was.
pub fn reply_body(data: &[u8]) {
    const MOST: usize = 64 * 1024;
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let codings = [
        "gzip",
        "x-gzip",
        "deflate",
        "br",
        "gzip, gzip",
        "identity",
        "",
    ];
    let coding = codings.get(usize::from(*how) % codings.len()).unwrap();
    let read = |coding: &'static str, bytes: Vec<u8>| {
        let body = ReplyBody {
            bytes: bytes.into(),
            complete: true,
        };
        let value = HeaderValue::from_static(coding);
        let headers = HeaderMap::from_iter([(CONTENT_ENCODING, value)]);
        body.decoded(&headers).readable()
    };
    let got = read(coding, rest.to_vec());
    assert!(got.bytes.len() <= MOST.max(rest.len()));
    let plain = read("identity", rest.to_vec());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(rest).unwrap();
    let decoded = read("gzip", encoder.finish().unwrap());
    if plain.complete && rest.len() <= MOST && !rest.starts_with(&[0x1f, 0x8b, 8]) {
        assert_eq!(decoded, plain);
    }
}

/// What a server sends after a request: a reply with the status that it begins with, or a failure; one request in any case.
/// Bytes that are no reply count as an answer.
pub fn reply_head(data: &[u8]) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    });
    let (outcome, requests) = RUNTIME.block_on(answered_with(data));
    assert_eq!(requests, 1);
    match outcome {
        Ok(Reply::Http(reply)) => {
            let status = format!(" {}", reply.status);
            assert!(data.windows(4).any(|bytes| bytes == status.as_bytes()));
            assert!(reply.body.len() <= 64 * 1024);
        }
        Ok(Reply::Smtp(_)) => panic!("no mail was sent"),
        Err(error) => {
            is_of_few_words(&error.failure);
            let is_malformed = error.failure.reason == Reason::MalformedReply;
            assert_eq!(error.sent == Sent::Answered, is_malformed);
            assert_ne!(error.sent, Sent::No);
        }
    }
}

/// One message to a server that answers with these bytes and closes; how many requests it saw.
async fn answered_with(data: &[u8]) -> (Result<Reply, SendError>, usize) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let transport = HttpTransport::new(Dns::new(SystemLookup));
    let outbound = Outbound::Http(HttpRequest {
        method: Method::POST,
        url: format!("http://127.0.0.1:{port}/").parse().unwrap(),
        headers: HeaderMap::new(),
        body: "{}".into(),
        resend: ResendEffect::ShownTwice,
    });
    let client = ClientKey {
        private_addresses: Allow,
        reuse: false,
        connect_timeout: Duration::from_secs(1),
        proxy: Arc::default(),
        tls: None,
    };
    let mut requests = 0;
    let serve = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            requests += 1;
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n{}") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            // The client may have read enough before all is out.
            let _ = stream.write_all(data).await;
            let _ = stream.shutdown().await;
        }
    };
    let outcome = tokio::select! {
        outcome = transport.send(&outbound, &client, Duration::from_secs(5)) => outcome,
        () = serve => panic!("it serves for ever"),
    };
    (outcome, requests)
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
                if one.name == secret.name {
                    return Some(value.clone());
                }
                channels::example(one)
            };
            if let Ok(channel) = channels::configured(spec, of) {
                return (channel, mark.to_owned());
            }
        }
        let channel = channels::configured(spec, channels::example);
        let secrets = spec.parameters.iter().filter(|one| one.secret);
        let example = secrets.map(|one| one.example).next().unwrap_or("none");
        let last = example.rsplit(':').next().unwrap_or(example);
        (channel.ok().unwrap(), last.to_owned())
    });
    all.collect()
}

/// A wait or none; dates of the past and of the far future too.
pub fn retry_after(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
    let wait = notifier_core::channels::retry_after(&text, now);
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
