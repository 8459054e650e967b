//! What arrived ([`Records`]), and what the providers accepted ([`Messages`]). Both are bounded: a soak test runs for hours.

use std::collections::VecDeque;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::lock::lock;

const MAX_KEPT: usize = 200_000;
const MAX_BYTES: usize = 64 << 20;

/// One request, recorded when its head arrived and completed as it went on.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// Order of arrival, from 1; never reused, so a gap tells that older records were dropped or cleared.
    pub n: u64,
    pub provider: &'static str,
    pub method: String,
    pub path: String,
    pub query: String,
    /// As received, duplicates included; names in lower case (hyper folds them), equal names side by side.
    pub headers: Vec<(String, String)>,
    #[serde(flatten, serialize_with = "body_both_ways")]
    pub body: Bytes,
    /// None: never answered (hung, or the client went away first).
    pub status: Option<u16>,
    /// The provider took the message, whatever it answered.
    pub accepted: bool,
    /// What the provider objects to, or lets pass in silence though it is wrong.
    pub problem: Option<String>,
    /// Number of the connection, from 1: equal numbers mean a reused connection.
    pub connection: u64,
    pub tls: bool,
    /// Milliseconds from the stand-in's start to the arrival of the head, monotonic.
    pub at_ms: f64,
}

impl Record {
    /// First value of a header, by any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

fn body_both_ways<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Both<'a> {
        body: std::borrow::Cow<'a, str>,
        body_base64: String,
    }
    Both {
        body: String::from_utf8_lossy(body),
        body_base64: STANDARD.encode(body),
    }
    .serialize(serializer)
}

/// How a request ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    pub status: Option<u16>,
    pub accepted: bool,
    pub problem: Option<String>,
}

/// The requests, oldest first.
#[derive(Debug, Default)]
pub struct Records(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    list: VecDeque<Record>,
    /// How many there ever were: the last `n` given.
    seen: u64,
    bytes: usize,
}

impl Kept {
    fn by_number(&mut self, n: u64) -> Option<&mut Record> {
        let first = self.list.front()?.n;
        self.list
            .get_mut(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    fn trim(&mut self) {
        while self.list.len() > MAX_KEPT || self.bytes > MAX_BYTES {
            let Some(oldest) = self.list.pop_front() else {
                return;
            };
            self.bytes -= oldest.body.len();
        }
    }
}

impl Records {
    /// Takes in a request whose head arrived; gives it its number.
    pub fn arrive(&self, mut record: Record) -> u64 {
        let mut kept = lock(&self.0);
        kept.seen += 1;
        record.n = kept.seen;
        kept.list.push_back(record);
        kept.trim();
        kept.seen
    }

    pub fn set_body(&self, n: u64, body: Bytes) {
        // A copy: the bytes are a part of the connection's buffer, which they would keep alive whole.
        let body = Bytes::copy_from_slice(&body);
        let mut kept = lock(&self.0);
        let len = body.len();
        if let Some(record) = kept.by_number(n) {
            record.body = body;
            kept.bytes += len;
            kept.trim();
        }
    }

    pub fn end(&self, n: u64, end: End) {
        if let Some(record) = lock(&self.0).by_number(n) {
            record.status = end.status;
            record.accepted = end.accepted;
            record.problem = end.problem;
        }
    }

    pub fn count(&self, prefix: &str) -> usize {
        let kept = lock(&self.0);
        if prefix.is_empty() {
            return kept.list.len();
        }
        kept.list
            .iter()
            .filter(|r| r.path.starts_with(prefix))
            .count()
    }

    /// Those whose path begins so; all for an empty prefix.
    pub fn list(&self, prefix: &str) -> Vec<Record> {
        lock(&self.0)
            .list
            .iter()
            .filter(|r| r.path.starts_with(prefix))
            .cloned()
            .collect()
    }

    pub fn clear(&self) {
        let mut kept = lock(&self.0);
        kept.list.clear();
        kept.bytes = 0;
    }
}

/// What a provider accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub provider: &'static str,
    /// The webhook's path, or the phone number.
    pub destination: String,
    /// What a reader would see; of structured messages the texts in order, one a line.
    pub text: String,
    /// Whom it notifies beside those who read along, as the provider writes mentions.
    pub mentions: Vec<String>,
    /// The id that the sender learns, where the provider gives one.
    pub id: Option<String>,
    /// The message as the provider itself would show it (Twilio), or the accepted body.
    pub detail: Value,
}

/// The accepted messages, oldest first.
#[derive(Debug, Default)]
pub struct Messages(Mutex<Accepted>);

#[derive(Debug, Default)]
struct Accepted {
    list: VecDeque<Message>,
    bytes: usize,
}

impl Messages {
    pub fn accept(&self, message: Message) {
        let mut kept = lock(&self.0);
        kept.bytes += message.text.len();
        kept.list.push_back(message);
        while kept.list.len() > MAX_KEPT || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.list.pop_front() else {
                return;
            };
            kept.bytes -= oldest.text.len();
        }
    }

    pub fn count(&self) -> usize {
        lock(&self.0).list.len()
    }

    pub fn list(&self) -> Vec<Message> {
        lock(&self.0).list.iter().cloned().collect()
    }

    /// Whether one has this id.
    pub fn has(&self, provider: &str, id: &str) -> bool {
        let kept = lock(&self.0);
        let mut of_provider = kept.list.iter().filter(|m| m.provider == provider);
        of_provider.any(|m| m.id.as_deref() == Some(id))
    }

    /// Details of those that fit, newest first: Twilio's list of an account's messages.
    pub fn newest(&self, fits: impl Fn(&Message) -> bool) -> Vec<Value> {
        lock(&self.0)
            .list
            .iter()
            .rev()
            .filter(|m| fits(m))
            .map(|m| m.detail.clone())
            .collect()
    }

    pub fn clear(&self) {
        *lock(&self.0) = Accepted::default();
    }
}
