//! Deliveries that are held, and the digest that tells of them.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::join_all;

use super::bounds::Place;
use super::{Arriving, Engine, Task, note_end, to_the_end};
use crate::model::json::Json;
use crate::model::notification::{Level, Notification, State, Status};
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::plan::{Delivery, DeliveryPolicy, Sending, Source, Work};
use crate::model::report::DeliveryReport;
use crate::model::text::{one_line, truncate};
use crate::observe::{Event, LateLog, LogLine, Recorder, TaskLog};
use crate::outbox::Outbox;

/// How much of the first text a digest quotes, in characters.
const QUOTED: usize = 200;
/// Ends that are noted at once: an outbox commits them together.
const NOTED_AT_ONCE: usize = 512;

/// What a delivery was one too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Minute,
    Batch,
}

impl Over {
    /// The rule that stands in answers and log lines.
    const fn rule(self) -> &'static str {
        match self {
            Over::Minute => "max_per_minute",
            Over::Batch => "max_per_batch",
        }
    }

    const fn when(self) -> &'static str {
        match self {
            Over::Minute => "in the last minute",
            Over::Batch => "in the same batch",
        }
    }
}

/// Those of whom one digest will tell. Of all but the first it is known only how they count and who waits for their end.
pub struct Crowd {
    first: Arriving,
    others: Vec<Held>,
    tally: Tally,
    over: Over,
}

/// A delivery that waits for the digest's end.
struct Held {
    task: Arc<Task>,
    index: usize,
    outbox: Option<Arc<dyn Outbox>>,
    /// Its own until its end is noted.
    _place: Option<Place>,
}

impl Crowd {
    pub fn new(first: Arriving, over: Over) -> Self {
        let mut tally = Tally::default();
        tally.count(&first.sending);
        Self {
            first,
            others: Vec::new(),
            tally,
            over,
        }
    }

    pub fn add(&mut self, arriving: Arriving) {
        self.tally.count(&arriving.sending);
        let Arriving {
            task,
            index,
            outbox,
            mut place,
            ..
        } = arriving;
        if let Some(place) = &mut place {
            place.give_back_bytes();
        }
        self.others.push(Held {
            task,
            index,
            outbox,
            _place: place,
        });
    }

    pub fn policy(&self) -> &DeliveryPolicy {
        &self.first.policy
    }

    /// Tells of all of them in one message, and ends each as that has ended. One alone goes as it is, unless its alert may
    /// have been closed meanwhile.
    pub async fn tell(self, engine: Arc<Engine>) {
        let sending = &self.first.sending;
        let is_alert = sending.dedup_key.is_some() && sending.channel.keeps_alerts();
        if self.others.is_empty() && !is_alert {
            engine.run(self.first);
            return;
        }
        let Self {
            first,
            others,
            tally,
            over,
        } = self;
        let Arriving {
            task,
            index,
            sender,
            receiver,
            sending,
            policy,
            place,
            outbox,
        } = first;
        let held = Held {
            task,
            index,
            outbox,
            _place: place,
        };
        let digest = Digest {
            id: uuid::Uuid::new_v4().to_string(),
            first: Arc::clone(&held.task),
            label: sending.channel.destination().label.clone(),
            over,
            tally,
        };
        let told = sending.source.as_ref().and_then(|source| {
            let notification = digest.tally.digest(&source.notification, over);
            digest.first.log.recorder_of(&notification)
        });
        let mut warnings = Vec::new();
        let delivery = Delivery {
            sender: sender.clone(),
            receiver,
            work: digest.work(sending, &mut warnings),
        };
        let report = digest
            .send(&engine, delivery, policy, &warnings, told)
            .await;
        let held: Vec<_> = std::iter::once(held).chain(others).collect();
        for held in &held {
            held.end(&engine, &digest, &report);
        }
        for held in held.chunks(NOTED_AT_ONCE) {
            join_all(held.iter().map(|held| held.note(&engine))).await;
        }
    }
}

impl Held {
    /// It has been told of, or it shares the digest's failure.
    fn end(&self, engine: &Engine, digest: &Digest, report: &DeliveryReport) {
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
        super::end(engine, task, self.index, sender, &digest.label, outcome);
    }

    async fn note(&self, engine: &Engine) {
        if let Some(outbox) = &self.outbox {
            note_end(engine, &**outbox, &self.task, self.index).await;
        }
    }
}

/// The one message in place of many: a delivery of its own, with a task of its own.
struct Digest {
    id: String,
    /// Whose log it is written to.
    first: Arc<Task>,
    label: String,
    over: Over,
    tally: Tally,
}

