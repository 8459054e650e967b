//! Sends a digest in place of the deliveries that were folded into it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::ahead::AheadGuard;
use super::pending::{DigestMember, PendingDigest};
use super::tally::{LimitKind, Tally};
use crate::delivery::limits::capacity::{InFlightPermit, Usage};
use crate::delivery::progress::Progress;
use crate::delivery::progress::store::EndNote;
use crate::delivery::progress::task::Task;
use crate::delivery::run;
use crate::delivery::services::Services;
use crate::delivery::state::Delivery;
use crate::model::channel::ComposeContext;
use crate::model::outcome::{Failure, Outcome, Reason};
use crate::model::plan::{ComposeInput, DeliveryPolicy, Disposition, PlannedDelivery, PlannedSend};
use crate::model::report::DeliveryReport;
use crate::observe::{Event, LogLine, LogReceiver, Recorder, TaskLog};
use crate::panics::catch_panic;
use crate::warnings::Warnings;

/// Deliveries that end at once: an outbox commits them together.
const MAX_CONCURRENT_ENDS: usize = 512;

impl PendingDigest {
    /// Sends one message for all members, and ends each with its result. Waits until the earlier messages of the
    /// members have ended, at most for `patience`. A single member is sent unchanged, unless its alert may have closed
    /// meanwhile.
    pub async fn flush(mut self, patience: Option<Duration>) {
        let planned = &self.first.planned;
        let is_incident =
            planned.dedup_key.is_some() && planned.channel.capabilities().keeps_incidents();
        if self.others.is_empty() && !is_incident {
            self.first.digests = self.ahead_of;
            run::start(self.first);
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
            limit,
            ahead: _,
            ahead_of,
        } = self;
        let (digest, sending, first) = Digest::of(first, tally, limit, deadline, ahead_of);
        let report = digest.send(sending).await;
        end_all(std::iter::once(first).chain(others), &digest, &report).await;
    }
}

async fn end_all(
    mut members: impl Iterator<Item = DigestMember>,
    digest: &Digest,
    report: &DeliveryReport,
) {
    loop {
        let some: Vec<_> = members.by_ref().take(MAX_CONCURRENT_ENDS).collect();
        if some.is_empty() {
            return;
        }
        let noted = some.iter().map(|member| {
            let note = digest.end(member, report);
            digest.wait_until_noted(member, note)
        });
        // All have ended before the first is waited for.
        let noted: Vec<_> = noted.collect();
        join_all(noted).await;
        drop(some);
        // Others wait for this worker.
        tokio::task::yield_now().await;
    }
}

/// The digest of many deliveries. It is a delivery with its own task.
struct Digest {
    services: Arc<Services>,
    id: String,
    /// The task of the first member. Its log contains the digest's lines too.
    first: Arc<Task>,
    label: String,
    limit: LimitKind,
    tally: Tally,
}

/// The delivery that sends a digest.
struct DigestDelivery {
    planned: PlannedDelivery,
    policy: Arc<DeliveryPolicy>,
    /// The deadline of the last attempt.
    deadline: Instant,
    ahead_of: Vec<AheadGuard>,
    warnings: Vec<String>,
    recorder: Option<Recorder>,
    /// The usage of its caller.
    usage: Arc<Usage>,
}

impl Digest {
    /// The digest, and its first member.
    fn of(
        first: Delivery,
        tally: Tally,
        limit: LimitKind,
        deadline: Instant,
        ahead_of: Vec<AheadGuard>,
    ) -> (Self, DigestDelivery, DigestMember) {
        let digest = Self {
            services: Arc::clone(&first.services),
            id: uuid::Uuid::new_v4().to_string(),
            first: Arc::clone(&first.progress.task),
            label: first.label().to_owned(),
            limit,
            tally,
        };
        let input = first.planned.input.as_ref();
        let recorder = input.and_then(|input| {
            let notification = digest.tally.digest(&input.notification, limit);
            digest.first.log.recorder_of(&notification)
        });
        let Delivery {
            progress,
            sender,
            receiver,
            planned,
            policy,
            permit,
            ..
        } = first;
        let usage = permit.as_ref().map(InFlightPermit::usage);
        let mut warnings = Warnings::default();
        let disposition = digest.disposition(*planned, &mut warnings);
        let delivery = DigestDelivery {
            planned: PlannedDelivery {
                sender,
                receiver,
                disposition,
                origin: None,
            },
            policy,
            deadline,
            ahead_of,
            warnings: warnings.into_lines(),
            recorder,
            usage: usage.unwrap_or_default(),
        };
        (digest, delivery, DigestMember { progress, permit })
    }

