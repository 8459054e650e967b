//! The file: its schema, how it is opened, and its possible errors.

use std::cmp::Ordering;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::store::{StoreError, StoreErrorKind};
use crate::text::printable;

/// The application id of outbox files: `INFN`.
const APPLICATION: i32 = 0x494e_464e;
/// The version of the schema below. A file with another version is refused.
const SCHEMA_VERSION: i32 = 5;
/// How long another program may keep the file locked.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1500);

/// `state`: `waiting` for an owner, `claimed` by the request's owner; then `ended`, `dead` (not delivered), `dropped` by an
/// operator. `owner` is a row of `owners`; none: the request is nobody's. `accepted`, `ended` and `attempting` are milliseconds
/// since 1970, for people and for providers; `accepted_age` and `deadline` are of the file's age, `ended_used` and `used` of the
/// time for which it was used: see `time`. `bodies` has what may be long, so that a change of state does not write it again;
/// it goes when nothing of the request can be sent any more.
const SCHEMA: &str = "
CREATE TABLE file_clock (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  file TEXT NOT NULL,
  age INTEGER NOT NULL,
  used INTEGER NOT NULL,
  wall_clock INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  uptime INTEGER NOT NULL
) STRICT;

CREATE TABLE owners (
  id TEXT PRIMARY KEY,
  heartbeat INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TRIGGER owner_removed AFTER DELETE ON owners BEGIN
  UPDATE requests SET owner = NULL WHERE ended IS NULL AND owner = OLD.id;
  UPDATE history SET owner = NULL WHERE owner = OLD.id;
  UPDATE alert_leaders SET owner = NULL WHERE owner = OLD.id;
END;

CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  task TEXT NOT NULL UNIQUE,
  scope TEXT NOT NULL,
  key TEXT,
  fingerprint BLOB NOT NULL,
  config TEXT NOT NULL,
  arguments TEXT NOT NULL,
  warnings TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  accepted_age INTEGER NOT NULL,
  owner TEXT,
  ended INTEGER,
  ended_used INTEGER
) STRICT;
CREATE TABLE request_bodies (
  request INTEGER PRIMARY KEY REFERENCES requests (id) ON DELETE CASCADE,
  json TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX requests_by_key ON requests (scope, key) WHERE key IS NOT NULL;
CREATE INDEX requests_open ON requests (owner, config) WHERE ended IS NULL;
CREATE INDEX requests_ended ON requests (ended_used) WHERE ended_used IS NOT NULL;

CREATE TABLE deliveries (
  request INTEGER NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
  delivery_index INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'claimed', 'ended', 'dead', 'dropped')),
  receiver TEXT,
  destination INTEGER,
  sealed_config BLOB,
  deadline INTEGER,
  timeout INTEGER,
  order_key BLOB,
  waits_for_older INTEGER NOT NULL,
  was_claimed INTEGER NOT NULL DEFAULT 0,
  composition_hash BLOB,
  attempt_began INTEGER,
  message TEXT,
  report TEXT NOT NULL,
  PRIMARY KEY (request, delivery_index)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_open ON deliveries (state) WHERE state IN ('waiting', 'claimed');
CREATE INDEX deliveries_in_order ON deliveries (order_key)
  WHERE order_key IS NOT NULL AND state IN ('waiting', 'claimed');
CREATE INDEX deliveries_dead ON deliveries (state) WHERE state IN ('dead', 'dropped');
CREATE INDEX deliveries_by_message ON deliveries (message) WHERE message IS NOT NULL;

CREATE TABLE history (
  id INTEGER PRIMARY KEY,
  line TEXT NOT NULL UNIQUE,
  config TEXT NOT NULL,
  owner TEXT
) STRICT;
CREATE INDEX history_by_owner ON history (owner, config);

