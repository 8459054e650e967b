//! Deliveries over a scripted transport, in paused time.

mod digest;
mod digest_order;
mod follow_up;
mod intake;
mod lookup;
mod panics;
mod renew;
mod repeat;
mod replies;
mod retry;
mod silence;
mod stored;
mod throttle;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::channels::{self, Fields, OperatorSettings, Origin};
use crate::json::{Json, Path, parse};
use crate::model::channel::ComposeContext;
use crate::model::notification::{AlertStatus, Notification};
use crate::model::outcome::{Failure, MessageRef, Outcome, Reason};
use crate::model::plan::{
    ComposeInput, DeliveryPolicy, Disposition, Identity, OnAmbiguous, OwnPolicy, Plan,
    PlannedDelivery, PlannedSend,
};
use crate::model::policy::{ClientKey, PrivateAddresses};
use crate::model::report::DeliveryReport;
use crate::model::wire::{HttpReply, Outbound, Reply};
use crate::observe::{LogLine, LogReceiver, TaskLog};
use crate::transport::{SendError, Sent};
use crate::warnings::Warnings;

/// The destination's reaction to one request.
#[derive(Clone)]
enum Does {
    Answers(u16, &'static [(&'static str, &'static str)], String),
    /// The connection breaks, before or after the message may have left.
    Breaks(Sent),
    Panics,
    /// Answers only after this.
    After(Duration, Box<Does>),
}
use Does::{After, Answers, Breaks, Panics};

fn ok() -> Does {
    Answers(200, &[], String::new())
}

fn accepted_reply(sid: &str) -> Does {
    let body = json!({"sid": sid, "status": "queued", "error_code": null});
    Answers(201, &[], body.to_string())
}

/// Returns a list of messages with this text, dated now.
fn listed(sids: &[&str]) -> Does {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = jiff::Timestamp::from_second(now.unwrap().as_secs() as i64).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = date.timestamp_to_string(&now).unwrap();
    let message = |sid: &&str| json!({"sid": sid, "body": "hi", "direction": "outbound-api", "date_created": date, "status": "sent"});
    let messages: Vec<_> = sids.iter().map(message).collect();
    Answers(200, &[], json!({"messages": messages}).to_string())
}

/// The destination's reaction to each request.
type Afterwards = Box<dyn Fn() -> Does + Send + Sync>;

/// A transport that follows a script and records its requests.
struct Script {
    steps: Mutex<VecDeque<Does>>,
    /// The reaction after the last step.
    afterwards: Option<Afterwards>,
    seen: Mutex<Vec<(Instant, &'static str)>>,
    /// The texts of the messages.
    bodies: Mutex<Vec<String>>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Does>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            afterwards: None,
            seen: Mutex::default(),
            bodies: Mutex::default(),
        })
    }

    /// Methods, with the seconds since `start`.
    fn seen(&self, start: Instant) -> Vec<(f64, &'static str)> {
        let seen = self.seen.lock().unwrap();
        let rounded = |at: Instant| ((at - start).as_secs_f64() * 10.0).round() / 10.0;
        seen.iter()
            .map(|(at, request_kind)| (rounded(*at), *request_kind))
            .collect()
    }

    fn next(&self, outbound: &Outbound) -> Does {
        let request = outbound.http().unwrap();
        let request_kind = match request.method.as_str() {
            "GET" => "GET",
            "PATCH" => "PATCH",
            _ => "POST",
        };
        self.seen
            .lock()
            .unwrap()
            .push((Instant::now(), request_kind));
        let body = String::from_utf8_lossy(&outbound.body()).into_owned();
        self.bodies.lock().unwrap().push(body);
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        let afterwards = || self.afterwards.as_ref().map(|does| does());
        let step = steps.pop_front().or_else(afterwards);
        step.expect("one request more than the script has")
    }
}

impl Transport for Script {
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound,
        _: &'a ClientKey,
        time: Duration,
    ) -> BoxFuture<'a, Result<Reply, SendError>> {
        Box::pin(async move {
            let mut step = self.next(outbound);
            loop {
                step = match step {
                    Answers(status, headers, body) => return Ok(reply(status, headers, body)),
                    Breaks(sent) => return Err(broken(Reason::ConnectionLost, sent)),
                    Panics => panic!("as the script says"),
                    After(wait, then) => {
                        tokio::time::sleep(wait.min(time)).await;
                        if wait > time {
                            return Err(broken(Reason::Timeout, Sent::Maybe));
                        }
                        *then
                    }
                }
            }
        })
    }
}

