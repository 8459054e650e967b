//! What tells one state of a file from another, without reading it.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The state of a file; `None`: it is not there, or cannot be looked at.
pub type Stamp = Option<Written>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    at: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

impl Written {
    /// Whether nobody has written to it for so long.
    pub fn has_rested(&self, rest: Duration) -> bool {
        let age = self.at.and_then(|at| at.elapsed().ok());
        age.is_some_and(|age| age >= rest)
    }
}

/// Looks at a file. What is written while it is read afterwards is a change.
pub fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some(Written {
        at: metadata.modified().ok(),
        bytes: metadata.len(),
        inode: inode(&metadata),
    })
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
const fn inode(_: &Metadata) -> u64 {
    0
}
