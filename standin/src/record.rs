//! The received requests ([`Records`]) and the accepted messages ([`Messages`]). Both are bounded, because a soak test runs for
//! hours.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::lock::lock;

const MAX_ENTRIES: usize = 200_000;
const MAX_BYTES: usize = 64 << 20;

/// One request. It is recorded when its head arrives, and updated afterwards.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The order of arrival, from 1. Numbers are not reused, so a first number above 1 means that records were dropped.
    pub n: u64,
    pub provider: &'static str,
    pub method: String,
    pub path: String,
    pub query: String,
    /// The received headers, including duplicates, with lower-case names. Headers with the same name are adjacent.
    pub headers: Vec<(String, String)>,
    #[serde(flatten, serialize_with = "body_as_text_and_base64")]
    pub body: Bytes,
    /// None: no reply, because of a hang or because the client disconnected first.
    pub status: Option<u16>,
    /// Whether the provider accepted the message, independent of the reply.
    pub accepted: bool,
    /// Why the provider rejects the request, or which mistake it silently accepts.
    pub problem: Option<String>,
    /// The number of the connection, from 1. Requests on a reused connection have the same number.
    pub connection: u64,
    pub tls: bool,
    /// Milliseconds from the start of the stand-in to the arrival of the head, by a monotonic clock.
    pub at_ms: f64,
}

impl Record {
    /// The first value of a header. The name is case-insensitive.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text, with invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, or `Null` if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn body_as_text_and_base64<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Encodings<'a> {
        body: std::borrow::Cow<'a, str>,
        body_base64: String,
    }
    Encodings {
        body: String::from_utf8_lossy(body),
        body_base64: STANDARD.encode(body),
    }
    .serialize(serializer)
}

/// The outcome of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestOutcome {
    pub status: Option<u16>,
    pub accepted: bool,
    pub problem: Option<String>,
}

/// The requests, oldest first.
#[derive(Debug, Default)]
pub struct Records(Mutex<RecordLog>);

#[derive(Debug, Default)]
struct RecordLog {
    list: VecDeque<Record>,
    /// The last assigned number.
    last_number: u64,
    bytes: usize,
}

impl RecordLog {
    fn by_number(&mut self, n: u64) -> Option<&mut Record> {
        let first = self.list.front()?.n;
        self.list
            .get_mut(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    fn trim(&mut self) {
        while self.list.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.list.pop_front() else {
                return;
            };
            self.bytes -= oldest.body.len();
        }
    }
}

impl Records {
    /// Adds a request whose head arrived, and returns its number.
    pub fn add(&self, mut record: Record) -> u64 {
        let mut log = lock(&self.0);
        log.last_number += 1;
        record.n = log.last_number;
        log.list.push_back(record);
        log.trim();
        log.last_number
    }

    pub fn set_body(&self, n: u64, body: Bytes) {
        // A copy, because a slice would keep the whole buffer of the connection alive.
        let body = Bytes::copy_from_slice(&body);
        let mut log = lock(&self.0);
        let len = body.len();
        if let Some(record) = log.by_number(n) {
            record.body = body;
            log.bytes += len;
            log.trim();
        }
    }

    pub fn set_outcome(&self, n: u64, outcome: RequestOutcome) {
        if let Some(record) = lock(&self.0).by_number(n) {
            record.status = outcome.status;
            record.accepted = outcome.accepted;
            record.problem = outcome.problem;
        }
    }

    pub fn count(&self, prefix: &str) -> usize {
        let log = lock(&self.0);
        if prefix.is_empty() {
            return log.list.len();
        }
        log.list
            .iter()
            .filter(|r| r.path.starts_with(prefix))
            .count()
    }

    /// The records whose path begins with `prefix`.
    pub fn list(&self, prefix: &str) -> Vec<Record> {
        lock(&self.0)
            .list
            .iter()
            .filter(|r| r.path.starts_with(prefix))
            .cloned()
            .collect()
    }

    pub fn clear(&self) {
        let mut log = lock(&self.0);
        log.list.clear();
        log.bytes = 0;
    }
}

/// An accepted message.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub provider: &'static str,
    /// The webhook's path, or the phone number.
    pub destination: String,
    /// The text that a reader sees. A structured message has one line per text, in order.
    pub text: String,
    /// The mentions in the message, in the provider's syntax.
    pub mentions: Vec<String>,
    /// The ID in the provider's reply, if it has one.
    pub id: Option<String>,
    /// The message as the provider's API returns it (Twilio), or the accepted body.
    pub detail: Value,
}

/// The accepted messages, oldest first.
#[derive(Debug, Default)]
pub struct Messages(Mutex<MessageLog>);

#[derive(Debug, Default)]
struct MessageLog {
    list: VecDeque<Message>,
    bytes: usize,
}

impl Messages {
    pub fn add(&self, message: Message) {
        let mut log = lock(&self.0);
        log.bytes += message.text.len();
        log.list.push_back(message);
        while log.list.len() > MAX_ENTRIES || log.bytes > MAX_BYTES {
            let Some(oldest) = log.list.pop_front() else {
                return;
            };
            log.bytes -= oldest.text.len();
        }
    }

    pub fn count(&self) -> usize {
        lock(&self.0).list.len()
    }

    pub fn list(&self) -> Vec<Message> {
        lock(&self.0).list.iter().cloned().collect()
    }

    /// Whether a message has this ID.
    pub fn has(&self, provider: &str, id: &str) -> bool {
        let log = lock(&self.0);
        let mut of_provider = log.list.iter().filter(|m| m.provider == provider);
        of_provider.any(|m| m.id.as_deref() == Some(id))
    }

    /// The details of matching messages, newest first, for Twilio's list of an account's messages.
    pub fn newest(&self, matches: impl Fn(&Message) -> bool) -> Vec<Value> {
        lock(&self.0)
            .list
            .iter()
            .rev()
            .filter(|m| matches(m))
            .map(|m| m.detail.clone())
            .collect()
    }

    pub fn clear(&self) {
        *lock(&self.0) = MessageLog::default();
    }
}