CREATE TABLE alert_leaders (
  config TEXT PRIMARY KEY,
  owner TEXT,
  written INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE alert_state (
  config TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('alert', 'group')),
  key TEXT NOT NULL,
  json TEXT NOT NULL,
  PRIMARY KEY (config, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE last_notifications (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  message TEXT,
  state TEXT,
  at INTEGER NOT NULL,
  used INTEGER NOT NULL
) STRICT;
";

/// An open file.
pub struct Database {
    connection: Connection,
    pub path: PathBuf,
    /// Identifies the opened file.
    inode: Option<(u64, u64)>,
}

impl Database {
    /// Opens the file, or creates it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        create(path)
            .map_err(|error| StoreError::new(display_path(path), kind_of_io_error(&error)))?;
        Self::open_existing(path)
    }

    /// Opens an existing file.
    pub fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let failed = |kind| StoreError::new(display_path(path), kind);
        if !path.exists() {
            return Err(failed(StoreErrorKind::Missing));
        }
        let inode = inode(path);
        match connect(path) {
            Ok(Ok(connection)) => Ok(Self {
                connection,
                path: path.to_owned(),
                inode,
            }),
            Ok(Err(kind)) => Err(failed(kind)),
            Err(error) => Err(failed(kind_of_sqlite_error(&error))),
        }
    }

    /// Returns whether the path still leads to this file.
    pub fn is_same_file(&self) -> bool {
        inode(&self.path) == self.inode
    }

    /// Commits the whole transaction to the disk, or nothing.
    pub fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let transact = |connection: &mut Connection| {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        transact(&mut self.connection).map_err(|error| {
            StoreError::new(display_path(&self.path), kind_of_sqlite_error(&error))
        })
    }

    /// Copies the write-ahead log into the file, and truncates the log.
    pub fn shorten_log(&self) {
        let shorten = "PRAGMA wal_checkpoint(TRUNCATE)";
        let _ = self.connection.query_row(shorten, [], |_| Ok(()));
    }
}

pub fn display_path(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}

/// Creates the file with access only for its owner, because it contains notifications.
fn create(path: &Path) -> io::Result<()> {
    owner_only(OpenOptions::new().read(true).write(true).create(true))
        .open(path)
        .map(drop)
}

/// Only the owner may read and write a new file.
pub fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn connect(path: &Path) -> rusqlite::Result<Result<Connection, StoreErrorKind>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if connection.is_readonly("main")? {
        return Ok(Err(StoreErrorKind::ReadOnly));
    }
    // This check comes before any change.
    if let Some(kind) = make_tables(&mut connection)? {
        return Ok(Err(kind));
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A commit returns after it is on the disk.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(Ok(connection))
}

/// Creates the tables in an empty file. Returns why a file that is not empty cannot be used.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<Option<StoreErrorKind>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number =
        |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 =
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && version == 0 && tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit()?;
        return Ok(None);
    }
    if application != APPLICATION {
        return Ok(Some(StoreErrorKind::NotAnOutbox));
    }
    Ok(match version.cmp(&SCHEMA_VERSION) {
        Ordering::Less => Some(StoreErrorKind::Older),
        Ordering::Equal => None,
        Ordering::Greater => Some(StoreErrorKind::Newer),
    })
}

fn kind_of_io_error(error: &io::Error) -> StoreErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => StoreErrorKind::NoDirectory,
        io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::NoSpace,
        io::ErrorKind::IsADirectory => StoreErrorKind::NotAnOutbox,
        _ => StoreErrorKind::AccessDenied,
    }
}

fn kind_of_sqlite_error(error: &rusqlite::Error) -> StoreErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreErrorKind::AccessDenied,
        Some(ErrorCode::NotADatabase) => StoreErrorKind::NotAnOutbox,
        Some(ErrorCode::DatabaseCorrupt) => StoreErrorKind::Damaged,
        Some(ErrorCode::DiskFull) => StoreErrorKind::NoSpace,
        Some(ErrorCode::ReadOnly) => StoreErrorKind::ReadOnly,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreErrorKind::Busy,
        Some(ErrorCode::SystemIoFailure) => StoreErrorKind::IoFailed,
        // A table or column is missing, or a value is not one of ours.
        _ => StoreErrorKind::Damaged,
    }
}

#[cfg(unix)]
fn inode(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|_| (0, 0))
}
