//! Deliveries over a transport that does as it is told, in paused time.

mod follow_up;
mod repeat;
mod throttle;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue};
use serde_json::json;
use tokio::time::Instant;

use super::*;
use crate::channels::{Fields, Operator, Origin};
use crate::model::channel::Composing;
use crate::model::json::{Json, Path, parse};
use crate::model::notification::Notification;
use crate::model::outcome::MessageRef;
use crate::model::plan::{OnAmbiguous, OwnPolicy, Source};
use crate::model::policy::{ClientKey, PrivateAddresses};
use crate::model::wire::{HttpReply, Reply};
use crate::observe::{LateLog, LogLine};
use crate::transport::{SendError, Sent};

/// What the other side does with one request.
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

fn taken(sid: &str) -> Does {
    let body = json!({"sid": sid, "status": "queued", "error_code": null});
    Answers(201, &[], body.to_string())
}

/// A list of messages with this text, made just now.
fn listed(sids: &[&str]) -> Does {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = jiff::Timestamp::from_second(now.unwrap().as_secs() as i64).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new();
    let date = date.timestamp_to_string(&now).unwrap();
    let message = |sid: &&str| json!({"sid": sid, "body": "hi", "direction": "outbound-api", "date_created": date, "status": "sent"});
    let messages: Vec<_> = sids.iter().map(message).collect();
    Answers(200, &[], json!({"messages": messages}).to_string())
}

