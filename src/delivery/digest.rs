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
/// Deliveries that end at once: an outbox commits them together.
const AT_ONCE: usize = 512;

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
pub struct PendingDigest {
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

impl PendingDigest {
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

    pub fn size(&self) -> usize {
        self.tally.notifications
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
        let mut all = std::iter::once(held).chain(others);
        loop {
            let some: Vec<_> = all.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return;
            }
            for held in &some {
                held.end(&engine, &digest, &report);
            }
            join_all(some.iter().map(|held| held.note(&engine))).await;
            drop(some);
            // Others wait for this worker.
            tokio::task::yield_now().await;
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
            Ok(composition) => {
                warnings.extend_from_slice(&composition.warnings);
                Work::Send(Sending {
                    composition,
                    dedup_key: None,
                    configured_in: None,
                    resume: None,
                    ..sending
                })
            }
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
        // Whatever becomes of the lines, the digest goes.
        let say = || self.say(&log, warnings);
        let _ = catch_unwind(AssertUnwindSafe(say));
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
        let text = self.text(first, over);
        let level = self.by_level().next().map(|(level, _)| level);
        if !first.is_rich() {
            // Where there is no level but in texts, it stands there as it does in theirs.
            let word = level.map_or(String::new(), |level| {
                format!("[{}] ", level.word().to_uppercase())
            });
            return Notification::plain(Json::String(word + &text));
        }
        let title = match self.notifications {
            1 => "1 more notification".to_owned(),
            many => format!("{many} more notifications"),
        };
        Notification {
            title: first.title.is_some().then_some(title),
            level,
            // It is an alarm as long as one of them is.
            status: (self.resolved() == self.notifications).then_some(Status::Resolved),
            link: first.link.clone(),
            ..Notification::plain(Json::String(text))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{CHANNELS, configured};
    use crate::model::channel::Composing;

    fn rich(title: &str) -> Notification {
        Notification {
            title: Some(title.to_owned()),
            link: Some("https://grafana.example.com/d/1".to_owned()),
            dedup_key: Some("cpu".to_owned()),
            ..Notification::plain(Json::String("text".to_owned()))
        }
    }

    /// Of every level and none, of every status and none.
    fn tally() -> Tally {
        Tally {
            notifications: 212,
            levels: [0, 2, 100, 0, 100],
            statuses: [180, 2, 20],
        }
    }

    #[test]
    fn a_digest_says_how_many_there_are_of_each_kind_the_worst_first() {
        let none = Tally {
            notifications: 2,
            ..Tally::default()
        };
        let firing = Tally {
            statuses: [2, 0, 0],
            ..none.clone()
        };
        let long = "ä".repeat(300);
        let cut = format!("{}…", "ä".repeat(199));
        for (tally, first, expected) in [
            (
                tally(),
                rich("disk full"),
                "and 212 more in the last minute: 100 critical, 100 warning, 2 info, 10 without a level; \
                 180 firing, 2 acknowledged, 20 resolved. The first: disk full",
            ),
            (
                none.clone(),
                Notification::plain(Json::Number("5".to_owned())),
                "and 2 more in the last minute. The first: 5",
            ),
            // That all are firing is no news.
            (
                firing,
                Notification::plain(Json::Object(vec![("a".to_owned(), Json::Null)])),
                r#"and 2 more in the last minute. The first: {"a":null}"#,
            ),
            (
                none,
                Notification::plain(Json::String(format!("\n{long}"))),
                &format!("and 2 more in the last minute. The first: {cut}"),
            ),
        ] {
            assert_eq!(tally.text(&first, Over::Minute), expected);
        }
    }

    #[test]
    fn a_digest_is_as_plain_as_the_first_and_bears_the_highest_level() {
        let plain = Notification::plain(Json::String("[WARN] x".to_owned()));
        let digest = tally().digest(&plain, Over::Batch);
        assert!(!digest.is_rich());
        let text = digest.as_text().unwrap().into_owned();
        assert!(
            text.starts_with("[CRITICAL] and 212 more in the same batch: "),
            "{text}"
        );
        let digest = tally().digest(&rich("disk full"), Over::Batch);
        assert_eq!(digest.title.as_deref(), Some("212 more notifications"));
        assert_eq!((digest.level, digest.status), (Some(Level::Critical), None));
        assert_eq!(digest.link, rich("").link);
        assert_eq!(digest.dedup_key, None);
        let over = Tally {
            statuses: [0, 0, 212],
            ..tally()
        };
        let digest = over.digest(&rich("disk full"), Over::Batch);
        assert_eq!(digest.status, Some(Status::Resolved));
    }

    #[test]
    fn every_channel_takes_a_digest() {
        let firsts = [
            Notification::plain(Json::String("text".to_owned())),
            rich("title"),
            rich(&"👩‍👩‍👧‍👦".repeat(10_000)),
        ];
        for spec in CHANNELS {
            let example =
                |parameter: &crate::channels::Parameter| Some(parameter.example.to_owned());
            let channel = configured(spec, example).unwrap();
            for first in &firsts {
                let digest = tally().digest(first, Over::Minute);
                let composed = channel.compose(&digest, &Composing::new("key")).unwrap();
                assert_eq!(composed.messages.len(), 1, "{}", spec.key);
                assert_eq!(composed.warnings, [] as [&str; 0], "{}", spec.key);
                let body = composed.messages[0].body();
                let body = String::from_utf8_lossy(&body);
                let body = body.replace('+', " ");
                assert!(body.contains("212 more"), "{}: {body}", spec.key);
            }
        }
    }
}
