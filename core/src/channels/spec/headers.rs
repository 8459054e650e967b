//! The `*_headers` fields: base64 of a JSON object of strings.

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::values::text;
use super::{Fields, Parameter};
use crate::json::Json;
use crate::text::shown;

/// How to treat a caller's `Host`, which selects one of a server's names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum HostHeader {
    Allowed,
    Dropped,
}

/// Reads the caller's headers. Drops unusable headers with a warning and still sends the message.
pub fn read(fields: &mut Fields<'_>, field: &Parameter, host: HostHeader) -> HeaderMap {
    match fields.headers(field) {
        None => HeaderMap::new(),
        Some(Ok(members)) => collect(fields, field, host, &members),
        Some(Err(message)) => {
            fields.warn(field, &message);
            HeaderMap::new()
        }
    }
}

/// Many servers accept 100 headers in all, which include ours and those of proxies.
const MAX_HEADERS: usize = 64;

fn collect(
    fields: &mut Fields<'_>,
    field: &Parameter,
    host: HostHeader,
    members: &[(String, Json)],
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if members.len() > MAX_HEADERS {
        let count = members.len();
        let message =
            format!("holds {count} headers; those after the first {MAX_HEADERS} are dropped");
        fields.warn(field, &message);
    }
    for (name, value) in members.iter().take(MAX_HEADERS) {
        match header(name, value, host) {
            // Of two spellings of a name the last wins, as with repeated keys.
            Ok((name, value)) => {
                headers.insert(name, value);
            }
            Err(message) => {
                let name = shown(name);
                fields.warn(field, &format!("header `{name}` {message}; dropped"));
            }
        }
    }
    headers
}

fn header(
    name: &str,
    value: &Json,
    host: HostHeader,
) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| "has a name that is no token")?;
    if is_framing(name.as_str()) {
        return Err("belongs to the connection and is never the caller's");
    }
    if name == http::header::HOST && host == HostHeader::Dropped {
        return Err("may be set for the http sender only");
    }
    let text = text(value).ok_or("has a value that is no string")?;
    if name == http::header::HOST && host_of(text.trim()).is_none() {
        return Err("has a value that is no host name");
    }
    // Clients commonly send non-ASCII characters as UTF-8 bytes.
    let mut value = HeaderValue::from_bytes(text.trim().as_bytes())
        .map_err(|_| "has a value with a control character, such as CR, LF or NUL")?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// Returns the host in a `Host` header without the port, in the form of a URL's host. Returns `None` if a server could
/// read another host.
pub fn host_of(value: &str) -> Option<String> {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if !value.chars().all(is_plain) {
        return None;
    }
    let url = Url::parse(&format!("http://{value}/")).ok()?;
    url.host_str().map(ToOwned::to_owned)
}

/// Framing and hop-by-hop headers.
fn is_framing(name: &str) -> bool {
    matches!(
        name,
        "content-length"
            | "transfer-encoding"
            | "connection"
            | "keep-alive"
            | "upgrade"
            | "te"
            | "trailer"
            | "expect"
    ) || name.starts_with("proxy-")
}
