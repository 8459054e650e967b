//! Log lines of deliveries after the end of their call.
//!
//! One thread writes them to the engine's log, in batches. No other thread of the notifier takes the interpreter's lock,
//! because another plugin may hold it for seconds.

use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use pyo3::prelude::*;

use super::engine;
use notifier_core::observe::{LogLine, LogReceiver, Metrics};
use notifier_core::panics::lock;

/// The capacity of the queue. Further lines are dropped and counted.
const QUEUE_CAPACITY: usize = 10_000;
/// The maximum number of lines per hold of the interpreter's lock.
const BATCH: usize = 256;
/// The maximum wait for the line in progress when the interpreter ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

enum LogMessage {
    Line(Arc<Py<PyAny>>, LogLine),
    /// A reference to drop while the thread holds the interpreter's lock.
    Release(Arc<Py<PyAny>>),
}

/// A handle to the log thread.
#[derive(Clone)]
pub struct LogThread {
    sender: SyncSender<LogMessage>,
    metrics: Arc<Metrics>,
    write_state: Arc<WriteState>,
}

impl LogThread {
    pub fn start(metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_CAPACITY);
        let write_state = Arc::<WriteState>::default();
        let shared = Arc::clone(&write_state);
        std::thread::Builder::new()
            .name("notifier-log".to_owned())
            .spawn(move || run(&receiver, &shared))?;
        Ok(Self {
            sender,
            metrics,
            write_state,
        })
    }

    /// Stops writing. The caller must not hold the interpreter's lock, because the line in progress needs it.
    pub fn stop(&self) {
        let mut flags = self.write_state.lock();
        flags.is_stopped = true;
        let idle = &self.write_state.idle;
        drop(idle.wait_timeout_while(flags, STOP_TIMEOUT, |flags| flags.is_writing));
    }

    /// The log for lines of one call's deliveries.
    pub fn deferred_log(&self, influxdb3_local: Py<PyAny>) -> Arc<dyn LogReceiver> {
        Arc::new(CallLogReceiver {
            thread: self.clone(),
            engine: Arc::new(influxdb3_local),
        })
    }
}

/// Queues lines for one `influxdb3_local`.
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
        // If the queue is full, its lines hold the reference, and the thread drops it with the last line.
        let _ = self
            .thread
            .sender
            .try_send(LogMessage::Release(Arc::clone(&self.engine)));
    }
}

/// Whether the thread writes, and whether it may. A thread that takes the interpreter's lock during finalization would abort
/// the process.
#[derive(Default)]
struct WriteState {
    flags: Mutex<WriteFlags>,
    idle: Condvar,
}

#[derive(Default)]
struct WriteFlags {
    is_writing: bool,
    is_stopped: bool,
}

impl WriteState {
    fn lock(&self) -> MutexGuard<'_, WriteFlags> {
        lock(&self.flags)
    }

    /// Begins a batch. False: the log is stopped.
    fn begin(&self) -> bool {
        let mut flags = self.lock();
        flags.is_writing = !flags.is_stopped;
        flags.is_writing
    }

    fn end(&self) {
        self.lock().is_writing = false;
        self.idle.notify_all();
    }
}

fn run(receiver: &Receiver<LogMessage>, write_state: &WriteState) {
    while let Ok(first) = receiver.recv() {
        let rest = receiver.try_iter().take(BATCH - 1);
        let batch: Vec<LogMessage> = std::iter::once(first).chain(rest).collect();
        if !write_state.begin() {
            return;
        }
        let attached = Python::try_attach(|py| write_batch(py, batch, write_state));
        write_state.end();
        // The interpreter is finalized.
        if attached.is_none() {
            return;
        }
    }
}

fn write_batch(py: Python<'_>, batch: Vec<LogMessage>, write_state: &WriteState) {
    for message in batch {
        match message {
            LogMessage::Line(engine, line) if !write_state.lock().is_stopped => {
                engine::write(engine.bind(py), &[line]);
            }
            LogMessage::Line(engine, _) | LogMessage::Release(engine) => drop(engine),
        }
    }
}
