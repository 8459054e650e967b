//! The one thread of a process that writes the file. What waits together is committed together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::file::{Database, shown};
use super::rows::{self, Owner};
use crate::outbox::{OutboxError, RENEW_EVERY, Reply, Trouble};
use crate::panics::guarded;

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
    fn run(&mut self, db: &Connection) -> rusqlite::Result<()>;
    /// The transaction was committed, or it was not. Gives back what is to be undone, where nobody has heard of it.
    fn done(self: Box<Self>, result: Result<(), OutboxError>) -> Option<Undo>;
}

type Undo = Box<dyn FnMut(&Connection) -> rusqlite::Result<()> + Send>;

struct Asked<T, F> {
    work: F,
    answer: Option<T>,
    reply: oneshot::Sender<Result<T, OutboxError>>,
    undo: Option<Undo>,
}

impl<T, F> Job for Asked<T, F>
where
    T: Send,
    F: FnMut(&Connection) -> rusqlite::Result<T> + Send,
{
    fn is_wanted(&self) -> bool {
        // What changes nothing that could be undone is a note of what has happened.
        self.undo.is_none() || !self.reply.is_closed()
    }

    fn run(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.answer = Some((self.work)(db)?);
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<(), OutboxError>) -> Option<Undo> {
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
    pub fn start(path: &Path, owner: Owner) -> Result<Self, OutboxError> {
        let database = Database::open(path)?;
        let (jobs, receiver) = channel();
        let thread = Thread {
            path: path.to_owned(),
            database: Some(database),
            owner,
            ticked: Instant::now(),
        };
        let started: io::Result<_> = std::thread::Builder::new()
            .name("notifier-outbox".to_owned())
            .spawn(move || thread.run(&receiver));
        started.map_err(|_| OutboxError::new(shown(path), Trouble::Stopped))?;
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
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T> {
        self.send(work, None)
    }

    /// The same, for what must not have been done where nobody waits for the reply any more.
    pub fn ask_or_undo<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        undo: impl FnMut(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Reply<T> {
        self.send(work, Some(Box::new(undo)))
    }

    fn send<T: Send + 'static>(
        &self,
        work: impl FnMut(&Connection) -> rusqlite::Result<T> + Send + 'static,
        undo: Option<Undo>,
    ) -> Reply<T> {
        let (reply, answer) = oneshot::channel();
        let job = Asked {
            work,
            answer: None,
            reply,
            undo,
        };
        let stopped = OutboxError::new(self.place.clone(), Trouble::Stopped);
        // Where the thread has ended the reply's other half is dropped, and says so.
        let _ = self.jobs.send(Box::new(job));
        Box::pin(async move { answer.await.unwrap_or(Err(stopped)) })
    }
}

struct Thread {
    path: PathBuf,
    /// None: it could not be opened again.
    database: Option<Database>,
    owner: Owner,
    ticked: Instant,
}

impl Thread {
    fn run(mut self, jobs: &Receiver<Box<dyn Job>>) {
        loop {
            let left = RENEW_EVERY.saturating_sub(self.ticked.elapsed());
            let mut batch = match jobs.recv_timeout(left) {
                Ok(first) => vec![first],
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            batch.extend(jobs.try_iter().take(MAX_BATCH - 1));
            batch.retain(|job| job.is_wanted());
            let undone = self.commit(batch);
            for mut undo in undone {
                let _ = self.transaction(&mut |db| undo(db));
            }
            if self.ticked.elapsed() >= RENEW_EVERY {
                self.tick();
            }
        }
    }

    /// Commits all in one transaction; where that fails, each by itself, so that one does not fail the others.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) -> Vec<Undo> {
        if batch.is_empty() {
            return Vec::new();
        }
        let all = self.transaction(&mut |db| batch.iter_mut().try_for_each(|job| job.run(db)));
        if let [_] = batch.as_slice() {
            return batch
                .into_iter()
                .filter_map(|job| job.done(all.clone()))
                .collect();
        }
        let mut undone = Vec::new();
        for mut job in batch {
            let result = match &all {
                Ok(()) => Ok(()),
                Err(_) => self.transaction(&mut |db| job.run(db)),
            };
            undone.extend(job.done(result));
        }
        undone
    }

    /// Says that this process lives, and forgets what need not be kept.
    fn tick(&mut self) {
        self.ticked = Instant::now();
        let owner = self.owner.clone();
        let _ = self.transaction(&mut |db| {
            rows::renew(db, &owner)?;
            rows::purge(db)
        });
    }

    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), OutboxError> {
        // Somebody may have moved the file away: what is taken from now on must not go with it.
        if self
            .database
            .as_ref()
            .is_none_or(|database| !database.is_in_place())
        {
            self.database = None;
            self.database = Some(Database::open(&self.path)?);
        }
        let stopped = || OutboxError::new(shown(&self.path), Trouble::Stopped);
        let Some(database) = &mut self.database else {
            return Err(stopped());
        };
        let done = guarded(|| {
            let transaction = database
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&transaction)?;
            transaction.commit()
        });
        match done {
            Ok(done) => done.map_err(|error| database.error(&error)),
            Err(_) => Err(stopped()),
        }
    }
}
