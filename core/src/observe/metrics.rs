//! Counters of the process, as Prometheus text (exposition format 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::event::Event;
use crate::model::outcome::Outcome;
use crate::panics::lock;

/// Upper bounds of the duration histogram, in seconds.
const BUCKETS: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0,
];

/// The counters of the process.
#[derive(Default)]
pub struct Metrics {
    counted: Mutex<Counted>,
    joined: AtomicU64,
    unchanged: AtomicU64,
    pub dropped_log_lines: AtomicU64,
    dropped_rows: AtomicU64,
}

#[derive(Default)]
struct Counted {
    /// By sender, outcome, reason.
    deliveries: BTreeMap<(String, &'static str, &'static str), u64>,
    attempts: BTreeMap<String, u64>,
    durations: BTreeMap<String, Histogram>,
}

#[derive(Clone, Default)]
struct Histogram {
    /// The number of deliveries with at most the duration of the bucket with the same index.
    buckets: [u64; BUCKETS.len()],
    sum: f64,
    count: u64,
}

/// The current values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Deliveries that have not ended.
    pub in_flight: usize,
    /// The deliveries in flight whose call has returned.
    pub pending: usize,
    pub paused_destinations: usize,
    /// Deliveries in the outboxes that have not ended, other processes' too.
    pub outbox_depth: usize,
    /// Rows of tables that wait in memory until they are deliveries.
    pub waiting_rows: usize,
    /// Templates that still run although their time is over.
    pub abandoned_template_threads: usize,
    /// Files that are still read although their time is over.
    pub abandoned_file_threads: usize,
    /// A counter with another owner: history rows that were never written.
    pub dropped_history_rows: u64,
    pub alerts: AlertGauges,
}

/// The current values of the alert state, of all configuration files together.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlertGauges {
    pub firing: usize,
    pub acknowledged: usize,
    pub resolved: usize,
    pub groups_firing: usize,
    pub groups_resolved: usize,
    pub overdue_timers: usize,
    /// Configuration files whose alerts this process manages.
    pub led: usize,
    /// A counter that is kept elsewhere.
    pub failed_flushes: u64,
}

impl Metrics {
    /// Counts the event, if a counter exists for it.
    pub(super) fn count(&self, event: &Event<'_>) {
        match event {
            Event::RowsRefused { rows, .. } => {
                self.dropped_rows.fetch_add(*rows as u64, Ordering::Relaxed);
            }
            Event::Joined { .. } => {
                self.joined.fetch_add(1, Ordering::Relaxed);
            }
            Event::Unchanged => {
                self.unchanged.fetch_add(1, Ordering::Relaxed);
            }
            Event::Attempt { sender } => self.attempt(sender),
            Event::Ended(report) => {
                self.ended(&report.sender, &report.outcome);
                if let Outcome::Delivered { .. } = report.outcome {
                    self.delivered_in(&report.sender, report.elapsed);
                }
            }
            Event::NotTried { report, label } => self.ended(label, &report.outcome),
            _ => {}
        }
    }

    fn ended(&self, sender: &str, outcome: &Outcome) {
        let failure = outcome.failure();
        let reason = failure.map_or("", |failure| failure.reason.code());
        let key = (sender.to_owned(), outcome.code(), reason);
        *self.lock().deliveries.entry(key).or_default() += 1;
    }

    fn delivered_in(&self, sender: &str, elapsed: Duration) {
        let mut counted = self.lock();
        let histogram = counted.durations.entry(sender.to_owned()).or_default();
        histogram.observe(elapsed.as_secs_f64());
    }

    fn attempt(&self, sender: &str) {
        let mut counted = self.lock();
        match counted.attempts.get_mut(sender) {
            Some(count) => *count += 1,
            None => {
                counted.attempts.insert(sender.to_owned(), 1);
            }
        }
    }

    /// All of it, in the text format.
    pub fn render(&self, gauges: Gauges) -> String {
        let mut text = String::new();
        let counted = self.lock();
        family(
            &mut text,
            "notifier_deliveries_total",
            "counter",
            "Deliveries that have ended.",
        );
        for ((sender, outcome, reason), count) in &counted.deliveries {
            let labels = [
                ("sender", sender.as_str()),
                ("outcome", outcome),
                ("reason", reason),
            ];
            sample(
                &mut text,
                "notifier_deliveries_total",
                &labels,
                *count as f64,
            );
        }
        family(
            &mut text,
            "notifier_attempts_total",
            "counter",
            "Messages sent, tries that failed included.",
        );
        for (sender, count) in &counted.attempts {
            sample(
                &mut text,
                "notifier_attempts_total",
                &[("sender", sender)],
                *count as f64,
            );
        }
        family(
            &mut text,
            "notifier_delivery_duration_seconds",
            "histogram",
            "From acceptance to delivery.",
        );
        for (sender, histogram) in &counted.durations {
            histogram.render(&mut text, sender);
        }
        drop(counted);
        self.render_counters(&mut text, gauges);
        render_gauges(&mut text, gauges);
        render_alerts(&mut text, gauges.alerts);
        text
    }

