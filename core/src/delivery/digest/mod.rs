//! Deliveries that are held, and the digest that tells of them.

mod ahead;
mod pending;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

pub use self::ahead::{Ahead, AheadGuard};
use self::pending::Held;
pub use self::pending::PendingDigest;
pub use self::tally::Over;
use self::tally::Tally;
use super::arriving::Arriving;
use super::bounds::{Place, Usage};
use super::deliver::{end, to_the_end, wait_until_noted};
use super::durability::EndNote;
use super::engine::Engine;
use super::task::Task;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Sending, Source, Work};
use crate::model::report::DeliveryReport;
use crate::observe::{Event, LateLog, LogLine, Recorder, TaskLog};
use crate::panics::guarded;
use crate::warnings::Warnings;

/// Deliveries that end at once: an outbox commits them together.
const AT_ONCE: usize = 512;

impl PendingDigest {
    /// Tells of all of them in one message, and ends each as that has ended. It waits until the messages that it refers to
    /// have ended, but no longer than `patience`. One alone goes as it is, unless its alert may have been closed meanwhile.
    pub async fn tell(mut self, engine: Arc<Engine>, patience: Option<Duration>) {
        let sending = &self.first.sending;
        let is_alert =
            sending.dedup_key.is_some() && sending.channel.capabilities().keeps_incidents();
        if self.others.is_empty() && !is_alert {
            self.first.ahead_of = self.ahead_of;
            engine.run(self.first);
            return;
        }
        let deadline = Instant::now() + self.policy().delivery_timeout;
        match patience {
            Some(patience) => drop(timeout(patience, self.ahead.ended()).await),
            None => self.ahead.ended().await,
        }
        let Self {
            first,
            others,
            tally,
            over,
            ahead: _,
            ahead_of,
        } = self;
        let Arriving {
            task,
            index,
            sender,
            receiver,
            sending,
            policy,
            place,
            kept,
            deadline: _,
            ahead_of: _,
        } = first;
        let usage = place.as_ref().map(Place::usage).unwrap_or_default();
        let held = Held {
            task,
            index,
            kept,
            place,
        };
        let digest = Digest {
            id: uuid::Uuid::new_v4().to_string(),
            first: Arc::clone(&held.task),
            label: sending.channel.destination().label.clone(),
            over,
            tally,
            usage,
        };
        let told = sending.source.as_ref().and_then(|source| {
            let notification = digest.tally.digest(&source.notification, over);
            digest.first.log.recorder_of(&notification)
        });
        let mut warnings = Warnings::default();
        let delivery = Delivery {
            sender: sender.clone(),
            receiver,
            work: digest.work(*sending, &mut warnings),
        };
        let run = DigestRun {
            delivery,
            policy,
            deadline,
            ahead_of,
            warnings: warnings.into_lines(),
            recorder: told,
        };
        let report = digest.send(&engine, run).await;
        let all = std::iter::once(held).chain(others);
        end_all(all, &engine, &digest, &report).await;
    }
}

async fn end_all(
    mut all: impl Iterator<Item = Held>,
    engine: &Engine,
    digest: &Digest,
    report: &DeliveryReport,
) {
    loop {
        let some: Vec<_> = all.by_ref().take(AT_ONCE).collect();
        if some.is_empty() {
            return;
        }
        let noted = some.iter().map(|held| {
            let note = held.end(engine, digest, report);
            held.wait_until_noted(engine, note)
        });
        // All have ended before the first is waited for.
        let noted: Vec<_> = noted.collect();
        join_all(noted).await;
        drop(some);
        // Others wait for this worker.
        tokio::task::yield_now().await;
    }
}

impl Held {
    /// It has been told of, or it shares the digest's failure.
    fn end(&self, engine: &Engine, digest: &Digest, report: &DeliveryReport) -> Option<EndNote> {
        let outcome = match &report.outcome {
            Outcome::Delivered { .. } => Outcome::Suppressed {
                rule: digest.over.rule().to_owned(),
            },
            failed => {
                self.task.update(self.index, |held| {
                    held.attempts = report.attempts;
                    held.http_status = report.http_status;
                });
                failed.clone()
            }
        };
        let (task, sender) = (&self.task, &report.sender);
        let kept = self.kept.as_deref();
        end(
            engine,
            task,
            self.index,
            sender,
            &digest.label,
            outcome,
            kept,
        )
    }

