//! Where the messages of channels go that speak HTTP: one URL, the headers of every request, and what of both is secret.

use std::borrow::Cow;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::percent_decode_str;
use url::Url;

use super::body;
use crate::channels::spec::headers::{self, HostHeader};
use crate::channels::{Fields, Parameter};
use crate::model::capabilities::Capabilities;
use crate::model::problem::Problem;
use crate::model::wire::{Destination, HttpRequest, Outbound};
use crate::secret::{Redactor, Secret, digest, fingerprint, secrets_of_url};

/// Where to send, with which headers. Ten thousand of them may wait at once, so it keeps no more than it needs.
pub struct Endpoint {
    pub url: Url,
    pub method: Method,
    pub destination: Destination,
    pub capabilities: &'static Capabilities,
    user_agent: &'static str,
    has_public_url: bool,
    /// Members of the body's JSON, or fields of its form, that are secret.
    secret_members: &'static [&'static str],
    /// The caller's, and `Authorization` where the URL has user and password.
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// The URL as it was given, where it had user and password.
    given: Option<Box<Url>>,
    /// Further ones, such as a token that stands within the path.
    secrets: Box<[Secret]>,
    /// Made when there is a reply to look at.
    redactor: OnceLock<Redactor>,
}

impl Endpoint {
    /// A webhook's URL, and the caller's headers.
    pub fn read(
        fields: &mut Fields<'_>,
        (url, headers): (&Parameter, &Parameter),
        capabilities: &'static Capabilities,
        host: HostHeader,
    ) -> Result<Self, Problem> {
        let sender = fields.sender();
        let given = fields.url(url)?;
        let callers = headers::read(fields, headers, host);
        let mut endpoint = Self::new(sender, given, capabilities);
        let named = callers.get(HOST).and_then(|value| value.to_str().ok());
        endpoint.destination.host_header = named
            .and_then(headers::host_of)
            .map(|host| normal_host(&host));
        let callers = callers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        Ok(Self {
            // The caller's last, so that each replaces ours of its name.
            headers: endpoint.headers.into_iter().chain(callers).collect(),
            ..endpoint
        })
    }

    /// What is behind this URL.
    pub fn new(sender: &str, given: Url, capabilities: &'static Capabilities) -> Self {
        let (url, basic, given) = without_userinfo(given);
        let address = given.as_deref().unwrap_or(&url);
        Self {
            capabilities,
            user_agent: super::USER_AGENT,
            has_public_url: false,
            secret_members: &[],
            headers: basic
                .map(|value| (AUTHORIZATION, value))
                .into_iter()
                .collect(),
            destination: Destination {
                label: label(sender, &url, address.as_str()),
                key: digest(&[sender, " ", url.as_str()].concat()),
                host: url.host_str().map(normal_host),
                host_header: None,
                account: None,
                at_once: capabilities.limits.in_flight,
            },
            given,
            url,
            method: Method::POST,
            secrets: Box::default(),
            redactor: OnceLock::new(),
        }
    }

    /// One of several destinations behind this URL, told apart by `secrets`, which are taken out of replies as well.
    pub fn distinguished_by(
        mut self,
        sender: &str,
        secrets: impl IntoIterator<Item = Secret>,
    ) -> Self {
        self.secrets = secrets.into_iter().collect();
        let apart = self.secrets.iter().map(Secret::expose);
        let apart = std::iter::once(self.url.as_str()).chain(apart);
        let address = apart.collect::<Vec<_>>().join(" ");
        self.destination.label = label(sender, &self.url, &address);
        self.destination.key = digest(&format!("{sender} {address}"));
        self
    }

    /// Its URL is in the provider's documentation: the provider's replies may show it.
    pub const fn with_public_url(mut self) -> Self {
        self.has_public_url = true;
        self
    }

    /// Another name for us than the usual one.
    pub const fn with_user_agent(mut self, user_agent: &'static str) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Members of the body's JSON, or fields of its form, whose values no preview shows.
    pub const fn with_secret_members(mut self, members: &'static [&'static str]) -> Self {
        self.secret_members = members;
        self
    }

    /// A header of every message, unless the configuration's own headers have one of its name.
    pub fn default_header(&mut self, name: HeaderName, value: HeaderValue) {
        let headers = std::mem::take(&mut self.headers).into_vec();
        self.headers = std::iter::once((name, value)).chain(headers).collect();
    }

    /// A credential of every message, as `Authorization`; one that no header can hold is left out.
    pub fn authorize(&mut self, credential: &str) {
        if let Ok(mut value) = HeaderValue::try_from(credential) {
            value.set_sensitive(true);
            self.default_header(AUTHORIZATION, value);
        }
    }

    /// A token of every message.
    pub fn bearer(&mut self, token: &str) {
        self.authorize(&format!("Bearer {token}"));
    }

    /// The configuration's own header of this name; of several the last, which is the one that is sent.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let mut headers = self.headers.iter().rev();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// A message with this body; `own` are the headers of this message alone, where the caller has set no such header.
    pub fn post(&self, body: impl Into<Bytes>, own: &[(HeaderName, HeaderValue)]) -> Outbound {
        Outbound::Http(self.request(body, own))
    }