    /// The digest's message for the destination and channel of the first member.
    fn disposition(&self, mut planned: PlannedSend, warnings: &mut Warnings) -> Disposition {
        let input = planned.input.take();
        let composed = catch_panic(|| {
            let input = self.input(*input.ok_or(Failure::new(Reason::Internal))?, warnings);
            input.compose(planned.channel.as_ref())
        });
        let composed = composed.unwrap_or_else(|_| Err(Failure::new(Reason::Internal)));
        match composed {
            Ok(messages) => {
                warnings.extend_from(&messages.warnings);
                Disposition::Send(Box::new(PlannedSend {
                    messages,
                    dedup_key: None,
                    configured_in: None,
                    resume: None,
                    silence: None,
                    ..planned
                }))
            }
            Err(failure) => Disposition::Reject {
                failure,
                path: None,
            },
        }
    }

    fn input(&self, first: ComposeInput, warnings: &mut Warnings) -> ComposeInput {
        let notification = self.tally.digest(&first.notification, self.limit);
        let parameters = first.parameters;
        let rendered = parameters.map(|parameters| parameters.render(&notification, warnings));
        ComposeInput {
            notification: Arc::new(notification),
            context: ComposeContext {
                allow_mentions: first.context.allow_mentions,
                rendered: rendered.unwrap_or_default(),
                ..ComposeContext::new(&self.id)
            },
            parameters: None,
        }
    }

    /// Sends it and waits for its end. The limits do not hold it up: it takes the place of many.
    async fn send(&self, delivery: DigestDelivery) -> DeliveryReport {
        let DigestDelivery {
            planned,
            policy,
            deadline,
            ahead_of,
            warnings,
            recorder,
            usage,
        } = delivery;
        let log = TaskLog::new(Some(self.id.clone())).recording(recorder);
        log.hand_over(Arc::new(LogForwarder(Arc::clone(&self.first))));
        self.log(&log, &warnings);
        let (report, sizes) = (planned.report(0), [planned.size()]);
        let Disposition::Send(send) = planned.disposition else {
            return report;
        };
        let task = Task::new(self.id.clone(), log, Vec::new(), [report.clone()], None);
        let capacity = &self.services.capacity;
        let delivery = Delivery::new(
            Arc::clone(&self.services),
            Progress {
                task: Arc::clone(&task),
                index: 0,
                entry: None,
            },
            planned.sender,
            planned.receiver,
            send,
            policy,
        );
        let delivery = Box::new(Delivery {
            permit: capacity.reserve_accepted(&usage, &sizes, 0).pop(),
            deadline,
            digests: ahead_of,
            ..delivery
        });
        let position = delivery.line_up();
        run::run(delivery, position).await;
        task.report(0).unwrap_or(report)
    }

    fn log(&self, log: &TaskLog, warnings: &[String]) {
        let sink = &self.services.sink;
        let digest = Event::Digest {
            destination: &self.label,
            notifications: self.tally.notifications,
            rule: self.limit.rule(),
            first: &self.first.id,
        };
        sink.emit(log, &digest);
        for warning in warnings {
            sink.emit(log, &Event::Warning(warning));
        }
    }

    /// Ends a member with the digest's result.
    fn end(&self, member: &DigestMember, report: &DeliveryReport) -> Option<EndNote> {
        let outcome = match &report.outcome {
            Outcome::Delivered { .. } => Outcome::Suppressed {
                rule: self.limit.rule().to_owned(),
            },
            failed => {
                member.progress.update(|held| {
                    held.attempts = report.attempts;
                    held.http_status = report.http_status;
                });
                failed.clone()
            }
        };
        member.progress.end(&self.services.sink, outcome)
    }

    async fn wait_until_noted(&self, member: &DigestMember, note: Option<EndNote>) {
        if let Some(note) = note {
            member.progress.wait_until_noted(&self.services, note).await;
        }
    }
}

/// Writes the lines of a digest's task to the log of another task.
struct LogForwarder(Arc<Task>);

impl LogReceiver for LogForwarder {
    fn push(&self, line: LogLine) {
        self.0.log.push(line);
    }
}
