//! The one thread of a process that writes the file. It commits waiting jobs together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use super::file::{Database, display_path};
use super::owners::{Observer, Owner, remove_old_locks};
use super::purge::purge;
use super::reserve::Reserve;
use super::time::FileTime;
use super::transaction::Transaction;
use crate::panics::catch_panic;
use crate::store::clock::Clock;
use crate::store::{RENEW_EVERY, Running, StoreError, StoreErrorKind, StoreFuture};

/// The most jobs in one transaction.
const MAX_BATCH: usize = 512;

/// Sends jobs to the thread. Few jobs wait: each belongs to a call or a delivery that waits for it.
pub struct Writer {
    jobs: Sender<Box<dyn Job>>,
    location: String,
}

/// One operation of a transaction.
trait Job: Send {
    /// Whether a caller still waits for the reply.
    fn has_waiter(&self) -> bool;
    /// Whether it stores a new request, which may be refused.
    fn stores_new(&self) -> bool;
    /// Whether it usually writes nothing.
    fn is_read_mostly(&self) -> bool;
    fn run(&mut self, tx: &mut Transaction<'_>) -> rusqlite::Result<()>;
    /// Sends the result of the transaction. Returns the undo operation if no caller received it.
    fn finish(self: Box<Self>, result: Result<(), StoreError>) -> Option<Undo>;
}

type Undo = Box<dyn FnMut(&Transaction<'_>) -> rusqlite::Result<()> + Send>;

struct WriteJob<T, F> {
    operation: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    undo: Option<Undo>,
    is_read_mostly: bool,
}

impl<T, F> Job for WriteJob<T, F>
where
    T: Send,
    F: FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn has_waiter(&self) -> bool {
        // An operation without undo records an event, so it runs without a caller.
        self.undo.is_none() || !self.reply.is_closed()
    }

    fn stores_new(&self) -> bool {
        self.undo.is_some()
    }

    fn is_read_mostly(&self) -> bool {
        self.is_read_mostly
    }

    fn run(&mut self, tx: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.answer = Some((self.operation)(tx)?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<(), StoreError>) -> Option<Undo> {
        let Self {
            answer,
            reply,
            undo,
            ..
        } = *self;
        let committed = result.is_ok();
        let unheard = match result.map(|()| answer).transpose() {
            Some(answer) => reply.send(answer).is_err(),
            None => true,
        };
        undo.filter(|_| committed && unheard)
    }
}

impl Writer {
    /// Opens the file and starts the thread.
    pub fn start(path: &Path, clock: Arc<dyn Clock>, running: Running) -> Result<Self, StoreError> {
        let (jobs, receiver) = channel();
        let mut thread = WriterThread {
            open: None,
            first_file: None,
            is_another_file: false,
            owner: Owner::new(path),
            observer: Observer::default(),
            last_housekeeping: Duration::ZERO,
            reserve: Reserve::new(path),
            is_disk_full: false,
            path: path.to_owned(),
            clock,
            running,
        };
        thread.open()?;
        let started: io::Result<_> = std::thread::Builder::new()
            .name("notifier-outbox".to_owned())
            .spawn(move || thread.run(&receiver));
        started.map_err(|_| StoreError::new(display_path(path), StoreErrorKind::Stopped))?;
        Ok(Self {
            jobs,
            location: display_path(path),
        })
    }

    pub fn location(&self) -> &str {
        &self.location
    }

    /// Submits an operation. The reply comes when it is committed.
    pub fn submit<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(operation, None, false)
    }

    /// Like `submit`, for an operation that seldom writes: it locks the file only when it writes.
    pub fn submit_read_mostly<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(operation, None, true)
    }

    /// Like `submit`, and undoes the operation if the caller no longer waits.
    pub fn submit_with_undo<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        undo: impl FnMut(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(operation, Some(Box::new(undo)), false)
    }

    fn send<T: Send + 'static>(
        &self,
        operation: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        undo: Option<Undo>,
        is_read_mostly: bool,
    ) -> StoreFuture<T> {
        let (reply, answer) = oneshot::channel();
        let job = WriteJob {
            operation,
            answer: None,
            reply,
            undo,
            is_read_mostly,
        };
        let stopped = StoreError::new(self.location.clone(), StoreErrorKind::Stopped);
        // If the thread has ended, the dropped reply reports it.
        let _ = self.jobs.send(Box::new(job));
        Box::pin(async move { answer.await.unwrap_or(Err(stopped)) })
    }
}

struct WriterThread {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    running: Running,
    /// `None`: it could not be reopened.
    open: Option<OpenFile>,
    /// The id of the first file.
    first_file: Option<String>,
    is_another_file: bool,
    owner: Owner,
    observer: Observer,
    /// By the clock's uptime.
    last_housekeeping: Duration,
    reserve: Reserve,
    /// The disk has no space for the reserve.
    is_disk_full: bool,
}

struct OpenFile {
    database: Database,
    time: FileTime,
}

