//! The one thread of a process that writes the file. What waits together is committed together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use rusqlite::TransactionBehavior;
use tokio::sync::oneshot;

use super::file::{Database, shown};
use super::owners::{Observer, Owner, remove_old_locks};
use super::purge::purge;
use super::reserve::Reserve;
use super::time::FileTime;
use super::transaction::Transaction;
use crate::panics::catch_panic;
use crate::store::clock::Clock;
use crate::store::{RENEW_EVERY, Running, StoreError, StoreErrorKind, StoreFuture};

/// What one transaction takes at most.
const MAX_BATCH: usize = 512;

/// The way to the thread. Few jobs wait: each belongs to a call or to a delivery that waits for it.
pub struct Writer {
    jobs: Sender<Box<dyn Job>>,
    place: String,
}

/// Something to be done in a transaction.
trait Job: Send {
    /// Whether somebody still waits for it.
    fn is_wanted(&self) -> bool;
    /// Whether it stores something new, which may be refused.
    fn is_new(&self) -> bool;
    /// Whether it finds nothing to write, as a rule.
    fn is_look(&self) -> bool;
    fn run(&mut self, tx: &mut Transaction<'_>) -> rusqlite::Result<()>;
    /// The transaction was committed, or it was not. Gives back what is to be undone, where nobody has heard of it.
    fn done(self: Box<Self>, result: Result<(), StoreError>) -> Option<Undo>;
}

type Undo = Box<dyn FnMut(&Transaction<'_>) -> rusqlite::Result<()> + Send>;

struct WriteJob<T, F> {
    work: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, StoreError>>,
    undo: Option<Undo>,
    is_look: bool,
}

impl<T, F> Job for WriteJob<T, F>
where
    T: Send,
    F: FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send,
{
    fn is_wanted(&self) -> bool {
        // What changes nothing that could be undone is a note of what has happened.
        self.undo.is_none() || !self.reply.is_closed()
    }

    fn is_new(&self) -> bool {
        self.undo.is_some()
    }

    fn is_look(&self) -> bool {
        self.is_look
    }

    fn run(&mut self, tx: &mut Transaction<'_>) -> rusqlite::Result<()> {
        self.answer = Some((self.work)(tx)?);
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<(), StoreError>) -> Option<Undo> {
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
            ticked: Duration::ZERO,
            reserve: Reserve::new(path),
            is_short: false,
            path: path.to_owned(),
            clock,
            running,
        };
        thread.open()?;
        let started: io::Result<_> = std::thread::Builder::new()
            .name("notifier-outbox".to_owned())
            .spawn(move || thread.run(&receiver));
        started.map_err(|_| StoreError::new(shown(path), StoreErrorKind::Stopped))?;
        Ok(Self {
            jobs,
            place: shown(path),
        })
    }

    pub fn place(&self) -> &str {
        &self.place
    }

    /// Asks for work; the reply comes when it is committed.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(work, None, false)
    }

    /// The same, for what writes seldom: it holds no lock of the file unless it does.
    pub fn look<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(work, None, true)
    }

    /// The same, for what must not have been done where nobody waits for the reply any more.
    pub fn ask_or_undo<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        undo: impl FnMut(&Transaction<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> StoreFuture<T> {
        self.send(work, Some(Box::new(undo)), false)
    }

    fn send<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
        undo: Option<Undo>,
        is_look: bool,
    ) -> StoreFuture<T> {
        let (reply, answer) = oneshot::channel();
        let job = WriteJob {
            work,
            answer: None,
            reply,
            undo,
            is_look,
        };
        let stopped = StoreError::new(self.place.clone(), StoreErrorKind::Stopped);
        // Where the thread has ended the reply's other half is dropped, and says so.
        let _ = self.jobs.send(Box::new(job));
        Box::pin(async move { answer.await.unwrap_or(Err(stopped)) })
    }
}

struct WriterThread {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    running: Running,
    /// None: it could not be opened again.
    open: Option<OpenFile>,
    /// The name of the first one.
    first_file: Option<String>,
    is_another_file: bool,
    owner: Owner,
    observer: Observer,
    /// By the clock's uptime.
    ticked: Duration,
    reserve: Reserve,
    /// The disk has no room for the reserve.
    is_short: bool,
}

struct OpenFile {
    database: Database,
    time: FileTime,
}

