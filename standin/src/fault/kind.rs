//! The ways to misbehave, as data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reply::CannedReply;

/// One way. In JSON: `{"kind": "slow_body", "byte_ms": 100}`; every parameter has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The port refuses.
    Refuse,
    /// Connects time out.
    Blackhole,
    /// Accepts, then neither reads nor writes; a TLS handshake stalls as well.
    Stall,
    /// Answers any bytes with a plain HTTP 200, a TLS hello too.
    PlainText,
    /// Reads the whole request, then RST.
    Reset,
    /// RST after the head, the body unread.
    ResetBeforeBody,
    /// Status, headers and a part of the body, a pause in which they arrive, then RST.
    ResetMidReply {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "pause_ms")]
        pause_ms: u64,
    },
    /// FIN after the request, no reply.
    Close,
    /// Reads the request, never answers.
    Silent,
    /// The reply's head, a byte at a time.
    SlowHeaders {
        #[serde(default = "second")]
        byte_ms: u64,
        #[serde(default = "ok")]
        status: u16,
    },
    /// `102 Processing` without end.
    #[serde(rename = "endless_1xx")]
    Endless1xx {
        #[serde(default = "interval_ms")]
        interval_ms: u64,
    },
    /// The reply's head at once, its body a byte at a time.
    SlowBody {
        #[serde(default = "second")]
        byte_ms: u64,
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "thousand")]
        length: u64,
    },
    /// A body of that length, as announced.
    HugeBody {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "gigabyte")]
        bytes: u64,
    },
    /// Chunks without end.
    EndlessChunked {
        #[serde(default = "ok")]
        status: u16,
    },
    /// A body of about a megabyte that inflates to `bytes`.
    GzipBomb {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "gigabyte")]
        bytes: u64,
    },
    /// A status line that is none.
    MalformedStatus {
        #[serde(default = "status_line")]
        line: String,
    },
    /// A good reply with that many headers.
    ManyHeaders {
        #[serde(default = "ten_thousand")]
        count: u64,
    },
    /// A good reply with one header of that size.
    HugeHeader {
        #[serde(default = "megabyte")]
        bytes: usize,
    },
    /// A body and nothing else.
    Http09,
    /// A body made to spoil logs and answers.
    HostileBody {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default)]
        variant: Hostile,
    },
    /// Exactly that reply, framed by `Content-Length` unless its headers say otherwise, keep-alive as asked for.
    Reply(Box<Sequence>),
    /// Answers the first request of each connection, swallows the rest of it: a pooled connection whose path died.
    DeadAfterFirst {
        #[serde(default)]
        provider: Played,
    },
    /// The first `fail_times` requests fail, then 200.
    Flaky {
        #[serde(default = "one")]
        fail_times: u64,
        #[serde(default)]
        how: Flaw,
    },
}

/// The first `times` requests get `reply`, all when absent; later ones get `then`, a plain 200 when absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sequence {
    #[serde(flatten)]
    pub reply: CannedReply,
    #[serde(default)]
    pub times: Option<u64>,
    #[serde(default)]
    pub then: Option<CannedReply>,
}

impl FaultKind {
    /// That reply to every request.
    pub fn reply(reply: CannedReply) -> Self {
        Self::Reply(Box::new(Sequence {
            reply,
            ..Sequence::default()
        }))
    }
}

/// What stands in a hostile body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hostile {
    #[default]
    InvalidUtf8,
    Nul,
    /// Terminal escapes: colours, a title, a cleared screen, direction overrides.
    Escapes,
    /// 10 MB without a line end.
    LongLine,
}

/// Whom a fault plays while it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Played {
    #[default]
    Webhook,
    Slack,
    Discord,
    Twilio,
}

/// How a flaky server fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flaw {
    #[default]
    Reset,
    #[serde(rename = "500")]
    Status500,
}

impl TryFrom<Value> for FaultKind {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let kind: Self = serde_json::from_value(value).map_err(|e| format!("fault: {e}"))?;
        if let Self::Reply(sequence) = &kind {
            sequence.reply.to_reply()?;
            sequence
                .then
                .as_ref()
                .map(CannedReply::to_reply)
                .transpose()?;
        }
        Ok(kind)
    }
}

fn ok() -> u16 {
    200
}

fn one() -> u64 {
    1
}

fn second() -> u64 {
    1000
}

fn pause_ms() -> u64 {
    50
}

fn interval_ms() -> u64 {
    100
}

fn thousand() -> u64 {
    1000
}

fn ten_thousand() -> u64 {
    10_000
}

fn megabyte() -> usize {
    1_000_000
}

fn gigabyte() -> u64 {
    1_000_000_000
}

fn status_line() -> String {
    "HTTP/1.1 2OO OK".to_owned()
}