impl WriterThread {
    fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        loop {
            let left = RENEW_EVERY.saturating_sub(self.since_housekeeping());
            let mut batch = match jobs.recv_timeout(left) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // The heartbeat comes first: the process may have been stopped, and a job does not renew the lease.
            if self.since_housekeeping() >= RENEW_EVERY {
                self.run_housekeeping();
            }
            batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
            batch.retain(|job| job.has_waiter());
            let undone = self.commit(batch);
            for mut undo in undone {
                let _ = self.transaction(TransactionBehavior::Immediate, &mut |tx| undo(tx));
            }
        }
        let _ = self.transaction(TransactionBehavior::Immediate, &mut |tx| {
            tx.owner.unregister(tx.db)
        });
    }

    fn since_housekeeping(&self) -> Duration {
        self.clock
            .read()
            .uptime
            .saturating_sub(self.last_housekeeping)
    }

    /// Commits all jobs in one transaction. If that fails, it commits each job separately, so that one failure does not
    /// affect the others.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Undo> {
        let mut undone = Vec::new();
        if self.is_disk_full {
            // The disk or the file may have free space again.
            self.make_room();
        }
        if self.is_disk_full {
            let full = StoreError::new(display_path(&self.path), StoreErrorKind::NoSpace);
            let (new, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.stores_new());
            undone.extend(
                new.into_iter()
                    .filter_map(|job| job.finish(Err(full.clone()))),
            );
            batch = rest;
        }
        if batch.is_empty() {
            return undone;
        }
        let only_looks = batch.iter().all(|job| job.is_read_mostly());
        let behavior = match only_looks {
            true => TransactionBehavior::Deferred,
            false => TransactionBehavior::Immediate,
        };
        let all = self.transaction(behavior, &mut |tx| {
            batch.iter_mut().try_for_each(|job| job.run(tx))
        });
        let wants_room = all.as_ref().is_err_and(StoreError::is_disk_full);
        if wants_room {
            self.make_room();
        }
        let was_alone = batch.len() == 1 && !only_looks && !wants_room;
        for mut job in batch {
            let result = match &all {
                Ok(()) => Ok(()),
                Err(error) if was_alone => Err(error.clone()),
                Err(error) if self.is_disk_full && job.stores_new() => Err(error.clone()),
                Err(_) => self.transaction(TransactionBehavior::Immediate, &mut |tx| job.run(tx)),
            };
            undone.extend(job.finish(result));
        }
        if let Some(open) = &self.open
            && self.reserve.is_log_too_long()
        {
            open.database.shorten_log();
        }
        undone
    }

    /// The disk is full: a checkpoint writes the log to the file, which takes less space. If there is no space left for
    /// the reserve, ends use the reserved space, and new requests are refused.
    fn make_room(&mut self) {
        self.reserve.release();
        if let Some(open) = &self.open {
            open.database.shorten_log();
        }
        self.is_disk_full = self.reserve.is_refused();
    }

    /// Renews the heartbeat and deletes expired rows.
    fn run_housekeeping(&mut self) {
        let now = self.clock.read();
        self.last_housekeeping = now.uptime;
        let before = self.open.as_ref().map(|open| open.time.clone());
        let mut time = None;
        let _ = self.transaction(TransactionBehavior::Immediate, &mut |tx| {
            time = Some(FileTime::synchronise(tx.db, now.clone(), before.as_ref())?);
            tx.observer.renew(tx.db, tx.owner)?;
            tx.observer.remove_lost(tx.db, tx.owner, tx.uptime)?;
            remove_old_locks(tx.db, tx.owner.outbox())?;
            purge(tx.db, tx.now)
        });
        if let (Some(open), Some(time)) = (&mut self.open, time) {
            open.time = time;
        }
        self.is_disk_full = self.reserve.is_refused();
    }

    fn open(&mut self) -> Result<(), StoreError> {
        self.open = None;
        let mut database = Database::open(&self.path)?;
        let now = self.clock.read();
        self.last_housekeeping = now.uptime;
        let time = database.transact(TransactionBehavior::Immediate, |db| {
            self.observer.renew(db, &self.owner)?;
            remove_old_locks(db, &self.path)?;
            FileTime::synchronise(db, now, None)
        })?;
        let first = self.first_file.get_or_insert_with(|| time.file.clone());
        self.is_another_file = *first != time.file;
        self.open = Some(OpenFile { database, time });
        self.is_disk_full = self.reserve.is_refused();
        Ok(())
    }

    fn transaction(
        &mut self,
        behavior: TransactionBehavior,
        operation: &mut dyn FnMut(&mut Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        // The file may have been moved away: new requests must not go to the moved file.
        let is_in_place = |open: &OpenFile| open.database.is_same_file();
        if !self.open.as_ref().is_some_and(is_in_place) {
            self.open()?;
        }
        let stopped = || StoreError::new(display_path(&self.path), StoreErrorKind::Stopped);
        let Some(open) = &mut self.open else {
            return Err(stopped());
        };
        let clock = self.clock.read();
        let now = open.time.at(&clock);
        let done = catch_panic(|| {
            open.database.transact(behavior, |db| {
                operation(&mut Transaction {
                    db,
                    owner: &self.owner,
                    observer: &mut self.observer,
                    running: &self.running,
                    is_another_file: self.is_another_file,
                    now,
                    uptime: clock.uptime,
                })
            })
        });
        done.unwrap_or_else(|_| Err(stopped()))
    }
}
