//! Room on the disk that nobody else may take: a file beside the outbox. It is removed when the disk is full, so that ends can
//! be written and an operator can drop deliveries; new notifications get none of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::private;
use crate::store::StoreError;

/// Enough for some hundred ends, and for a command that drops as many deliveries.
const BYTES: usize = 256 * 1024;
/// With less room than this on the disk the log is kept short: to write it to the file must take no more than the reserve.
const LITTLE: u64 = 16 * 1024 * 1024;
/// Bytes of a short log.
const SHORT_LOG: u64 = 128 * 1024;

pub struct Reserve {
    path: PathBuf,
    log: PathBuf,
}

impl Reserve {
    pub fn new(outbox: &Path) -> Self {
        let beside = |name| {
            let mut path = outbox.as_os_str().to_owned();
            path.push(name);
            PathBuf::from(path)
        };
        Self {
            path: beside("-reserve"),
            log: beside("-wal"),
        }
    }

    /// Whether the log is too long for the room that is left on the disk.
    pub fn is_log_too_long(&self) -> bool {
        let log = fs::metadata(&self.log).map_or(0, |file| file.len());
        log > SHORT_LOG && free_bytes(&self.log).is_some_and(|free| free < LITTLE)
    }

    /// Keeps the room. Gives back whether the disk is too full for that.
    pub fn is_refused(&self) -> bool {
        let kept = fs::metadata(&self.path).is_ok_and(|file| file.len() == BYTES as u64);
        if kept {
            return false;
        }
        let Err(error) = self.fill() else {
            return false;
        };
        self.release();
        matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    pub fn release(&self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Makes room where this is what an operator's command lacked; else gives the error back.
    pub fn release_for(&self, error: &StoreError) -> Result<(), StoreError> {
        if !error.is_for_want_of_room() {
            return Err(error.clone());
        }
        self.release();
        Ok(())
    }

    /// With bytes of no pattern: some file systems keep no room for others.
    fn fill(&self) -> io::Result<()> {
        let mut bytes = vec![0; BYTES];
        fastrand::fill(&mut bytes);
        let mut file =
            private(OpenOptions::new().write(true).create(true).truncate(true)).open(&self.path)?;
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Not known: the log is as long as elsewhere.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