impl Digest {
    /// What is sent where the first one would have gone, by the same channel.
    fn work(&self, mut sending: Sending, warnings: &mut Vec<String>) -> Work {
        let source = sending.source.take();
        let composed = catch_unwind(AssertUnwindSafe(|| {
            let source = self.source(*source.ok_or(Failure::new(Reason::Internal))?, warnings);
            source.compose(sending.channel.as_ref(), None)
        }));
        let composed = composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)));
        match composed {
            Ok(composition) => Work::Send(Sending {
                composition,
                dedup_key: None,
                configured_in: None,
                resume: None,
                ..sending
            }),
            Err(failure) => Work::Reject {
                failure,
                path: None,
            },
        }
    }

    fn source(&self, first: Source, warnings: &mut Vec<String>) -> Source {
        let notification = self.tally.digest(&first.notification, self.over);
        let parameters = first.parameters;
        let rendered = parameters.map(|parameters| parameters.render(&notification, warnings));
        Source {
            notification: Arc::new(notification),
            allow_mentions: first.allow_mentions,
            key: self.id.clone(),
            index: 0,
            rendered: rendered.unwrap_or_default(),
            parameters: None,
        }
    }

    /// Sends it to its end. It goes whatever else there is: it takes the place of many.
    async fn send(
        &self,
        engine: &Arc<Engine>,
        delivery: Delivery,
        policy: Arc<DeliveryPolicy>,
        warnings: &[String],
        recorder: Option<Recorder>,
    ) -> DeliveryReport {
        let log = TaskLog::new(Some(self.id.clone())).recording(recorder);
        log.hand_over(Arc::new(Beside(Arc::clone(&self.first))));
        log.log(&Event::Digest {
            destination: &self.label,
            notifications: self.tally.notifications,
            rule: self.over.rule(),
            first: &self.first.id,
        });
        for warning in warnings {
            log.log(&Event::Warning(warning));
        }
        let report = delivery.report(0);
        let Work::Send(sending) = delivery.work else {
            return report;
        };
        let task = Task::new(self.id.clone(), log, Vec::new(), vec![report.clone()]);
        let sizes = [sending.composition.size()];
        let digest = Arriving {
            task: Arc::clone(&task),
            index: 0,
            sender: delivery.sender,
            receiver: delivery.receiver,
            sending,
            policy,
            place: engine.bounds.reserve_accepted(&sizes).pop(),
            outbox: None,
        };
        let (run, place) = engine.ready(digest);
        to_the_end(run, place).await;
        task.report(0).unwrap_or(report)
    }
}

/// The log of a task beside its own.
struct Beside(Arc<Task>);

impl LateLog for Beside {
    fn push(&self, line: LogLine) {
        self.0.log.push(line);
    }
}

/// How many notifications there are of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    notifications: usize,
    /// By [`Level::ALL`].
    levels: [usize; Level::ALL.len()],
    /// By [`Status::ALL`].
    statuses: [usize; Status::ALL.len()],
}

impl Tally {
    fn count(&mut self, sending: &Sending) {
        self.notifications += 1;
        let Some(State { level, status }) = sending.state() else {
            return;
        };
        for (count, of) in self.levels.iter_mut().zip(Level::ALL) {
            *count += usize::from(level == Some(of));
        }
        for (count, of) in self.statuses.iter_mut().zip(Status::ALL) {
            *count += usize::from(status == Some(of));
        }
    }

    /// What tells of them; as plain as the first, or as rich.
    fn digest(&self, first: &Notification, over: Over) -> Notification {
        let text = Notification::plain(Json::String(self.text(first, over)));
        if !first.is_rich() {
            return text;
        }
        let title = format!("{} more notifications", self.notifications);
        Notification {
            title: first.title.is_some().then_some(title),
            level: self.by_level().next().map(|(level, _)| level),
            // It is an alarm as long as one of them is.
            status: (self.resolved() == self.notifications).then_some(Status::Resolved),
            link: first.link.clone(),
            ..text
        }
    }

    fn text(&self, first: &Notification, over: Over) -> String {
        let mut text = format!("and {} more {}", self.notifications, over.when());
        let levels = self
            .by_level()
            .map(|(level, count)| format!("{count} {level}"));
        let mut counts: Vec<_> = levels.collect();
        let without = self.notifications - self.levels.iter().sum::<usize>();
        if !counts.is_empty() && without > 0 {
            counts.push(format!("{without} without a level"));
        }
        let mut counts = vec![counts.join(", ")];
        if self.resolved() > 0 {
            let statuses = Status::ALL.into_iter().zip(self.statuses);
            let statuses = statuses.filter(|(_, count)| *count > 0);
            let statuses = statuses.map(|(status, count)| format!("{count} {status}"));
            counts.push(statuses.collect::<Vec<_>>().join(", "));
        }
        counts.retain(|counts| !counts.is_empty());
        if !counts.is_empty() {
            let _ = write!(text, ": {}", counts.join("; "));
        }
        let _ = write!(text, ". The first: {}", subject(first));
        text
    }

    /// The worst first.
    fn by_level(&self) -> impl Iterator<Item = (Level, usize)> {
        let levels = Level::ALL.into_iter().zip(self.levels).rev();
        levels.filter(|(_, count)| *count > 0)
    }

    fn resolved(&self) -> usize {
        let [.., resolved] = self.statuses;
        resolved
    }
}

/// By what people know a notification: its title, or the beginning of its text.
fn subject(notification: &Notification) -> String {
    let text = match (&notification.title, notification.as_text()) {
        (Some(title), _) => title.as_str().into(),
        (None, Some(text)) => text,
        (None, None) => serde_json::to_string(&notification.text)
            .unwrap_or_default()
            .into(),
    };
    truncate(one_line(&text).trim(), QUOTED)
}
