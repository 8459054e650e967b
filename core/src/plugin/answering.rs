//! The state that a call is answered with.

use std::sync::Arc;

use crate::delivery::Task;
use crate::observe::{Event, Sink, TaskLog};

/// The request whose state is the response of a call.
pub(super) struct Answering {
    pub(super) task: Arc<Task>,
    pub(super) task_id: String,
    pub(super) replayed: bool,
    pub(super) joined: Option<String>,
    /// The call's own lines where they are not the task's: those go where its own call has sent them.
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