    /// [`Self::post`], before it is one among others.
    pub fn request(
        &self,
        body: impl Into<Bytes>,
        own: &[(HeaderName, HeaderValue)],
    ) -> HttpRequest {
        // `Accept: */*` is the transport's default: a fourth header would double the map.
        let mut headers = HeaderMap::with_capacity(2 + own.len() + self.headers.len());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(self.user_agent));
        for (name, value) in own.iter().chain(&self.headers) {
            headers.insert(name.clone(), value.clone());
        }
        HttpRequest {
            method: self.method.clone(),
            url: self.url.clone(),
            headers,
            body: body.into(),
            resend: self.capabilities.resend,
        }
    }

    /// A message that is a form of these fields.
    pub fn form<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> HttpRequest {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.request(
            form,
            &[(CONTENT_TYPE, HeaderValue::from_static(body::FORM))],
        )
    }

    /// What a dry run shows of a message of this endpoint.
    pub fn preview(&self, out: &Outbound) -> String {
        body::preview(out, self.secret_members)
    }

    /// Takes this destination's secrets out of what a receiver answers.
    pub fn redactor(&self) -> &Redactor {
        self.redactor.get_or_init(|| {
            let urls = self.given.as_deref().into_iter().chain([&self.url]);
            let urls = urls.filter(|_| !self.has_public_url);
            let headers = self.headers.iter().map(|(name, value)| (name, value));
            let further = self.secrets.iter().map(|secret| secret.expose().into());
            Redactor::new(
                urls.flat_map(secrets_of_url)
                    .chain(secrets_of_headers(headers))
                    .chain(further),
            )
        })
    }

    /// Takes these out of what a receiver answers as well: secrets that are in no message.
    pub fn hide(&mut self, secrets: impl IntoIterator<Item = Secret>) {
        let known = std::mem::take(&mut self.secrets);
        self.secrets = known.into_iter().chain(secrets).collect();
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.destination.label)
    }
}

/// `slack hooks.slack.com#9c41`: the port where it is not the scheme's own.
fn label(sender: &str, url: &Url, address: &str) -> String {
    let host = url.host_str().unwrap_or("-");
    let fingerprint = fingerprint(address);
    match url.port() {
        None => [sender, " ", host, "#", &fingerprint].concat(),
        Some(port) => format!("{sender} {host}:{port}#{fingerprint}"),
    }
}

/// An address below a base address, whose own path and query stay.
pub fn join_path<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Lower case and punycode already by the URL's parser; without the root's dot.
pub fn normal_host(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// The URL without user and password, what they make of an `Authorization` header, and the URL as it was given where it had
/// some.
fn without_userinfo(given: Url) -> (Url, Option<HeaderValue>, Option<Box<Url>>) {
    if given.username().is_empty() && given.password().is_none() {
        return (given, None, None);
    }
    let mut url = given.clone();
    let decode = |part: &str| percent_decode_str(part).collect::<Vec<u8>>();
    let mut pair = decode(given.username());
    pair.push(b':');
    pair.extend(decode(given.password().unwrap_or_default()));
    // Only a URL without a host refuses this.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, basic_auth(&pair), Some(Box::new(given)))
}

/// `Authorization: Basic …` for `user:password`.
pub fn basic_auth(pair: &[u8]) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// What may be a credential in a header whose usual words are no secret, and stand in many replies.
fn uncommon_words(value: &str) -> impl Iterator<Item = &str> {
    const SHORTEST: usize = 8;
    const COMMON: [&str; 11] = [
        "application",
        "multipart",
        "form-data",
        "octet-stream",
        "event-stream",
        "x-www-form-urlencoded",
        "compatible",
        "influxdb3-notifier",
        "discordbot",
        "applewebkit",
        "mozilla",
    ];
    let is_between = |c: char| c.is_whitespace() || "/;,=()\"".contains(c);
    let words = value
        .split(is_between)
        .filter(|word| word.len() >= SHORTEST);
    words.filter(|word| !COMMON.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Every value that may be a credential, and the credential inside `Bearer …` and `Basic …`.
fn secrets_of_headers<'a>(
    headers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) -> Vec<Cow<'a, str>> {
    let mut secrets = Vec::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        if [CONTENT_TYPE, ACCEPT, USER_AGENT].contains(name) {
            secrets.extend(uncommon_words(&value).map(|word| Cow::Owned(word.to_owned())));
            continue;
        }
        if let Some((scheme, credential)) = value.split_once(' ') {
            let credential = credential.trim();
            secrets.push(credential.to_owned().into());
            let pair = BASE64_STANDARD.decode(credential);
            if let (true, Ok(pair)) = (scheme.eq_ignore_ascii_case("basic"), pair) {
                let pair = String::from_utf8_lossy(&pair).into_owned();
                let parts = pair.split_once(':');
                let parts = parts.map(|(user, password)| [user, password].map(str::to_owned));
                secrets.extend(parts.into_iter().flatten().map(Cow::Owned));
                secrets.push(pair.into());
            }
        }
        secrets.push(value);
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}
