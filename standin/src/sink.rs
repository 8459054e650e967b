//! `/sink/{latency_ms}/…`: the fastest answer there is, for the benchmark. Counts with atomics, keeps and checks nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

/// How many requests and bytes came in, by what they seem to be for.
#[derive(Debug, Default)]
pub struct Sink {
    kinds: [Count; KINDS.len()],
}

#[derive(Debug, Default)]
struct Count {
    requests: AtomicU64,
    body_bytes: AtomicU64,
}

/// What makes the clients of a provider happy.
struct Kind {
    name: &'static str,
    /// Found in the path after the latency.
    mark: &'static str,
    status: StatusCode,
    content_type: &'static str,
    body: &'static str,
}

const JSON: &str = "application/json";

/// The first whose mark is found answers; the last has none, so it fits all.
const KINDS: [Kind; 4] = [
    Kind {
        name: "slack",
        mark: "/slack/",
        status: StatusCode::OK,
        content_type: "text/plain; charset=utf-8",
        body: "ok",
    },
    Kind {
        name: "discord",
        mark: "/discord/",
        status: StatusCode::OK,
        content_type: JSON,
        body: r#"{"id":"1","channel_id":"1"}"#,
    },
    Kind {
        name: "twilio",
        mark: "/2010-04-01/Accounts/",
        status: StatusCode::CREATED,
        content_type: JSON,
        body: r#"{"sid":"SM00000000000000000000000000000001","status":"queued","num_segments":"1","error_code":null,"error_message":null}"#,
    },
    Kind {
        name: "webhook",
        mark: "",
        status: StatusCode::OK,
        content_type: JSON,
        body: r#"{"received":true}"#,
    },
];

impl Sink {
    pub fn report(&self) -> Value {
        let load = |count: &Count| (count.requests.load(Relaxed), count.body_bytes.load(Relaxed));
        let mut by_kind = serde_json::Map::new();
        let mut total = (0, 0);
        for (kind, count) in KINDS.iter().zip(&self.kinds) {
            let (requests, body_bytes) = load(count);
            by_kind.insert(
                kind.name.to_owned(),
                json!({ "requests": requests, "body_bytes": body_bytes }),
            );
            total = (total.0 + requests, total.1 + body_bytes);
        }
        json!({ "requests": total.0, "body_bytes": total.1, "by_kind": by_kind })
    }

    pub fn requests(&self) -> u64 {
        self.kinds
            .iter()
            .map(|count| count.requests.load(Relaxed))
            .sum()
    }

    pub fn clear(&self) {
        for count in &self.kinds {
            count.requests.store(0, Relaxed);
            count.body_bytes.store(0, Relaxed);
        }
    }

    /// Answers a request whose path, less `/sink/`, is `rest`.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path();
        let (latency_ms, index) = parse(path.strip_prefix("/sink/").unwrap_or(path));
        // Twilio's list of messages, should a client look one up.
        let listing = request.method() == Method::GET;
        let bytes = swallow(request.into_body()).await?;
        let (kind, count) = (&KINDS[index], &self.kinds[index]);
        count.requests.fetch_add(1, Relaxed);
        count.body_bytes.fetch_add(bytes, Relaxed);
        if latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
        let body = if listing && kind.name == "twilio" {
            r#"{"messages":[]}"#
        } else {
            kind.body
        };
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *response.status_mut() = if listing { StatusCode::OK } else { kind.status };
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(kind.content_type));
        Ok(response)
    }
}

/// `25/slack/x` → 25 ms, the index of Slack. A latency that is no number is none.
fn parse(rest: &str) -> (u64, usize) {
    let (latency, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let index = KINDS
        .iter()
        .position(|kind| path.contains(kind.mark))
        .unwrap_or(KINDS.len() - 1);
    (latency.parse().unwrap_or(0), index)
}

async fn swallow(mut body: Incoming) -> Result<u64, hyper::Error> {
    let mut bytes = 0;
    while !body.is_end_stream() {
        match body.frame().await {
            Some(frame) => bytes += frame?.data_ref().map_or(0, |data| data.len() as u64),
            None => break,
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_latency_and_kind() {
        for (path, latency_ms, kind) in [
            ("25/slack/x", 25, "slack"),
            ("0/discord/1/2", 0, "discord"),
            ("5/2010-04-01/Accounts/AC1/Messages.json", 5, "twilio"),
            ("0/hook", 0, "webhook"),
            ("7", 7, "webhook"),
            ("x/slack/", 0, "slack"),
        ] {
            let (latency, index) = parse(path);
            assert_eq!((latency, KINDS[index].name), (latency_ms, kind), "{path}");
        }
    }
}
