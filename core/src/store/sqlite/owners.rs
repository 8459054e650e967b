//! The processes that use the file, and which of them have ended.
//!
//! Each process has a row with a heartbeat, and a lock on its own file beside the outbox. When the process ends, the
//! operating system releases the lock. A process that acquires it knows at once that the owner is dead. A stopped
//! process keeps its lock, but loses its requests when its heartbeat has not changed for a [`LEASE`], by the observer's
//! own clock. The wall clock is not used. When an owner's row is deleted, a trigger releases its requests.
//!
//! The lock is a POSIX record lock, which a forked child does not inherit (fcntl(2)). A process can always acquire its
//! own locks, and closing any descriptor of the file releases them. So a registry has the owners of this process, and
//! their files are never opened twice.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Result, params};

use super::file::owner_only;
use crate::store::{LEASE, RENEW_EVERY};

/// Owners of this process.
static OF_THIS_PROCESS: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// An observer that made no check for this long was itself stopped: its earlier observations prove nothing.
const OBSERVER_TIMEOUT: Duration = Duration::from_secs(RENEW_EVERY.as_secs() * 3 / 2);

/// One opening of the file, which owns its accepted and claimed requests. Outside of tests it is a process. Its name is
/// unique, so that the name alone shows who owns a delivery.
pub struct Owner {
    pub id: String,
    outbox: PathBuf,
    /// Held until the owner ends; `None`: the lock file could not be created.
    _lock: Option<File>,
}

impl Owner {
    pub fn new(outbox: &Path) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        registered().insert(id.clone());
        let lock = create_locked(&lock_path(outbox, &id)).ok();
        Self {
            id,
            outbox: outbox.to_owned(),
            _lock: lock,
        }
    }

    pub fn outbox(&self) -> &Path {
        &self.outbox
    }

    /// Inserts the owner's row before any other row names the owner.
    pub fn register(&self, db: &Connection) -> Result<()> {
        db.prepare_cached("INSERT OR IGNORE INTO owners (id, heartbeat) VALUES (?, 0)")?
            .execute([&self.id])
            .map(drop)
    }

    /// Deletes the row, which releases the owner's requests.
    pub fn unregister(&self, db: &Connection) -> Result<()> {
        remove(db, &self.id)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The lock is released after the removal: no process finds an unlocked file.
        let _ = fs::remove_file(lock_path(&self.outbox, &self.id));
        registered().remove(&self.id);
    }
}

/// The heartbeats that this owner has observed.
#[derive(Default)]
pub struct Observer {
    heartbeat: i64,
    other_owners: HashMap<String, ObservedHeartbeat>,
    last_checked: Option<Duration>,
}

struct ObservedHeartbeat {
    heartbeat: i64,
    since: Duration,
}

impl Observer {
    /// Updates the owner's heartbeat.
    pub fn renew(&mut self, db: &Connection, owner: &Owner) -> Result<()> {
        self.heartbeat += 1;
        db.prepare_cached(
            "INSERT INTO owners (id, heartbeat) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET heartbeat = ?2",
        )?
        .execute(params![owner.id, self.heartbeat])
        .map(drop)
    }

    /// Removes owners whose process has ended or whose heartbeat has not changed for a lease.
    pub fn remove_lost(&mut self, db: &Connection, owner: &Owner, uptime: Duration) -> Result<()> {
        let last_checked = self.last_checked.replace(uptime);
        if last_checked
            .is_none_or(|last_checked| uptime.saturating_sub(last_checked) > OBSERVER_TIMEOUT)
        {
            self.other_owners.clear();
        }
        let rows = other_owners(db, &owner.id)?;
        self.other_owners
            .retain(|id, _| rows.iter().any(|(other, _)| other == id));
        for (id, heartbeat) in rows {
            if is_dead(&owner.outbox, &id) || self.is_silent(&id, heartbeat, uptime) {
                remove(db, &id)?;
            }
        }
        Ok(())
    }

    fn is_silent(&mut self, id: &str, heartbeat: i64, uptime: Duration) -> bool {
        match self.other_owners.get(id) {
            Some(seen) if seen.heartbeat == heartbeat => uptime.saturating_sub(seen.since) >= LEASE,
            _ => {
                let since = uptime;
                self.other_owners
                    .insert(id.to_owned(), ObservedHeartbeat { heartbeat, since });
                false
            }
        }
    }
}

/// Removes owners whose process has ended. The caller needs no owner.
pub fn remove_dead(db: &Connection, outbox: &Path) -> Result<()> {
    let dead = other_owners(db, "")?
        .into_iter()
        .filter(|(id, _)| is_dead(outbox, id));
    dead.map(|(id, _)| id).try_for_each(|id| remove(db, &id))
}

/// Removes the files of dead owners without a row. They must exist until then: without its file, no process can see
/// that an owner is dead.
pub fn remove_old_locks(db: &Connection, outbox: &Path) -> Result<()> {
    let rows = other_owners(db, "")?;
    let prefix = lock_path(outbox, "");
    let (Some(directory), Some(prefix)) = (outbox.parent(), prefix.file_name()) else {
        return Ok(());
    };
    let directory = match directory.as_os_str().is_empty() {
        true => Path::new("."),
        false => directory,
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(id) = name.strip_prefix(&*prefix.to_string_lossy()) else {
            continue;
        };
        if !rows.iter().any(|(known, _)| known == id) && is_dead(outbox, id) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

fn other_owners(db: &Connection, own: &str) -> Result<Vec<(String, i64)>> {
    let mut select = db.prepare_cached("SELECT id, heartbeat FROM owners WHERE id <> ?")?;
    let rows = select.query_map([own], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn remove(db: &Connection, id: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM owners WHERE id = ?")?
        .execute([id])
        .map(drop)
}

/// Whether an owner's process has ended. If that is unknown, it counts as alive.
fn is_dead(outbox: &Path, id: &str) -> bool {
    // The lock prevents a new owner of this process meanwhile.
    let registered = registered();
    if registered.contains(id) {
        return false;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(lock_path(outbox, id));
    file.is_ok_and(|file| lock(&file).is_ok())
}

fn lock_path(outbox: &Path, id: &str) -> PathBuf {
    let mut path = outbox.as_os_str().to_owned();
    path.push(format!("-owner-{id}"));
    path.into()
}

fn create_locked(path: &Path) -> io::Result<File> {
    let file = owner_only(OpenOptions::new().read(true).write(true).create_new(true)).open(path)?;
    lock(&file)?;
    Ok(file)
}

#[cfg(unix)]
fn lock(file: &File) -> io::Result<()> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    Ok(fcntl_lock(file, FlockOperation::NonBlockingLockExclusive)?)
}

#[cfg(not(unix))]
fn lock(file: &File) -> io::Result<()> {
    Ok(file.try_lock()?)
}

fn registered() -> MutexGuard<'static, BTreeSet<String>> {
    OF_THIS_PROCESS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