    async fn wait_until_noted(&self, engine: &Engine, note: Option<EndNote>) {
        if let Some((kept, note)) = self.kept.as_deref().zip(note) {
            wait_until_noted(engine, &self.task, self.index, kept, note).await;
        }
    }
}

/// What sends a digest.
struct DigestRun {
    delivery: Delivery,
    policy: Arc<DeliveryPolicy>,
    /// When the last try must have ended.
    deadline: Instant,
    ahead_of: Vec<AheadGuard>,
    warnings: Vec<String>,
    recorder: Option<Recorder>,
}

/// The one message in place of many: a delivery of its own, with a task of its own.
struct Digest {
    id: String,
    /// Whose log it is written to.
    first: Arc<Task>,
    label: String,
    over: Over,
    tally: Tally,
    /// What its caller uses.
    usage: Arc<Usage>,
}

impl Digest {
    /// What is sent where the first one would have gone, by the same channel.
    fn work(&self, mut sending: Sending, warnings: &mut Warnings) -> Work {
        let source = sending.source.take();
        let composed = guarded(|| {
            let source = self.source(*source.ok_or(Failure::new(Reason::Internal))?, warnings);
            source.compose(sending.channel.as_ref(), None)
        });
        let composed = composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)));
        match composed {
            Ok(messages) => {
                warnings.extend_from(&messages.warnings);
                Work::Send(Box::new(Sending {
                    messages,
                    dedup_key: None,
                    configured_in: None,
                    resume: None,
                    silence: None,
                    ..sending
                }))
            }
            Err(failure) => Work::Reject {
                failure,
                path: None,
            },
        }
    }

    fn source(&self, first: Source, warnings: &mut Warnings) -> Source {
        let notification = self.tally.digest(&first.notification, self.over);
        let parameters = first.parameters;
        let rendered = parameters.map(|parameters| parameters.render(&notification, warnings));
        Source {
            notification: Arc::new(notification),
            allow_mentions: first.allow_mentions,
            key: self.id.as_str().into(),
            index: 0,
            rendered: rendered.unwrap_or_default(),
            parameters: None,
        }
    }

    /// Sends it to its end. It goes whatever else there is: it takes the place of many.
    async fn send(&self, engine: &Arc<Engine>, run: DigestRun) -> DeliveryReport {
        let DigestRun {
            delivery,
            policy,
            deadline,
            ahead_of,
            warnings,
            recorder,
        } = run;
        let log = TaskLog::new(Some(self.id.clone())).recording(recorder);
        log.hand_over(Arc::new(Beside(Arc::clone(&self.first))));
        // Whatever becomes of the lines, the digest goes.
        let say = || self.say(&log, &warnings);
        let _ = guarded(say);
        let (report, sizes) = (delivery.report(0), [delivery.size()]);
        let Work::Send(sending) = delivery.work else {
            return report;
        };
        let task = Task::new(self.id.clone(), log, Vec::new(), [report.clone()]);
        let digest = Arriving {
            task: Arc::clone(&task),
            index: 0,
            sender: delivery.sender,
            receiver: delivery.receiver,
            sending,
            policy,
            place: engine.bounds.reserve_accepted(&self.usage, &sizes, 0).pop(),
            kept: None,
            deadline,
            ahead_of,
        };
        let (run, place) = engine.ready(digest);
        to_the_end(run, place).await;
        task.report(0).unwrap_or(report)
    }

    fn say(&self, log: &TaskLog, warnings: &[String]) {
        log.log(&Event::Digest {
            destination: &self.label,
            notifications: self.tally.notifications,
            rule: self.over.rule(),
            first: &self.first.id,
        });
        for warning in warnings {
            log.log(&Event::Warning(warning));
        }
    }
}

/// The log of a task beside its own.
struct Beside(Arc<Task>);

impl LateLog for Beside {
    fn push(&self, line: LogLine) {
        self.0.log.push(line);
    }
}
