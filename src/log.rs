//! Log lines of deliveries that go on after their call was answered.
//!
//! One thread takes them to the engine, a batch at a time. It is the only thread of ours that takes the interpreter:
//! the runtime's workers never do, since another plugin may hold it for seconds.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use pyo3::prelude::*;

use super::engine;
use notifier_core::observe::{LogLine, LogReceiver, Metrics};
use notifier_core::panics::lock;

/// Lines that may wait; more are dropped and counted.
const MAX_WAITING: usize = 10_000;
/// Lines that are written while the interpreter is held once.
const BATCH: usize = 256;
/// How long the end of the interpreter waits for the line that is being written.
const LAST_LINE_WITHIN: Duration = Duration::from_secs(1);

enum LogMessage {
    Line(Arc<Py<PyAny>>, LogLine),
    /// A reference that is to be dropped where the interpreter is held.
    Release(Arc<Py<PyAny>>),
}

/// The way to the thread.
#[derive(Clone)]
pub struct LogThread {
    sender: SyncSender<LogMessage>,
    metrics: Arc<Metrics>,
    turn: Arc<WriterTurn>,
}

impl LogThread {
    pub fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let turn = Arc::<WriterTurn>::default();
        let threads = Arc::clone(&turn);
        std::thread::Builder::new()
            .name("notifier-log".to_owned())
            .spawn(move || run(&receiver, &threads))?;
        Ok(Self {
            sender,
            metrics,
            turn,
        })
    }

    /// Writes nothing more. The interpreter must be free, for the line that is being written needs it.
    pub fn stop(&self) {
        let mut state = self.turn.lock();
        state.is_over = true;
        let ended = &self.turn.ended;
        drop(ended.wait_timeout_while(state, LAST_LINE_WITHIN, |state| state.is_writing));
    }

    /// The late lines of one call.
    pub fn late(&self, influxdb3_local: Py<PyAny>) -> Arc<dyn LogReceiver> {
        Arc::new(CallLogReceiver {
            thread: self.clone(),
            engine: Arc::new(influxdb3_local),
        })
    }
}

/// Takes lines to one `influxdb3_local`.
struct CallLogReceiver {
    thread: LogThread,
    engine: Arc<Py<PyAny>>,
}

impl LogReceiver for CallLogReceiver {
    fn push(&self, line: LogLine) {
        let message = LogMessage::Line(Arc::clone(&self.engine), line);
        if let Err(TrySendError::Full(_)) = self.thread.sender.try_send(message) {
            let dropped = &self.thread.metrics.dropped_log_lines;
            dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for CallLogReceiver {
    fn drop(&mut self) {
        // Where the queue is full the lines in it hold the reference: the last of them drops it there.
        let _ = self
            .thread
            .sender
            .try_send(LogMessage::Release(Arc::clone(&self.engine)));
    }
}

/// Whether the thread writes, and whether it may. Where it wanted the interpreter back once that has begun to end, the whole
/// process would be aborted.
#[derive(Default)]
struct WriterTurn {
    state: Mutex<WriterState>,
    ended: Condvar,
}

#[derive(Default)]
struct WriterState {
    is_writing: bool,
    is_over: bool,
}

impl WriterTurn {
    fn lock(&self) -> MutexGuard<'_, WriterState> {
        lock(&self.state)
    }

    /// False where nothing may be written any more.
    fn begin(&self) -> bool {
        let mut state = self.lock();
        state.is_writing = !state.is_over;
        state.is_writing
    }

    fn end(&self) {
        self.lock().is_writing = false;
        self.ended.notify_all();
    }
}

fn run(receiver: &Receiver<LogMessage>, turn: &WriterTurn) {
    while let Ok(first) = receiver.recv() {
        let rest = receiver.try_iter().take(BATCH - 1);
        let batch: Vec<LogMessage> = std::iter::once(first).chain(rest).collect();
        if !turn.begin() {
            return;
        }
        let attached = Python::try_attach(|py| deliver(py, batch, turn));
        turn.end();
        // No interpreter any more: the process is about to end.
        if attached.is_none() {
            return;
        }
    }
}

fn deliver(py: Python<'_>, batch: Vec<LogMessage>, turn: &WriterTurn) {
    for message in batch {
        match message {
            LogMessage::Line(engine, line) if !turn.lock().is_over => {
                engine::write(engine.bind(py), &[line]);
            }
            LogMessage::Line(engine, _) | LogMessage::Release(engine) => drop(engine),
        }
    }
}
