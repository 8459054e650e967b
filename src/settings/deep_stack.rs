//! Work that nests as deep as a text makes it: templates, and the file that holds them. It runs on a stack of its own size,
//! since the engine's threads have small ones, and a stack that overflows ends the database.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::panics::guarded;

/// More than a template's fuel can nest, and than the longest source can. Only what is used of it takes memory.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// The thread for what is done often ends when there was nothing to do for so long, and its stack with it.
const IDLE: Duration = Duration::from_secs(10);

/// There was no thread to be had, or it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotDone;

/// Does something rare, on a thread of its own.
pub fn once<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NotDone> {
    thread::scope(|scope| {
        let thread = builder().spawn_scoped(scope, work).map_err(|_| NotDone)?;
        thread.join().map_err(|_| NotDone)
    })
}

/// Does something on the thread that is kept for what is done often, and waits for it.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
    let (sender, receiver) = sync_channel(1);
    let job = move || {
        let _ = sender.send(guarded(work));
    };
    hand_over(Box::new(job))?;
    let done = receiver.recv().map_err(|_| NotDone)?;
    done.map_err(|_| NotDone)
}

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread, while there is one. Who hands over a job waits for it, so no more wait than there are calls.
static WORKER: Mutex<Option<Sender<Job>>> = Mutex::new(None);

fn worker() -> MutexGuard<'static, Option<Sender<Job>>> {
    WORKER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hand_over(mut job: Job) -> Result<(), NotDone> {
    let mut worker = worker();
    if let Some(sender) = worker.as_ref() {
        match sender.send(job) {
            Ok(()) => return Ok(()),
            Err(unsent) => job = unsent.0,
        }
    }
    let (sender, receiver) = channel();
    builder()
        .spawn(move || work_off(&receiver))
        .map_err(|_| NotDone)?;
    let sent = sender.send(job).map_err(|_| NotDone);
    *worker = Some(sender);
    sent
}

fn work_off(jobs: &Receiver<Job>) {
    loop {
        match jobs.recv_timeout(IDLE) {
            Ok(job) => job(),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                // Jobs are handed over under the same lock: none is left behind.
                let mut worker = worker();
                match jobs.try_recv() {
                    Ok(job) => {
                        drop(worker);
                        job();
                    }
                    Err(_) => {
                        *worker = None;
                        return;
                    }
                }
            }
        }
    }
}

fn builder() -> thread::Builder {
    thread::Builder::new()
        .name("notifier-text".to_owned())
        .stack_size(STACK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some hundred bytes of stack for each level.
    fn nested(levels: usize) -> usize {
        let here = std::hint::black_box([levels; 32]);
        match levels {
            0 => 0,
            _ => 1 + nested(here[0] - 1),
        }
    }

    #[test]
    fn what_nests_deep_is_done_also_for_a_caller_whose_stack_is_small() {
        const DEEP: usize = 100_000;
        let small = thread::Builder::new().stack_size(128 * 1024);
        let caller = small.spawn(|| (once(|| nested(DEEP)), run(|| nested(DEEP))));
        assert_eq!(caller.unwrap().join().unwrap(), (Ok(DEEP), Ok(DEEP)));
    }

    #[test]
    fn a_panic_is_said_so_and_what_comes_after_it_is_done() {
        for _ in 0..3 {
            assert_eq!(run(|| -> u8 { panic!("on purpose") }), Err(NotDone));
            assert_eq!(once(|| -> u8 { panic!("on purpose") }), Err(NotDone));
            assert_eq!(run(|| 5), Ok(5));
        }
    }

    #[test]
    fn many_callers_at_once_all_get_their_own_answer() {
        let callers: Vec<_> = (0..32)
            .map(|n| thread::spawn(move || (0..100).all(|m| run(move || n * m) == Ok(n * m))))
            .collect();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
    }
}
