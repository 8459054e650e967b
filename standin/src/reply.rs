//! Replies, before they are HTTP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A status, headers and a body. The server adds the framing headers.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Reply {
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub fn text(status: u16, body: &'static str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An error of the stand-in itself, not of a provider.
    pub fn error(status: u16, sentence: impl std::fmt::Display) -> Self {
        Self::json(status, &json!({ "error": sentence.to_string() }))
    }

    /// Sets a header, and removes others with the same name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Converts the reply for hyper. A rule can ask for invalid HTTP, such as a status of 42. The result is then a 500 that
    /// describes the error.
    pub fn into_response(self) -> Response<Full<Bytes>> {
        self.try_response().unwrap_or_else(|sentence| {
            let mut response = Response::new(Full::new(Bytes::from(sentence)));
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    fn try_response(self) -> Result<Response<Full<Bytes>>, String> {
        let status = hyper::StatusCode::from_u16(self.status)
            .map_err(|e| format!("status {}: {e}", self.status))?;
        if status.is_informational() {
            return Err(format!(
                "status {status} is not a final status; use the fault `reply` to send it"
            ));
        }
        // These have no body [RFC 9110, 15.3.5 and 15.4.5].
        let bodiless = matches!(self.status, 204 | 304);
        let mut response =
            Response::new(Full::new(if bodiless { Bytes::new() } else { self.body }));
        *response.status_mut() = status;
        for (name, value) in self.headers {
            let name = HeaderName::try_from(&name).map_err(|e| format!("header {name:?}: {e}"))?;
            let value =
                HeaderValue::try_from(&value).map_err(|e| format!("value of {name}: {e}"))?;
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }
}

/// A reply in a rule or a fault. The body is `body` (text), `body_base64` (any bytes) or `json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CannedReply {
    /// 0 means 200.
    pub status: u16,
    /// The reason phrase. Only the fault `reply` sends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub headers: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
}

impl CannedReply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.json = Some(body);
        self
    }

    /// The reply, with a default content type.
    pub fn to_reply(&self) -> Result<Reply, String> {
        let (content_type, body) = match (&self.body, &self.body_base64, &self.json) {
            (None, None, None) => ("", Bytes::new()),
            (Some(text), None, None) => ("text/plain; charset=utf-8", Bytes::from(text.clone())),
            (None, Some(encoded), None) => {
                let decoded = STANDARD
                    .decode(encoded)
                    .map_err(|e| format!("body_base64: {e}"))?;
                ("application/octet-stream", Bytes::from(decoded))
            }
            (None, None, Some(value)) => ("application/json", Bytes::from(value.to_string())),
            _ => return Err("give only one of body, body_base64 and json".to_owned()),
        };
        let status = if self.status == 0 { 200 } else { self.status };
        let mut reply = Reply {
            status,
            headers: self.headers.clone(),
            body,
        };
        let typed = reply
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if !typed && !content_type.is_empty() {
            reply = reply.with("content-type", content_type);
        }
        Ok(reply)
    }
}
