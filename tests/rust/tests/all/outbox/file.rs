//! An outbox in its own file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use notifier_core::store::Store;
use notifier_core::store::clock::{Clock, ClockReading, SystemClock};
use notifier_core::store::sqlite::SqliteStore;
use rust_tests::conformance::StoreFixture;
use rust_tests::conformance::kills::{Kill, kill_program};

pub struct File {
    _directory: tempfile::TempDir,
    pub path: PathBuf,
}

impl File {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            path: directory.path().join("outbox.db"),
            _directory: directory,
        }
    }

    pub fn sql(&self, sql: &str) -> usize {
        let db = rusqlite::Connection::open(&self.path).unwrap();
        db.execute(sql, []).unwrap()
    }

    pub fn count(&self, table: &str) -> i64 {
        let db = rusqlite::Connection::open(&self.path).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
    }

    /// Opens the file as a process with these clocks.
    pub fn open_with(&self, clock: &Arc<TestClock>) -> SqliteStore {
        let clock: Arc<dyn Clock> = Arc::<TestClock>::clone(clock);
        SqliteStore::open_with(&self.path, clock).unwrap()
    }
}

/// The machine's clocks, moved.
#[derive(Default)]
pub struct TestClock {
    wall_millis: AtomicI64,
    uptime_millis: AtomicU64,
    boots: AtomicU64,
}

impl TestClock {
    /// Somebody sets the wall clock.
    pub fn jump(&self, millis: i64) {
        self.wall_millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Lets this much time pass.
    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.uptime_millis.fetch_add(millis, Ordering::Relaxed);
        self.jump(i64::try_from(millis).unwrap());
    }

    /// Restarts the machine: its uptime begins at zero.
    pub fn reboot(&self) {
        self.boots.fetch_add(1, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn read(&self) -> ClockReading {
        let now = SystemClock.read();
        let boots = self.boots.load(Ordering::Relaxed);
        let uptime = now.uptime + Duration::from_millis(self.uptime_millis.load(Ordering::Relaxed));
        let wall = self.wall_millis.load(Ordering::Relaxed);
        let by = Duration::from_millis(wall.unsigned_abs());
        ClockReading {
            wall: match wall < 0 {
                true => now.wall - by,
                false => now.wall + by,
            },
            uptime: match boots {
                0 => uptime,
                _ => uptime
                    .checked_sub(SystemClock.read().uptime)
                    .unwrap_or_default(),
            },
            boot: format!("{} {boots}", now.boot).into(),
        }
    }
}

/// Milliseconds of a day.
pub const DAY: i64 = 24 * 3600 * 1000;

impl StoreFixture for File {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path).unwrap())
    }

    fn lapse(&self) {
        self.sql("DELETE FROM owners");
    }

    fn kill_at(&self, kill: Kill) -> BoxFuture<'_, ()> {
        let program = Path::new(env!("CARGO_BIN_EXE_outbox-step"));
        kill_program(program, &format!("sqlite:{}", self.path.display()), &kill);
        future::ready(()).boxed()
    }
}