impl WriterThread {
    fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        loop {
            let left = RENEW_EVERY.saturating_sub(self.since_tick());
            let mut batch = match jobs.recv_timeout(left) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // Its heartbeat comes first: it may have been stopped, and what is asked of it now is no sign of life.
            if self.since_tick() >= RENEW_EVERY {
                self.tick();
            }
            batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
            batch.retain(|job| job.is_wanted());
            let undone = self.commit(batch);
            for mut undo in undone {
                let _ = self.transaction(TransactionBehavior::Immediate, &mut |tx| undo(tx));
            }
        }
        let _ = self.transaction(TransactionBehavior::Immediate, &mut |tx| {
            tx.owner.resign(tx.db)
        });
    }

    fn since_tick(&self) -> Duration {
        self.clock.read().uptime.saturating_sub(self.ticked)
    }

    /// Commits all in one transaction; where that fails, each by itself, so that one does not fail the others.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Undo> {
        let mut undone = Vec::new();
        if self.is_short {
            // Room may be back, or have been made in the file.
            self.make_room();
        }
        if self.is_short {
            let full = StoreError::new(shown(&self.path), StoreErrorKind::Full);
            let (new, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|job| job.is_new());
            undone.extend(
                new.into_iter()
                    .filter_map(|job| job.done(Err(full.clone()))),
            );
            batch = rest;
        }
        if batch.is_empty() {
            return undone;
        }
        let only_looks = batch.iter().all(|job| job.is_look());
        let behavior = match only_looks {
            true => TransactionBehavior::Deferred,
            false => TransactionBehavior::Immediate,
        };
        let all = self.transaction(behavior, &mut |tx| {
            batch.iter_mut().try_for_each(|job| job.run(tx))
        });
        let wants_room = all.as_ref().is_err_and(StoreError::is_for_want_of_room);
        if wants_room {
            self.make_room();
        }
        let was_alone = batch.len() == 1 && !only_looks && !wants_room;
        for mut job in batch {
            let result = match &all {
                Ok(()) => Ok(()),
                Err(error) if was_alone => Err(error.clone()),
                Err(error) if self.is_short && job.is_new() => Err(error.clone()),
                Err(_) => self.transaction(TransactionBehavior::Immediate, &mut |tx| job.run(tx)),
            };
            undone.extend(job.done(result));
        }
        if let Some(open) = &self.open
            && self.reserve.is_log_too_long()
        {
            open.database.shorten_log();
        }
        undone
    }

    /// The disk is full: what the log holds of the file is written to the file, which takes less room. Where there is none
    /// left then for the reserve, it is used: for what has happened, not for what is new.
    fn make_room(&mut self) {
        self.reserve.release();
        if let Some(open) = &self.open {
            open.database.shorten_log();
        }
        self.is_short = self.reserve.is_refused();
    }

    /// Says that this process lives, and forgets what need not be kept.
    fn tick(&mut self) {
        let now = self.clock.read();
        self.ticked = now.uptime;
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
        self.is_short = self.reserve.is_refused();
    }

    fn open(&mut self) -> Result<(), StoreError> {
        self.open = None;
        let mut database = Database::open(&self.path)?;
        let now = self.clock.read();
        self.ticked = now.uptime;
        let time = database.transact(TransactionBehavior::Immediate, |db| {
            self.observer.renew(db, &self.owner)?;
            remove_old_locks(db, &self.path)?;
            FileTime::synchronise(db, now, None)
        })?;
        let first = self.first_file.get_or_insert_with(|| time.file.clone());
        self.is_another_file = *first != time.file;
        self.open = Some(OpenFile { database, time });
        self.is_short = self.reserve.is_refused();
        Ok(())
    }

    fn transaction(
        &mut self,
        behavior: TransactionBehavior,
        work: &mut dyn FnMut(&mut Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        // Somebody may have moved the file away: what is taken from now on must not go with it.
        let is_in_place = |open: &OpenFile| open.database.is_in_place();
        if !self.open.as_ref().is_some_and(is_in_place) {
            self.open()?;
        }
        let stopped = || StoreError::new(shown(&self.path), StoreErrorKind::Stopped);
        let Some(open) = &mut self.open else {
            return Err(stopped());
        };
        let clock = self.clock.read();
        let now = open.time.at(&clock);
        let done = catch_panic(|| {
            open.database.transact(behavior, |db| {
                work(&mut Transaction {
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
