//! The endpoint of an HTTP channel: one URL, the headers of every request, and the secrets in both.

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

/// The address and headers of every request. Ten thousand endpoints may be in memory at once, so the type stores only
/// what it needs.
pub struct Endpoint {
    pub url: Url,
    pub method: Method,
    pub destination: Destination,
    pub capabilities: &'static Capabilities,
    user_agent: &'static str,
    has_public_url: bool,
    /// Secret members of the body's JSON, or secret fields of its form.
    secret_members: &'static [&'static str],
    /// The caller's headers, and `Authorization` if the URL contains user and password.
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// The original URL, if it contains user and password.
    given: Option<Box<Url>>,
    /// Further secrets, such as a token in the URL's path.
    secrets: Box<[Secret]>,
    /// Built when the first reply arrives.
    redactor: OnceLock<Redactor>,
}

impl Endpoint {
    /// Reads a webhook's URL and the caller's headers.
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
            // The caller's headers come last, so that each replaces the channel's header of the same name.
            headers: endpoint.headers.into_iter().chain(callers).collect(),
            ..endpoint
        })
    }

    /// Returns the endpoint of this URL.
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

    /// Returns one of several destinations behind this URL. `secrets` distinguish the destinations, and the redactor
    /// removes them from replies.
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

    /// Marks the URL as public, because the provider documents it. Errors may then show the URL.
    pub const fn with_public_url(mut self) -> Self {
        self.has_public_url = true;
        self
    }

    /// Replaces the default `User-Agent`.
    pub const fn with_user_agent(mut self, user_agent: &'static str) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// Names the members of the body's JSON, or the fields of its form, that a preview masks.
    pub const fn with_secret_members(mut self, members: &'static [&'static str]) -> Self {
        self.secret_members = members;
        self
    }

    /// Adds a header to every message, unless the configuration sets a header of the same name.
    pub fn default_header(&mut self, name: HeaderName, value: HeaderValue) {
        let headers = std::mem::take(&mut self.headers).into_vec();
        self.headers = std::iter::once((name, value)).chain(headers).collect();
    }

    /// Adds a credential to every message as `Authorization`. Ignores a credential that is not a valid header value.
    pub fn authorize(&mut self, credential: &str) {
        if let Ok(mut value) = HeaderValue::try_from(credential) {
            value.set_sensitive(true);
            self.default_header(AUTHORIZATION, value);
        }
    }

    /// Adds a bearer token to every message.
    pub fn bearer(&mut self, token: &str) {
        self.authorize(&format!("Bearer {token}"));
    }

    /// Returns the configuration's header of this name. Of several, the last one is sent and returned.
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let mut headers = self.headers.iter().rev();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value)
    }

    /// Returns a message with this body. `own` adds headers to this message only; the caller's headers take
    /// precedence.
    pub fn post(&self, body: impl Into<Bytes>, own: &[(HeaderName, HeaderValue)]) -> Outbound {
        Outbound::Http(self.request(body, own))
    }

    /// Returns the request that [`Self::post`] wraps.
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

    /// Returns a message whose body is a form with these fields.
    pub fn form<'a>(&self, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> HttpRequest {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.request(
            form,
            &[(CONTENT_TYPE, HeaderValue::from_static(body::FORM))],
        )
    }

    /// Returns a message of this endpoint as a dry run shows it.
    pub fn preview(&self, out: &Outbound) -> String {
        body::preview(out, self.secret_members)
    }

    /// Returns the redactor that removes this destination's secrets from a receiver's replies.
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

    /// Adds secrets that no message contains. The redactor removes them from a receiver's replies too.
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

/// Returns a label such as `slack hooks.slack.com#9c41`. A port that is not the scheme's default follows the host.
fn label(sender: &str, url: &Url, address: &str) -> String {
    let host = url.host_str().unwrap_or("-");
    let fingerprint = fingerprint(address);
    match url.port() {
        None => [sender, " ", host, "#", &fingerprint].concat(),
        Some(port) => format!("{sender} {host}:{port}#{fingerprint}"),
    }
}

/// Appends path segments to a base address, whose own path and query remain.
pub fn join_path<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Removes the root's dot. The URL parser has already converted the host to lower case and punycode.
pub fn normal_host(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Splits a URL into the URL without user and password, the `Authorization` header that they make, and the original
/// URL if it had some.
fn without_userinfo(given: Url) -> (Url, Option<HeaderValue>, Option<Box<Url>>) {
    if given.username().is_empty() && given.password().is_none() {
        return (given, None, None);
    }
    let mut url = given.clone();
    let decode = |part: &str| percent_decode_str(part).collect::<Vec<u8>>();
    let mut pair = decode(given.username());
    pair.push(b':');
    pair.extend(decode(given.password().unwrap_or_default()));
    // This fails only for a URL without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    (url, basic_auth(&pair), Some(Box::new(given)))
}

/// Returns `Basic …` for `user:password`, as the value of `Authorization`.
pub fn basic_auth(pair: &[u8]) -> Option<HeaderValue> {
    let mut value =
        HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Returns the words of a header that may be a credential. Common words are not secret and occur in many replies.
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

/// Returns every header value that may be a credential, and the credential inside `Bearer …` and `Basic …`.
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
