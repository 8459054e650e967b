//! The limit: a bare reqwest client that sends the same requests, pooled, all at once, and does nothing else.
//!
//! Reads one job a line on standard input, answers with one line on standard output:
//!
//! - `{"do":"send","requests":[{"url":…,"headers":{…},"body":…}],"times":3,"timeout_ms":…}`: all requests at once,
//!   so many times. The first job includes what a first call has to set up: runtime and client.
//! - `{"do":"load","request":{…},"callers":16,"count":1000,"expect":…}`: callers that each send one request after another
//!   until `count` are sent. Delivered is an answer 2xx that contains `expect`, spaces apart. `@number@` in the body is
//!   another number in each.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Request, Url};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// As many as the notifier has.
const WORKERS: usize = 2;
/// Stands in a body of a load for the request's number.
const NUMBER: &str = "@number@";

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Job {
    Send {
        requests: Vec<Message>,
        times: usize,
        timeout_ms: Option<u64>,
    },
    Load {
        request: Message,
        callers: usize,
        count: usize,
        expect: String,
    },
}

#[derive(Deserialize)]
struct Message {
    url: String,
    headers: BTreeMap<String, String>,
    body: String,
}

/// What one call took.
#[derive(Serialize)]
struct Call {
    wall_ns: u64,
    cpu_ns: u64,
    /// Answers that were successes.
    delivered: usize,
    /// When each request had its answer, in the order of the job; none where it was no success.
    delivered_ns: Vec<Option<u64>>,
}

struct Limit {
    runtime: Runtime,
    client: Client,
}

impl Limit {
    fn new() -> Result<Self, Error> {
        // The first that is installed stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self {
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(WORKERS)
                .enable_all()
                .build()?,
            client: Client::builder().no_proxy().build()?,
        })
    }

    /// When each request had its answer.
    fn send(&self, messages: &[Message], timeout: Option<Duration>) -> Vec<Option<Duration>> {
        let started = Instant::now();
        let requests = messages.iter().map(|message| message.request(timeout));
        let requests: Vec<Request> = requests.flatten().collect();
        let end = move |answer: reqwest::Result<String>| answer.ok().map(|_| started.elapsed());
        self.runtime.block_on(async {
            let mut requests = requests.into_iter();
            // A single request needs no task.
            if requests.len() == 1
                && let Some(request) = requests.next()
            {
                return vec![end(exchange(&self.client, request).await)];
            }
            let spawn = |request| {
                let client = self.client.clone();
                tokio::spawn(async move { end(exchange(&client, request).await) })
            };
            let tasks: Vec<_> = requests.map(spawn).collect();
            let mut ends = Vec::with_capacity(tasks.len());
            for task in tasks {
                ends.push(task.await.ok().flatten());
            }
            ends
        })
    }

    fn load(&self, request: &Request, callers: usize, count: usize, expect: &str) -> usize {
        let (left, good) = (Arc::new(AtomicUsize::new(count)), Arc::default());
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for _ in 0..callers {
                let (left, good) = (Arc::clone(&left), Arc::<AtomicUsize>::clone(&good));
                let (client, expect) = (self.client.clone(), expect.to_owned());
                let Some(template) = request.try_clone() else {
                    continue;
                };
                tasks.spawn(async move {
                    let take = |left: usize| left.checked_sub(1);
                    while let Ok(number) =
                        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                        && let Some(mut request) = template.try_clone()
                    {
                        if let Some(body) = numbered(&request, number) {
                            *request.body_mut() = Some(body.into());
                        }
                        let answer = exchange(&client, request).await;
                        let is_good =
                            answer.is_ok_and(|body| body.replace(' ', "").contains(&expect));
                        good.fetch_add(usize::from(is_good), Ordering::Relaxed);
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
        });
        good.load(Ordering::Relaxed)
    }
}

/// A body that says where its request's number is to stand: none is then a repeat of another.
fn numbered(request: &Request, number: usize) -> Option<String> {
    let body = std::str::from_utf8(request.body()?.as_bytes()?).ok()?;
    let place = body.contains(NUMBER);
    place.then(|| body.replace(NUMBER, &number.to_string()))
}

/// Sends a request and reads the whole answer; other statuses than 2xx are errors.
async fn exchange(client: &Client, request: Request) -> reqwest::Result<String> {
    let response = client.execute(request).await?.error_for_status()?;
    response.text().await
}

impl Message {
    fn request(&self, timeout: Option<Duration>) -> Result<Request, Error> {
        let mut request = Request::new(Method::POST, Url::parse(&self.url)?);
        for (name, value) in &self.headers {
            let name = http::HeaderName::try_from(name)?;
            request.headers_mut().insert(name, value.parse()?);
        }
        *request.timeout_mut() = timeout;
        *request.body_mut() = Some(self.body.clone().into());
        Ok(request)
    }
}

/// User and system time of all threads.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    Duration::from_secs(part(now.tv_sec)) + Duration::from_nanos(part(now.tv_nsec))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Measures `work`, which says how many answers were successes and when they came.
fn measure(
    work: impl FnOnce() -> Result<(usize, Vec<Option<Duration>>), Error>,
) -> Result<Call, Error> {
    let (cpu, wall) = (cpu_time(), Instant::now());
    let (delivered, ends) = work()?;
    Ok(Call {
        wall_ns: nanoseconds(wall.elapsed()),
        cpu_ns: nanoseconds(cpu_time().saturating_sub(cpu)),
        delivered,
        delivered_ns: ends.into_iter().map(|end| end.map(nanoseconds)).collect(),
    })
}

fn run(job: &Job, limit: &mut Option<Limit>) -> Result<Vec<Call>, Error> {
    match job {
        Job::Send {
            requests,
            times,
            timeout_ms,
        } => {
            let timeout = timeout_ms.map(Duration::from_millis);
            let mut calls = Vec::new();
            for _ in 0..*times {
                calls.push(measure(|| {
                    let ends = started(limit)?.send(requests, timeout);
                    Ok((ends.iter().flatten().count(), ends))
                })?);
            }
            Ok(calls)
        }
        Job::Load {
            request,
            callers,
            count,
            expect,
        } => {
            let request = request.request(None)?;
            let call = measure(|| {
                let good = started(limit)?.load(&request, *callers, *count, expect);
                Ok((good, Vec::new()))
            });
            Ok(vec![call?])
        }
    }
}

fn started(limit: &mut Option<Limit>) -> Result<&Limit, Error> {
    Ok(match limit {
        Some(limit) => limit,
        None => limit.insert(Limit::new()?),
    })
}

fn main() -> Result<(), Error> {
    let mut limit = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let calls = run(&serde_json::from_str(&line?)?, &mut limit)?;
        writeln!(out, "{}", serde_json::to_string(&calls)?)?;
        out.flush()?;
    }
    Ok(())
}