    /// The counters without labels.
    fn render_counters(&self, text: &mut String, gauges: Gauges) {
        let joined = self.joined.load(Ordering::Relaxed);
        let dropped = self.dropped_log_lines.load(Ordering::Relaxed);
        for (name, help, count) in [
            (
                "notifier_joined_total",
                "Requests that joined an identical one in flight.",
                joined,
            ),
            (
                "notifier_alerts_unchanged_total",
                "Reports of alerts in which nothing changed.",
                self.unchanged.load(Ordering::Relaxed),
            ),
            (
                "notifier_log_lines_dropped_total",
                "Log lines that found no place in the queue to the engine.",
                dropped,
            ),
            (
                "notifier_rows_dropped_total",
                "Rows of tables that nobody was notified of: errors, or no room to wait.",
                self.dropped_rows.load(Ordering::Relaxed),
            ),
            (
                "notifier_history_rows_dropped_total",
                "Rows of the history that could not be written, or found no place to wait.",
                gauges.dropped_history_rows,
            ),
            (
                "notifier_alert_flushes_failed_total",
                "Notifications of groups that failed, or that could not be sent.",
                gauges.alerts.failed_flushes,
            ),
        ] {
            family(text, name, "counter", help);
            sample(text, name, &[], count as f64);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counted> {
        lock(&self.counted)
    }
}

fn render_gauges(text: &mut String, gauges: Gauges) {
    for (name, help, value) in [
        (
            "notifier_in_flight",
            "Deliveries that have not ended.",
            gauges.in_flight,
        ),
        (
            "notifier_pending",
            "Deliveries that go on after their call was answered.",
            gauges.pending,
        ),
        (
            "notifier_waiting_rows",
            "Rows of tables that wait in memory until they are deliveries.",
            gauges.waiting_rows,
        ),
        (
            "notifier_paused_destinations",
            "Destinations that are paused or refuse.",
            gauges.paused_destinations,
        ),
        (
            "notifier_outbox_depth",
            "Deliveries in the outbox that have not ended.",
            gauges.outbox_depth,
        ),
        (
            "notifier_abandoned_template_threads",
            "Templates that still run although their time is over.",
            gauges.abandoned_template_threads,
        ),
        (
            "notifier_abandoned_file_threads",
            "Files that are still read although their time is over.",
            gauges.abandoned_file_threads,
        ),
    ] {
        family(text, name, "gauge", help);
        sample(text, name, &[], value as f64);
    }
}

fn render_alerts(text: &mut String, alerts: AlertGauges) {
    let name = "notifier_alerts";
    family(text, name, "gauge", "Alerts with state.");
    for (status, value) in [
        ("firing", alerts.firing),
        ("acknowledged", alerts.acknowledged),
        ("resolved", alerts.resolved),
    ] {
        sample(text, name, &[("status", status)], value as f64);
    }
    let name = "notifier_alert_groups";
    let help = "Groups of alerts. A resolved group waits until its destinations know it.";
    family(text, name, "gauge", help);
    for (status, value) in [
        ("firing", alerts.groups_firing),
        ("resolved", alerts.groups_resolved),
    ] {
        sample(text, name, &[("status", status)], value as f64);
    }
    for (name, help, value) in [
        (
            "notifier_alert_timers_overdue",
            "Timers of alerts and groups that should have run more than 10 s ago.",
            alerts.overdue_timers,
        ),
        (
            "notifier_alert_leader",
            "Configuration files whose alerts this process manages.",
            alerts.led,
        ),
    ] {
        family(text, name, "gauge", help);
        sample(text, name, &[], value as f64);
    }
}

impl Histogram {
    fn observe(&mut self, seconds: f64) {
        for (bound, count) in BUCKETS.iter().zip(&mut self.buckets) {
            if seconds <= *bound {
                *count += 1;
            }
        }
        self.sum += seconds;
        self.count += 1;
    }

    fn render(&self, text: &mut String, sender: &str) {
        const NAME: &str = "notifier_delivery_duration_seconds";
        let bucket = format!("{NAME}_bucket");
        for (bound, count) in BUCKETS.iter().zip(self.buckets) {
            let le = bound.to_string();
            sample(
                text,
                &bucket,
                &[("sender", sender), ("le", &le)],
                count as f64,
            );
        }
        let count = self.count as f64;
        sample(text, &bucket, &[("sender", sender), ("le", "+Inf")], count);
        sample(
            text,
            &format!("{NAME}_sum"),
            &[("sender", sender)],
            self.sum,
        );
        sample(text, &format!("{NAME}_count"), &[("sender", sender)], count);
    }
}

fn family(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Label values are codes and senders' names, which need no escaping.
fn sample(text: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    text.push_str(name);
    if !labels.is_empty() {
        let pairs: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{value}\""))
            .collect();
        let _ = write!(text, "{{{}}}", pairs.join(","));
    }
    let _ = writeln!(text, " {value}");
}
