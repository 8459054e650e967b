//! A process is killed, as `kill -9` does, after every step of a delivery and during it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use notifier_core::store::{HistoryRow, Ownership, Store};

use super::{StoreFixture, accept, claim};
use crate::fixtures::{delivered, id, request};

/// The point at which a process is killed.
#[derive(Clone, Debug)]
pub struct Kill {
    /// No other kill has this task.
    pub task: String,
    /// The last step, an index of [`STEPS`].
    pub step: usize,
    /// The time limit of the last step. `None`: until it is done.
    pub within: Option<Duration>,
}

/// A step, and the stored state of the delivery after it.
pub struct Step {
    pub name: &'static str,
    pub left: Left,
}

/// The stored state that a process leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Open {
        parts: usize,
        attempting: bool,
    },
    /// It has ended, and its history row is stored.
    Row,
}

const fn step(name: &'static str, left: Left) -> Step {
    Step { name, left }
}

const fn open(parts: usize, attempting: bool) -> Left {
    Left::Open { parts, attempting }
}

/// The steps of two processes with a delivery: one accepts it; another claims one that was enqueued. A chain begins
/// with the first step, or after a step that leaves nothing.
pub const STEPS: &[Step] = &[
    step("opened", Left::Nothing),
    step("accepted", open(0, false)),
    step("attempting", open(0, true)),
    step("attempt failed", open(0, false)),
    step("part arrived", open(1, false)),
    step("attempting again", open(1, true)),
    step("completed", Left::Row),
    step("row written", Left::Nothing),
    step("opened for others", Left::Nothing),
    step("enqueued", open(0, false)),
    step("claimed", open(0, false)),
    step("attempting what was claimed", open(0, true)),
    step("completed what was claimed", Left::Row),
    step("released", Left::Row),
];

pub async fn a_process_killed_after_a_step_leaves_its_stored_state(fixture: &dyn StoreFixture) {
    for (at, step) in STEPS.iter().enumerate() {
        let kill = Kill {
            task: step.name.to_owned(),
            step: at,
            within: None,
        };
        fixture.kill_at(kill).await;
        assert_eq!(
            left_by(fixture, step.name).await,
            step.left,
            "{}",
            step.name
        );
    }
}

pub async fn a_process_killed_during_a_step_leaves_it_done_or_undone(fixture: &dyn StoreFixture) {
    for micros in [0, 1000] {
        for (at, steps) in STEPS.windows(2).enumerate() {
            let task = format!("{} within {micros} microseconds", steps[1].name);
            let kill = Kill {
                task: task.clone(),
                step: at + 1,
                within: Some(Duration::from_micros(micros)),
            };
            fixture.kill_at(kill).await;
            let left = left_by(fixture, &task).await;
            assert!(
                steps.iter().any(|step| step.left == left),
                "{task}: {left:?}"
            );
        }
    }
}

/// Returns the state of the task that another process finds. Completes the task, so that nothing remains.
pub async fn left_by(fixture: &dyn StoreFixture, task: &str) -> Left {
    let (next, delivery) = (fixture.open(), id(task, 0));
    next.depth().await.unwrap();
    fixture.lapse();
    let mut left = Left::Nothing;
    for row in next.claim_history("notifier.toml", 9).await.unwrap() {
        assert_eq!(row, row_of(task));
        next.history_written(&row).await.unwrap();
        left = Left::Row;
    }
    // At first, only its process can fetch a new message.
    for _ in 0..3 {
        for request in claim(&*next).await {
            assert_eq!(request.task, task);
            let found = &request.deliveries[0];
            let work = found.work.as_ref().unwrap();
            left = Left::Open {
                parts: found.report.parts_delivered,
                attempting: work.attempt_began.is_some(),
            };
            assert_eq!(next.check_lease(&delivery).await.unwrap(), Ownership::Owned);
            let report = delivered(0, None);
            next.complete(&delivery, &report, None).await.unwrap();
        }
    }
    assert_eq!(next.depth().await.unwrap(), 0, "{task}");
    left
}

fn row_of(task: &str) -> HistoryRow {
    HistoryRow {
        config: "notifier.toml".into(),
        line: task.to_owned(),
    }
}

/// Goes to where the process is killed; `done` hears of each step.
pub async fn go_to(store: &dyn Store, kill: &Kill, mut done: impl FnMut(usize)) {
    let mut before = STEPS[..=kill.step].iter();
    let first = before
        .rposition(|step| step.name.starts_with("opened"))
        .unwrap();
    for (at, step) in STEPS.iter().enumerate().take(kill.step + 1).skip(first) {
        let step = take(store, step.name, &kill.task);
        match kill.within.filter(|_| at == kill.step) {
            Some(within) => drop(tokio::time::timeout(within, step).await),
            None => step.await,
        }
        done(at);
    }
}

async fn take(store: &dyn Store, step: &str, task: &str) {
    let (delivery, now) = (id(task, 0), SystemTime::now());
    match step {
        "opened" | "opened for others" => drop(store.depth().await.unwrap()),
        "accepted" => drop(accept(store, request(task)).await),
        "attempting" | "attempting again" | "attempting what was claimed" => {
            let owned = store.begin_attempt(&delivery, now).await.unwrap();
            assert_eq!(owned, Ownership::Owned);
        }
        "attempt failed" => store.attempt_failed(&delivery).await.unwrap(),
        "part arrived" => store.parts_done(&delivery, 1).await.unwrap(),
        "completed" | "completed what was claimed" => {
            let (report, row) = (delivered(0, None), row_of(task));
            let completed = store.complete(&delivery, &report, Some(&row));
            completed.await.unwrap();
        }
        "row written" => store.history_written(&row_of(task)).await.unwrap(),
        "enqueued" => drop(store.enqueue(request(task)).await.unwrap()),
        "claimed" => assert_eq!(claim(store).await.len(), 1),
        "released" => store.release().await.unwrap(),
        _ => panic!("no step {step}"),
    }
}

/// Runs the program `outbox-step` up to the step of that name, and kills it there.
pub fn kill_program(program: &Path, store: &str, kill: &Kill) {
    let within = kill.within.map(|within| within.as_micros().to_string());
    let status = Command::new(program)
        .args([store, &kill.task, &kill.step.to_string()])
        .args(within)
        .stdin(Stdio::null())
        .status()
        .unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{kill:?}"
    );
}
