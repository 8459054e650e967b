//! Log lines of deliveries that go on after their call was answered.
//!
//! One thread takes them to the engine, a batch at a time. It is the only thread of ours that takes the interpreter:
//! the runtime's workers never do, since another plugin may hold it for seconds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use pyo3::prelude::*;

use super::engine;
use crate::observe::{LateLog, LogLine, Metrics};

/// Lines that may wait; more are dropped and counted.
const MAX_WAITING: usize = 10_000;
/// Lines that are written while the interpreter is held once.
const BATCH: usize = 256;

enum Message {
    Line(Arc<Py<PyAny>>, LogLine),
    /// A reference that is to be dropped where the interpreter is held.
    Release(Arc<Py<PyAny>>),
}

/// The way to the thread.
#[derive(Clone)]
pub struct LogThread {
    sender: SyncSender<Message>,
    metrics: Arc<Metrics>,
}

impl LogThread {
    pub fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        std::thread::Builder::new()
            .name("notifier-log".to_owned())
            .spawn(move || run(&receiver))?;
        Ok(Self { sender, metrics })
    }

    /// The late lines of one call.
    pub fn late(&self, influxdb3_local: Py<PyAny>) -> Arc<dyn LateLog> {
        Arc::new(Late {
            thread: self.clone(),
            engine: Arc::new(influxdb3_local),
        })
    }
}

/// Takes lines to one `influxdb3_local`.
struct Late {
    thread: LogThread,
    engine: Arc<Py<PyAny>>,
}

impl LateLog for Late {
    fn push(&self, line: LogLine) {
        let message = Message::Line(Arc::clone(&self.engine), line);
        if let Err(TrySendError::Full(_)) = self.thread.sender.try_send(message) {
            let dropped = &self.thread.metrics.dropped_log_lines;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        // Where the queue is full the lines in it hold the reference: the last of them drops it there.
        let _ = self
            .thread
            .sender
            .try_send(Message::Release(Arc::clone(&self.engine)));
    }
}

fn run(receiver: &Receiver<Message>) {
    while let Ok(first) = receiver.recv() {
        let rest = receiver.try_iter().take(BATCH - 1);
        let batch: Vec<Message> = std::iter::once(first).chain(rest).collect();
        // No interpreter any more: the process is about to end.
        if Python::try_attach(|py| deliver(py, batch)).is_none() {
            return;
        }
    }
}

fn deliver(py: Python<'_>, batch: Vec<Message>) {
    for message in batch {
        match message {
            Message::Line(engine, line) => engine::write(engine.bind(py), &[line]),
            Message::Release(engine) => drop(engine),
        }
    }
}
