//! Runs work that may never end, such as reading a file on a server that does not respond. A thread cannot be stopped,
//! so the caller waits for a limited time and then abandons it.

pub mod files;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The maximum number of threads for one type of work. Once all are abandoned, no new work starts.
const MAX_THREADS: usize = 2;

/// Threads for one type of work. Each thread runs one job.
pub struct TimeLimited {
    name: &'static str,
    stack_bytes: usize,
    threads: Mutex<ThreadCounts>,
    /// Signals that a thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct ThreadCounts {
    running: usize,
    /// The number of threads without a waiting caller.
    abandoned: usize,
}

/// The reason for a missing result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    /// The time is over, or all threads were already abandoned.
    TimeLimit,
    /// The system started no thread, or the work panicked.
    Failed,
}

impl TimeLimited {
    /// Creates the set of threads; `name` is the threads' name.
    pub const fn new(name: &'static str, stack_bytes: usize) -> Self {
        let threads = ThreadCounts {
            running: 0,
            abandoned: 0,
        };
        Self {
            name,
            stack_bytes,
            threads: Mutex::new(threads),
            ended: Condvar::new(),
        }
    }

    /// Runs `work` on its own thread and waits at most `limit`. Does not wait if all threads are abandoned.
    pub fn run<T: Send + 'static>(
        &'static self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let end = Instant::now() + limit;
        self.reserve_thread(end)?;
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let slot = ThreadSlot {
            threads: self,
            is_abandoned: Arc::clone(&is_abandoned),
        };
        let (sender, receiver) = sync_channel(1);
        let job = move || {
            let _slot = slot;
            let _ = sender.send(work());
        };
        // If no thread starts, the job is dropped together with its slot.
        let builder = thread::Builder::new().name(self.name.to_owned());
        let spawned = builder.stack_size(self.stack_bytes).spawn(job);
        spawned.map_err(|_| Unfinished::Failed)?;
        let left = end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left) {
            Ok(result) => Ok(result),
            // The work panicked.
            Err(RecvTimeoutError::Disconnected) => Err(Unfinished::Failed),
            Err(RecvTimeoutError::Timeout) => {
                let mut threads = self.lock();
                // The work may have ended during the wait for the lock.
                receiver.try_recv().map_err(|_| {
                    threads.abandoned += 1;
                    is_abandoned.store(true, Ordering::Relaxed);
                    Unfinished::TimeLimit
                })
            }
        }
    }

    /// Returns the number of threads that run without a waiting caller.
    pub fn abandoned(&self) -> usize {
        self.lock().abandoned
    }

    fn reserve_thread(&self, end: Instant) -> Result<(), Unfinished> {
        let mut threads = self.lock();
        while threads.running >= MAX_THREADS {
            let left = end.saturating_duration_since(Instant::now());
            if threads.abandoned >= MAX_THREADS || left.is_zero() {
                return Err(Unfinished::TimeLimit);
            }
            let waited = self.ended.wait_timeout(threads, left);
            threads = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        threads.running += 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, ThreadCounts> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's slot until the thread ends.
struct ThreadSlot {
    threads: &'static TimeLimited,
    is_abandoned: Arc<AtomicBool>,
}

impl Drop for ThreadSlot {
    fn drop(&mut self) {
        let mut threads = self.threads.lock();
        threads.running -= 1;
        if self.is_abandoned.load(Ordering::Relaxed) {
            threads.abandoned -= 1;
        }
        drop(threads);
        self.threads.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);
    const STACK: usize = 256 * 1024;

    /// Starts work that ends when the returned sender is dropped.
    fn hang(threads: &'static TimeLimited) -> (Result<(), Unfinished>, Sender<()>) {
        let (end, wait) = channel::<()>();
        let result = threads.run(SHORT, move || {
            let _ = wait.recv();
        });
        (result, end)
    }

    fn wait_until(condition: impl Fn() -> bool) {
        let end = Instant::now() + LONG;
        while !condition() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn work_has_its_result_also_where_it_needs_a_deep_stack() {
        static THREADS: TimeLimited = TimeLimited::new("test", 64 * 1024 * 1024);
        fn nested(levels: usize) -> usize {
            let here = std::hint::black_box([levels; 32]);
            if levels == 0 {
                0
            } else {
                1 + nested(here[0] - 1)
            }
        }
        assert_eq!(THREADS.run(LONG, || nested(50_000)), Ok(50_000));
        for n in 0..100 {
            assert_eq!(THREADS.run(LONG, move || n), Ok(n));
        }
    }

    #[test]
    fn other_work_is_done_beside_one_that_hangs_and_none_when_all_threads_hang() {
        static THREADS: TimeLimited = TimeLimited::new("test", STACK);
        let (result, first) = hang(&THREADS);
        assert_eq!(
            (result, THREADS.abandoned()),
            (Err(Unfinished::TimeLimit), 1)
        );
        assert_eq!(THREADS.run(LONG, || 5), Ok(5));
        let (result, second) = hang(&THREADS);
        assert_eq!(
            (result, THREADS.abandoned()),
            (Err(Unfinished::TimeLimit), 2)
        );
        let started = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(THREADS.run(LONG, || 5), Err(Unfinished::TimeLimit));
        }
        assert!(started.elapsed() < LONG);
        // An abandoned thread that ends can be used again.
        drop(first);
        wait_until(|| THREADS.abandoned() == 1);
        assert_eq!(THREADS.run(LONG, || 5), Ok(5));
        drop(second);
        wait_until(|| THREADS.abandoned() == 0);
    }

    #[test]
    fn more_callers_than_threads_wait_for_one_another() {
        static THREADS: TimeLimited = TimeLimited::new("test", STACK);
        let callers: Vec<_> = (0..16)
            .map(|n| {
                thread::spawn(move || {
                    (0..50).all(|m| THREADS.run(LONG, move || n * m) == Ok(n * m))
                })
            })
            .collect();
        assert!(callers.into_iter().all(|caller| caller.join().unwrap()));
        assert_eq!(THREADS.abandoned(), 0);
    }

    #[test]
    fn no_more_threads_hang_than_there_may_be_however_many_callers_come_at_once() {
        static THREADS: TimeLimited = TimeLimited::new("test", STACK);
        let callers: Vec<_> = (0..16).map(|_| thread::spawn(|| hang(&THREADS))).collect();
        let ended: Vec<_> = callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .collect();
        assert!(
            ended
                .iter()
                .all(|(result, _)| *result == Err(Unfinished::TimeLimit))
        );
        assert_eq!(THREADS.abandoned(), MAX_THREADS);
        drop(ended);
        wait_until(|| THREADS.abandoned() == 0);
    }

    #[test]
    fn a_panic_frees_its_thread() {
        static THREADS: TimeLimited = TimeLimited::new("test", STACK);
        for _ in 0..5 {
            let result = THREADS.run(LONG, || -> u8 { panic!("on purpose") });
            assert_eq!(result, Err(Unfinished::Failed));
        }
        assert_eq!(THREADS.run(LONG, || 5), Ok(5));
    }
}
