//! Reserves disk space with a file beside the outbox. A full disk removes the file, so that ends can
//! be written and an operator can drop deliveries. New notifications do not use that space.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::file::owner_only;
use crate::store::StoreError;

/// Enough for some hundred ends, or for a command that drops as many deliveries.
const RESERVE_BYTES: usize = 256 * 1024;
/// With less free space than this, the log stays short, so that a checkpoint needs no more than the reserve.
const LOW_SPACE_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of a short log.
const SHORT_LOG_BYTES: u64 = 128 * 1024;

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

    /// Returns whether the log is too long for the free disk space.
    pub fn is_log_too_long(&self) -> bool {
        let log = fs::metadata(&self.log).map_or(0, |file| file.len());
        log > SHORT_LOG_BYTES && free_bytes(&self.log).is_some_and(|free| free < LOW_SPACE_BYTES)
    }

    /// Writes the reserve. Returns whether the disk is too full for it.
    pub fn is_refused(&self) -> bool {
        let kept = fs::metadata(&self.path).is_ok_and(|file| file.len() == RESERVE_BYTES as u64);
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

    /// Releases the reserve if the error is a full disk; else returns the error.
    pub fn release_for(&self, error: &StoreError) -> Result<(), StoreError> {
        if !error.is_disk_full() {
            return Err(error.clone());
        }
        self.release();
        Ok(())
    }

    /// Writes random bytes: some file systems compress other content to nothing.
    fn fill(&self) -> io::Result<()> {
        let mut bytes = vec![0; RESERVE_BYTES];
        fastrand::fill(&mut bytes);
        let mut file = owner_only(OpenOptions::new().write(true).create(true).truncate(true))
            .open(&self.path)?;
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

#[cfg(unix)]
fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

/// Unknown on this system: the log keeps its usual length.
#[cfg(not(unix))]
fn free_bytes(_: &Path) -> Option<u64> {
    None
}
