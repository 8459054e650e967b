//! The kinds of faults, as data.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::reply::CannedReply;

/// A kind of fault. In JSON: `{"kind": "slow_body", "byte_ms": 100}`. Every parameter has a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The port refuses connections.
    Refuse,
    /// Connection attempts time out.
    Blackhole,
    /// Accepts the connection, then neither reads nor writes. A TLS handshake stalls too.
    Stall,
    /// Replies to any bytes with a plain HTTP 200, even to a TLS hello.
    PlainText,
    /// RST after the whole request.
    Reset,
    /// RST after the head, without reading the body.
    ResetBeforeBody,
    /// Status, headers and a part of the body, then RST after a pause.
    ResetMidReply {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "pause_ms")]
        pause_ms: u64,
    },
    /// FIN after the request, without a reply.
    Close,
    /// Reads the request, and never replies.
    Silent,
    /// Sends the reply's head byte by byte.
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
    /// Sends the reply's head at once, and its body byte by byte.
    SlowBody {
        #[serde(default = "second")]
        byte_ms: u64,
        #[serde(default = "ok")]
        status: u16,
        #[serde(default = "thousand")]
        length: u64,
    },
    /// A body of `bytes` bytes, with a correct `Content-Length`.
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
    /// An invalid status line.
    MalformedStatus {
        #[serde(default = "status_line")]
        line: String,
    },
    /// A valid reply with `count` headers.
    ManyHeaders {
        #[serde(default = "ten_thousand")]
        count: u64,
    },
    /// A valid reply with one header of `bytes` bytes.
    HugeHeader {
        #[serde(default = "megabyte")]
        bytes: usize,
    },
    /// A body without a head.
    Http09,
    /// A body that attacks logs and responses.
    HostileBody {
        #[serde(default = "ok")]
        status: u16,
        #[serde(default)]
        variant: Hostile,
    },
    /// Exactly the given reply. `Content-Length` is added if its headers have no framing. The request decides keep-alive.
    Reply(Box<Sequence>),
    /// Replies to the first request of each connection and ignores later ones, as a dead pooled connection does.
    DeadAfterFirst {
        #[serde(default)]
        provider: ReplyOf,
    },
    /// The first `fail_times` requests fail, then 200.
    Flaky {
        #[serde(default = "one")]
        fail_times: u64,
        #[serde(default)]
        how: FlakyFailure,
    },
}

/// The first `times` requests get `reply` (None: all). Later requests get `then` (None: a plain 200).
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
    /// The same reply to every request.
    pub fn reply(reply: CannedReply) -> Self {
        Self::Reply(Box::new(Sequence {
            reply,
            ..Sequence::default()
        }))
    }
}

/// The content of a hostile body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hostile {
    #[default]
    InvalidUtf8,
    Nul,
    /// Terminal escapes: colours, a title, a cleared screen, direction overrides.
    Escapes,
    /// 10 MB without a line break.
    LongLine,
}

/// The provider whose successful reply a fault sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyOf {
    #[default]
    Webhook,
    Slack,
    Discord,
    Twilio,
}

/// The failure of a flaky server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlakyFailure {
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