/// A transport that follows a script, and notes what it was asked.
struct Script {
    steps: Mutex<VecDeque<Does>>,
    seen: Mutex<Vec<(Instant, &'static str)>>,
    /// What the messages said.
    bodies: Mutex<Vec<String>>,
}

impl Script {
    fn new(steps: impl IntoIterator<Item = Does>) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps.into_iter().collect()),
            seen: Mutex::default(),
            bodies: Mutex::default(),
        })
    }

    /// Methods, with the seconds since `start`.
    fn seen(&self, start: Instant) -> Vec<(f64, &'static str)> {
        let seen = self.seen.lock().unwrap();
        let rounded = |at: Instant| ((at - start).as_secs_f64() * 10.0).round() / 10.0;
        seen.iter()
            .map(|(at, what)| (rounded(*at), *what))
            .collect()
    }

    fn next(&self, outbound: &Outbound) -> Does {
        let request = outbound.http().unwrap();
        let what = match request.method.as_str() {
            "GET" => "GET",
            "PATCH" => "PATCH",
            _ => "POST",
        };
        self.seen.lock().unwrap().push((Instant::now(), what));
        let body = String::from_utf8_lossy(&outbound.body()).into_owned();
        self.bodies.lock().unwrap().push(body);
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps
            .pop_front()
            .expect("one request more than the script has")
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

fn policy() -> DeliveryPolicy {
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

const SMS: &str = r#"{"twilio_sid": "AC1", "twilio_token": "t", "twilio_from_number": "+15017122661", "twilio_to_number": "+15558675310"}"#;
const HTTP: &str = r#"{"http_webhook_url": "http://hooks.example/a"}"#;
const OTHER: &str = r#"{"http_webhook_url": "http://hooks.example/b"}"#;

/// A delivery of "hi" by a sender as a request configures it.
fn delivery(sender: &str, configuration: &str) -> Delivery {
    let spec = channels::find(sender).unwrap();
    let members = parse(configuration).unwrap().json;
    let mut warnings = Vec::new();
    let mut fields = Fields::new(
        spec.key,
        Origin::Request,
        spec.parameters,
        members.as_object().unwrap(),
        Path::root(),
        &mut warnings,
    );
    let channel = (spec.parse)(&mut fields, &Operator::default()).unwrap();
    let notification = Notification::plain(Json::String("hi".to_owned()));
    let cx = Composing::new("k");
    let composition = channel.compose(&notification, &cx).unwrap();
    Delivery {
        sender: sender.to_owned(),
        receiver: None,
        work: Work::Send(Sending {
            channel,
            composition,
            private_addresses: PrivateAddresses::Allow,
            dedup_key: None,
            source: None,
            own: OwnPolicy::default(),
            configured_in: None,
            resume: None,
        }),
    }
}

/// A process' deliveries over one script.
struct World {
    script: Arc<Script>,
    dispatcher: Dispatcher,
    start: Instant,
}

impl World {
    fn new(steps: impl IntoIterator<Item = Does>) -> Self {
        let script = Script::new(steps);
        let transport: Arc<dyn Transport> = Arc::<Script>::clone(&script);
        Self {
            script,
            dispatcher: Dispatcher::new(transport, Arc::default(), Arc::default()),
            start: Instant::now(),
        }
    }

    async fn accept(&self, deliveries: Vec<Delivery>, policy: DeliveryPolicy) -> Arc<Task> {
        self.accept_with(deliveries, policy, |_| {}).await
    }

    async fn accept_with(
        &self,
        deliveries: Vec<Delivery>,
        policy: DeliveryPolicy,
        change: impl FnOnce(&mut Acceptance),
    ) -> Arc<Task> {
        let accepted = self.try_accept(deliveries, policy, change).await;
        accepted.expect("it is taken")
    }

    /// `None`: there is no room.
    async fn try_accept(
        &self,
        deliveries: Vec<Delivery>,
        policy: DeliveryPolicy,
        change: impl FnOnce(&mut Acceptance),
    ) -> Option<Arc<Task>> {
        let number = fastrand::u64(..).to_string();
        let mut acceptance = Acceptance {
            identity: Identity {
                scope: "test".into(),
                key: Some(number.clone()),
                fingerprint: [0; 32],
            },
            log: TaskLog::new(Some(number.clone())),
            task_id: number,
            plan: Plan { deliveries },
            policy: Arc::new(policy),
            warnings: Vec::new(),
            keeping: None,
            batch: None,
        };
        change(&mut acceptance);
        match self.dispatcher.accept(acceptance).await {
            Ok(Admission::New(task)) => Some(task),
            Err(NotAccepted::Full(_)) => None,
            _ => panic!("not accepted"),
        }
    }

    /// Sends one SMS to its end.
    async fn sms(&self, policy: DeliveryPolicy) -> DeliveryReport {
        let task = self.accept(vec![delivery("sms", SMS)], policy).await;
        task.ended().await;
        task.report(0).unwrap()
    }

    fn seen(&self) -> Vec<(f64, &'static str)> {
        self.script.seen(self.start)
    }
}

fn delivered(sid: &str) -> Outcome {
    Outcome::Delivered {
        message: Some(MessageRef(sid.to_owned())),
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

#[tokio::test(start_paused = true)]
async fn row_21_a_lost_reply_is_looked_up_after_5_15_and_45_seconds_and_then_ambiguous() {
    let failing = Answers(500, &[], String::new());
    let world = World::new([LOST, listed(&[]), Breaks(Sent::No), failing]);
    let report = world.sms(policy()).await;
    assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
    assert_eq!(report.attempts, 1);
    assert_eq!(
        world.seen(),
        [(0.0, "POST"), (5.0, "GET"), (15.0, "GET"), (45.0, "GET")]
    );
}

#[tokio::test(start_paused = true)]
async fn row_21_what_a_look_up_finds_is_delivered_with_its_sid() {
    for lost in [
        LOST,
        Answers(500, &[], String::new()),
        Answers(502, &[], String::new()),
    ] {
        let world = World::new([lost, listed(&[]), listed(&["SM1"])]);
        let report = world.sms(policy()).await;
        assert_eq!((report.outcome, report.attempts), (delivered("SM1"), 1));
        assert_eq!(world.seen(), [(0.0, "POST"), (5.0, "GET"), (15.0, "GET")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_found_message_that_twilio_says_failed_has_failed() {
    let listed = Answers(200, &[], {
        let Answers(_, _, body) = listed(&["SM1"]) else {
            unreachable!()
        };
        body.replace("\"sent\"", "\"undelivered\",\"error_code\":30007")
    });
    let world = World::new([LOST, listed]);
    assert_eq!(
        reason(&world.sms(policy()).await),
        ("failed", Some("forbidden"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_would_come_after_the_deadline_is_made_just_before_it_and_is_the_last() {
    for (timeout, times) in [
        (17, vec![5.0, 15.0, 16.0]),
        (10, vec![5.0, 9.0]),
        (3, vec![2.0]),
    ] {
        let world = World::new([vec![LOST], vec![listed(&[]); times.len()]].concat());
        let report = world
            .sms(DeliveryPolicy {
                delivery_timeout: Duration::from_secs(timeout),
                ..policy()
            })
            .await;
        assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
        let asked: Vec<_> = world.seen().into_iter().skip(1).map(|(at, _)| at).collect();
        assert_eq!(asked, times, "{timeout}");
    }
}

#[tokio::test(start_paused = true)]
async fn with_report_nobody_is_asked() {
    let world = World::new([LOST]);
    let on_ambiguous = OnAmbiguous::Report;
    let report = world
        .sms(DeliveryPolicy {
            on_ambiguous,
            ..policy()
        })
        .await;
    assert_eq!(reason(&report), ("ambiguous", Some("lost_reply")));
    assert_eq!(world.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn with_resend_what_is_not_found_is_sent_again() {
    let asked = || vec![listed(&[]); 3];
    let resend = || DeliveryPolicy {
        on_ambiguous: OnAmbiguous::Resend,
        ..policy()
    };
    let world = World::new([vec![LOST], asked(), vec![taken("SM2")]].concat());
    let report = world.sms(resend()).await;
    assert_eq!((report.outcome, report.attempts), (delivered("SM2"), 2));
    assert_eq!(world.seen().last(), Some(&(45.0, "POST")));
    // The first may have been taken: what becomes of the second cannot make it a failure.
    let refused = Answers(400, &[], json!({"code": 21211}).to_string());
    let world = World::new([vec![LOST], asked(), vec![refused]].concat());
    assert_eq!(
        reason(&world.sms(resend()).await),
        ("ambiguous", Some("lost_reply"))
    );
    let once = DeliveryPolicy {
        max_attempts: 1,
        ..resend()
    };
    let world = World::new([vec![LOST], asked()].concat());
    assert_eq!(
        reason(&world.sms(once).await),
        ("ambiguous", Some("lost_reply"))
    );
}

#[tokio::test(start_paused = true)]
async fn no_message_at_the_provider_is_counted_for_two_deliveries() {
    // Two alike, of which one was taken.
    let world = World::new([
        LOST,
        LOST,
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
    ]);
    let both = vec![delivery("sms", SMS), delivery("sms", SMS)];
    let task = world.accept(both, policy()).await;
    task.ended().await;
    let mut outcomes: Vec<_> = task
        .reports()
        .iter()
        .map(|report| report.outcome.code())
        .collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["ambiguous", "delivered"]);
    // The other's reply came, and named it.
    let world = World::new([
        taken("SM1"),
        LOST,
        listed(&["SM1"]),
        listed(&["SM1", "SM2"]),
    ]);
    assert_eq!(world.sms(policy()).await.outcome, delivered("SM1"));
    assert_eq!(world.sms(policy()).await.outcome, delivered("SM2"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_may_be_anothers_is_not_claimed_before_the_others_reply() {
    let slow = After(Duration::from_secs(10), Box::new(taken("SM1")));
    let world = World::new([
        LOST,
        slow,
        listed(&["SM1"]),
        listed(&["SM1"]),
        listed(&["SM1"]),
    ]);
    let task = world
        .accept(vec![delivery("sms", SMS), delivery("sms", SMS)], policy())
        .await;
    task.ended().await;
    let outcomes: Vec<_> = task
        .reports()
        .iter()
        .map(|report| report.outcome.code())
        .collect();
    assert_eq!(outcomes, ["ambiguous", "delivered"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_a_look_up() {
    let world = World::new([LOST, listed(&["SM1"])]);
    let task = world.accept(vec![delivery("sms", SMS)], policy()).await;
    while task.report(0).unwrap().outcome.failure().is_none() {
        tokio::task::yield_now().await;
    }
    task.wait_settled(world.start + Duration::from_secs(2));
    assert_eq!(world.start.elapsed(), Duration::ZERO);
    let report = task.reports().remove(0);
    assert_eq!(reason(&report), ("pending", Some("lost_reply")));
    assert_eq!(report.next_attempt_in, None, "no attempt is due");
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome, delivered("SM1"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_deliverys_end_cuts_short_says_what_was_known_before() {
    let hangs = After(Duration::from_secs(60), Box::new(ok()));
    let world = World::new([Answers(503, &[], String::new()), hangs]);
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(5),
        ..policy()
    };
    let task = world.accept(vec![delivery("http", HTTP)], short).await;
    task.ended().await;
    let report = task.report(0).unwrap();
    assert_eq!(reason(&report), ("failed", Some("server_error")));
    assert_eq!((report.http_status, report.attempts), (Some(503), 2));
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_connection_in_time_says_so() {
    let hangs = After(Duration::from_secs(14), Box::new(ok()));
    let world = World::new([hangs]);
    let one = DeliveryPolicy {
        max_connections: 1,
        delivery_timeout: Duration::from_secs(15),
        ..policy()
    };
    let short = DeliveryPolicy {
        delivery_timeout: Duration::from_secs(10),
        ..one.clone()
    };
    let first = world.accept(vec![delivery("http", HTTP)], one).await;
    let second = world.accept(vec![delivery("http", OTHER)], short).await;
    second.ended().await;
    let report = second.report(0).unwrap();
    assert_eq!(
        (reason(&report), report.attempts),
        (("failed", Some("timeout")), 0)
    );
    assert_eq!(world.start.elapsed(), Duration::from_secs(10));
    first.ended().await;
    assert_eq!(first.report(0).unwrap().outcome.code(), "delivered");
}

#[tokio::test(start_paused = true)]
async fn a_pause_holds_for_what_was_waiting_for_its_retry() {
    let failing = Answers(503, &[], String::new());
    let limited = Answers(429, &[("retry-after", "60")], String::new());
    let world = World::new([failing, ok(), limited, ok(), ok()]);
    let slowly = || DeliveryPolicy {
        initial_backoff: Duration::from_secs(10),
        ..policy()
    };
    let first = world.accept(vec![delivery("http", HTTP)], slowly());
    let first = first.await;
    while first.report(0).unwrap().outcome.failure().is_none() {
        tokio::task::yield_now().await;
    }
    let second = world.accept(vec![delivery("http", HTTP)], slowly());
    second.await.ended().await;
    let third = world.accept(vec![delivery("http", HTTP)], slowly());
    let third = third.await;
    first.ended().await;
    third.ended().await;
    let times: Vec<_> = world.seen().into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0.0, 0.0, 0.0, 60.0, 60.0]);
}

#[tokio::test(start_paused = true)]
async fn row_16_a_wait_that_no_clock_can_tell_ends_the_delivery() {
    let limited = Answers(
        429,
        &[("retry-after", "10000000000000000000")],
        String::new(),
    );
    let world = World::new([limited]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
}

#[tokio::test(start_paused = true)]
async fn row_50_a_wall_clock_that_jumps_changes_no_wait() {
    // Dates are held against the wall clock of the reply that brought them; everything else is monotonic.
    let dated = |date| Answers(429, date, String::new());
    let past = dated(&[("retry-after", "Thu, 01 Jan 1970 00:00:10 GMT")]);
    let future = dated(&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")]);
    let world = World::new([past.clone(), past, ok()]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome.code(), "delivered");
    assert!(world.start.elapsed() < Duration::from_secs(1));
    let world = World::new([future]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("rate_limited"))
    );
    assert!(
        world.start.elapsed() < Duration::from_secs(1),
        "no endless wait"
    );
}

#[tokio::test(start_paused = true)]
async fn row_44_a_panic_in_the_transport_ends_that_delivery_alone() {
    let world = World::new([Panics, ok(), ok()]);
    let task = world
        .accept(
            vec![delivery("http", HTTP), delivery("http", OTHER)],
            policy(),
        )
        .await;
    task.ended().await;
    let outcomes: Vec<_> = task.reports().iter().map(|report| reason(report)).collect();
    assert!(
        outcomes.contains(&("failed", Some("internal"))),
        "{outcomes:?}"
    );
    assert!(outcomes.contains(&("delivered", None)), "{outcomes:?}");
    let next = world.accept(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
    assert_eq!(world.dispatcher.gauges().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn row_44_a_panic_in_judge_ends_that_delivery_alone() {
    let world = World::new([ok(), ok()]);
    let mut broken = delivery("http", HTTP);
    if let Work::Send(sending) = &mut broken.work {
        sending.channel = Arc::new(JudgePanics(Arc::clone(&sending.channel)));
    }
    let task = world.accept(vec![broken], policy()).await;
    task.ended().await;
    assert_eq!(
        reason(&task.report(0).unwrap()),
        ("failed", Some("internal"))
    );
    let next = world.accept(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
}

#[derive(Debug)]
struct JudgePanics(Arc<dyn channels::Channel>);

impl channels::Channel for JudgePanics {
    fn destination(&self) -> &crate::model::wire::Destination {
        self.0.destination()
    }

    fn repeat(&self) -> crate::model::wire::Repeat {
        self.0.repeat()
    }

    fn compose(
        &self,
        notification: &Notification,
        cx: &Composing<'_>,
    ) -> Result<channels::Composition, Failure> {
        self.0.compose(notification, cx)
    }

    fn judge(&self, _: &Reply) -> crate::model::outcome::Judgement {
        panic!("judge")
    }
}

struct LogPanics;

impl LateLog for LogPanics {
    fn push(&self, _: LogLine) {
        panic!("log")
    }
}

#[tokio::test(start_paused = true)]
async fn row_44_a_panic_in_the_log_ends_no_delivery() {
    let world = World::new([After(Duration::from_secs(1), Box::new(ok())), ok()]);
    let task = world.accept(vec![delivery("http", HTTP)], policy()).await;
    task.log.hand_over(Arc::new(LogPanics));
    task.ended().await;
    assert_eq!(task.report(0).unwrap().outcome.code(), "delivered");
    let next = world.accept(vec![delivery("http", HTTP)], policy()).await;
    next.ended().await;
    assert_eq!(next.report(0).unwrap().outcome.code(), "delivered");
}