fn broken(reason: Reason, sent: Sent) -> SendError {
    SendError {
        failure: Failure::new(reason),
        sent,
        permanent: false,
    }
}

fn reply(status: u16, headers: &[(&'static str, &str)], body: String) -> Reply {
    let headers = headers.iter().map(|(name, value)| {
        (
            (*name).try_into().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    Reply::Http(HttpReply {
        status,
        headers: HeaderMap::from_iter(headers),
        body: Bytes::from(body),
        complete: true,
        received: SystemTime::now(),
    })
}

pub fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        delivery_timeout: Duration::from_secs(300),
        max_attempts: 10,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(60),
        attempt_timeout: Duration::from_secs(15),
        max_in_flight: 100,
        max_connections: 100,
        rate_limit: None,
        dedup_window: Duration::ZERO,
        repeat_interval: None,
        max_per_batch: None,
        max_per_minute: None,
        on_ambiguous: OnAmbiguous::Lookup,
        connect_timeout: Duration::from_secs(5),
        proxy: Arc::default(),
    }
}

fn per_minute(limit: u32) -> DeliveryPolicy {
    DeliveryPolicy {
        max_per_minute: Some(limit),
        ..policy()
    }
}

const SMS: &str = r#"{"twilio_sid": "AC1", "twilio_token": "t", "twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"}"#;
const HTTP: &str = r#"{"http_webhook_url": "http://hooks.example/a"}"#;
const OTHER: &str = r#"{"http_webhook_url": "http://hooks.example/b"}"#;
const DISCORD: &str = r#"{"discord_webhook_url": "http://hooks.example/api/webhooks/1/t"}"#;
const FIRING: Option<AlertStatus> = Some(AlertStatus::Firing);
const RESOLVED: Option<AlertStatus> = Some(AlertStatus::Resolved);

/// A delivery of "hi" by a sender as a request configures it.
fn delivery(sender: &str, configuration: &str) -> PlannedDelivery {
    let spec = channels::find(sender).unwrap();
    let members = parse(configuration).unwrap().json;
    let mut warnings = Warnings::default();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        members.as_object().unwrap(),
        Path::root(),
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &OperatorSettings::default()).unwrap();
    let notification = Notification::plain(Json::String("hi".to_owned()));
    let cx = ComposeContext::new("k");
    let messages = channel.compose(&notification, &cx).unwrap();
    PlannedDelivery {
        origin: None,
        sender: sender.to_owned(),
        receiver: None,
        disposition: Disposition::Send(Box::new(PlannedSend {
            channel,
            messages,
            private_addresses: PrivateAddresses::Allow,
            dedup_key: None,
            input: None,
            own: OwnPolicy::default(),
            configured_in: None,
            configuration_bytes: 0,
            resume: None,
            silence: None,
        })),
    }
}

/// Returns a delivery of this notification, as routing creates it for recomposition.
fn notification(sender: &str, configuration: &str, notification: Notification) -> PlannedDelivery {
    let mut delivery = delivery(sender, configuration);
    if let Disposition::Send(sending) = &mut delivery.disposition {
        sending.dedup_key = notification.dedup_key.clone();
        let input = input_of(notification);
        sending.messages = input.compose(sending.channel.as_ref()).unwrap();
        sending.input = Some(Box::new(input));
    }
    delivery
}

fn input_of(notification: Notification) -> ComposeInput {
    ComposeInput {
        notification: Arc::new(notification),
        context: ComposeContext::new("k"),
        parameters: None,
    }
}

fn plain(text: &str) -> PlannedDelivery {
    let text = Notification::plain(Json::String(text.to_owned()));
    notification("http", HTTP, text)
}

/// A process' deliveries over one script.
struct World {
    script: Arc<Script>,
    dispatcher: Dispatcher,
    start: Instant,
}

impl World {
    fn new(steps: impl IntoIterator<Item = Does>) -> Self {
        Self::of(Script::new(steps))
    }

    /// Returns a world in which every request has this result.
    fn always(afterwards: impl Fn() -> Does + Send + Sync + 'static) -> Self {
        Self::of(Arc::new(Script {
            steps: Mutex::default(),
            afterwards: Some(Box::new(afterwards)),
            seen: Mutex::default(),
            bodies: Mutex::default(),
        }))
    }

    fn of(script: Arc<Script>) -> Self {
        let transport: Arc<dyn Transport> = Arc::<Script>::clone(&script);
        Self {
            script,
            dispatcher: Dispatcher::new(transport, Sink::default()),
            start: Instant::now(),
        }
    }

    async fn submit(&self, deliveries: Vec<PlannedDelivery>, policy: DeliveryPolicy) -> Arc<Task> {
        self.submit_with(deliveries, policy, |_| {}).await
    }

    async fn submit_with(
        &self,
        deliveries: Vec<PlannedDelivery>,
        policy: DeliveryPolicy,
        change: impl FnOnce(&mut SubmitRequest),
    ) -> Arc<Task> {
        let accepted = self.try_submit(deliveries, policy, change).await;
        accepted.expect("it is taken")
    }

    /// `None`: there is no room.
    async fn try_submit(
        &self,
        deliveries: Vec<PlannedDelivery>,
        policy: DeliveryPolicy,
        change: impl FnOnce(&mut SubmitRequest),
    ) -> Option<Arc<Task>> {
        let number = fastrand::u64(..).to_string();
        let mut request = SubmitRequest {
            observer: None,
            after: None,
            identity: Identity {
                scope: "test".into(),
                key: Some(number.clone()),
                fingerprint: [0; 32],
            },
            log: TaskLog::new(Some(number.clone())),
            task_id: number,
            plan: Plan {
                notification: Arc::new(Notification::plain(Json::Null)),
                deliveries,
                shared_bytes: 0,
            },
            policy: Arc::new(policy),
            warnings: Vec::new(),
            caller: Caller::Settings("test".into()),
            persistence: None,
            batch: None,
            capacity: CapacityPolicy::default(),
        };
        change(&mut request);
        match self.dispatcher.submit(request).await {
            Ok(Submission::New(task) | Submission::InOutbox(task)) => Some(task),
            Err(SubmitError::NoCapacity(..) | SubmitError::NotPersisted(_)) => None,
            _ => panic!("not accepted"),
        }
    }

    /// Sends one SMS to its end.
    async fn sms(&self, policy: DeliveryPolicy) -> DeliveryReport {
        let task = self.submit(vec![delivery("sms", SMS)], policy).await;
        task.ended().await;
        task.report(0).unwrap()
    }

    /// Requests of one delivery each, in this order.
    async fn requests(
        &self,
        deliveries: impl IntoIterator<Item = PlannedDelivery>,
        policy: DeliveryPolicy,
    ) -> Vec<Arc<Task>> {
        let mut tasks = Vec::new();
        for delivery in deliveries {
            tasks.push(self.submit(vec![delivery], policy.clone()).await);
        }
        tasks
    }

    fn seen(&self) -> Vec<(f64, &'static str)> {
        self.script.seen(self.start)
    }

    /// Returns the texts sent to `http` destinations.
    fn said(&self) -> Vec<String> {
        let bodies = self.script.bodies.lock().unwrap();
        let said = bodies.iter().map(|body| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["message"].as_str().unwrap().to_owned()
        });
        said.collect()
    }

    fn times(&self) -> Vec<f64> {
        self.seen().into_iter().map(|(at, _)| at).collect()
    }
}

async fn outcomes(tasks: &[Arc<Task>]) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for task in tasks {
        task.ended().await;
        outcomes.push(task.report(0).unwrap().outcome);
    }
    outcomes
}

const SENT: Outcome = Outcome::Delivered { message: None };

fn delivered(sid: &str) -> Outcome {
    Outcome::Delivered {
        message: Some(MessageRef(sid.to_owned())),
    }
}

fn suppressed(rule: &str) -> Outcome {
    Outcome::Suppressed {
        rule: rule.to_owned(),
    }
}

fn reason(report: &DeliveryReport) -> (&'static str, Option<&'static str>) {
    let failure = report.outcome.failure();
    (
        report.outcome.code(),
        failure.map(|failure| failure.reason.code()),
    )
}

const LOST: Does = Breaks(Sent::Maybe);

/// A logger that fails.
struct LogPanics;

impl LogReceiver for LogPanics {
    fn push(&self, _: LogLine) {
        panic!("log")
    }
}
