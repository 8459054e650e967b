//! `/sink/{latency_ms}/…`: the fastest endpoint, for the benchmark. It counts requests, and records and checks nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

/// The number of requests and bytes, by provider.
#[derive(Debug, Default)]
pub struct Sink {
    counters: [Counter; SINK_PROVIDERS.len()],
}

#[derive(Debug, Default)]
struct Counter {
    requests: AtomicU64,
    body_bytes: AtomicU64,
}

/// A successful reply of a provider.
struct SinkProvider {
    name: &'static str,
    /// A part of the provider's paths.
    path_part: &'static str,
    status: StatusCode,
    content_type: &'static str,
    body: &'static str,
}

const JSON: &str = "application/json";

/// The first whose `path_part` is in the path replies. The last matches every path.
const SINK_PROVIDERS: [SinkProvider; 4] = [
    SinkProvider {
        name: "slack",
        path_part: "/slack/",
        status: StatusCode::OK,
        content_type: "text/plain; charset=utf-8",
        body: "ok",
    },
    SinkProvider {
        name: "discord",
        path_part: "/discord/",
        status: StatusCode::OK,
        content_type: JSON,
        body: r#"{"id":"1","channel_id":"1"}"#,
    },
    SinkProvider {
        name: "twilio",
        path_part: "/2010-04-01/Accounts/",
        status: StatusCode::CREATED,
        content_type: JSON,
        body: r#"{"sid":"SM00000000000000000000000000000001","status":"queued","num_segments":"1","error_code":null,"error_message":null}"#,
    },
    SinkProvider {
        name: "webhook",
        path_part: "",
        status: StatusCode::OK,
        content_type: JSON,
        body: r#"{"received":true}"#,
    },
];

impl Sink {
    pub fn report(&self) -> Value {
        let load = |count: &Counter| (count.requests.load(Relaxed), count.body_bytes.load(Relaxed));
        let mut by_kind = serde_json::Map::new();
        let mut total = (0, 0);
        for (kind, count) in SINK_PROVIDERS.iter().zip(&self.counters) {
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
        self.counters
            .iter()
            .map(|count| count.requests.load(Relaxed))
            .sum()
    }

    pub fn clear(&self) {
        for count in &self.counters {
            count.requests.store(0, Relaxed);
            count.body_bytes.store(0, Relaxed);
        }
    }

    /// Replies to a request.
    pub async fn reply(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let path = request.uri().path();
        let (latency_ms, index) = parse(path.strip_prefix("/sink/").unwrap_or(path));
        // A client may look up a message in Twilio's list.
        let listing = request.method() == Method::GET;
        let bytes = count_body_bytes(request.into_body()).await?;
        let (kind, count) = (&SINK_PROVIDERS[index], &self.counters[index]);
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

/// `25/slack/x` → 25 ms, the index of Slack. An invalid latency counts as 0.
fn parse(rest: &str) -> (u64, usize) {
    let (latency, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let index = SINK_PROVIDERS
        .iter()
        .position(|kind| path.contains(kind.path_part))
        .unwrap_or(SINK_PROVIDERS.len() - 1);
    (latency.parse().unwrap_or(0), index)
}

async fn count_body_bytes(mut body: Incoming) -> Result<u64, hyper::Error> {
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
    fn the_path_has_the_latency_and_the_provider() {
        for (path, latency_ms, kind) in [
            ("25/slack/x", 25, "slack"),
            ("0/discord/1/2", 0, "discord"),
            ("5/2010-04-01/Accounts/AC1/Messages.json", 5, "twilio"),
            ("0/hook", 0, "webhook"),
            ("7", 7, "webhook"),
            ("x/slack/", 0, "slack"),
        ] {
            let (latency, index) = parse(path);
            assert_eq!(
                (latency, SINK_PROVIDERS[index].name),
                (latency_ms, kind),
                "{path}"
            );
        }
    }
}
