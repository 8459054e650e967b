//! The task whose state a response reports.

use std::sync::Arc;

use crate::delivery::Task;
use crate::observe::{Event, Sink, TaskLog};

/// The task whose state the response reports.
pub(super) struct Answering {
    pub(super) task: Arc<Task>,
    pub(super) task_id: String,
    pub(super) replayed: bool,
    pub(super) joined: Option<String>,
    /// The call's own log lines, if they are not the task's. The task's lines go to the log of its own call.
    pub(super) log: Option<TaskLog>,
}

impl Answering {
    pub(super) fn new(task: Arc<Task>) -> Self {
        Self {
            task_id: task.id.clone(),
            task,
            replayed: false,
            joined: None,
            log: None,
        }
    }

    pub(super) fn replayed(task: Arc<Task>) -> Self {
        Self {
            replayed: true,
            log: Some(TaskLog::new(None)),
            ..Self::new(task)
        }
    }

    pub(super) fn joined(task: Arc<Task>, task_id: String, sink: &Sink) -> Self {
        let log = TaskLog::new(Some(task_id.clone()));
        sink.emit(&log, &Event::Joined { task: &task.id });
        Self {
            joined: Some(task.id.clone()),
            task_id,
            log: Some(log),
            ..Self::new(task)
        }
    }
}
