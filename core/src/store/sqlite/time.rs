//! The file's own time. It runs with the machine's uptime, so that no jump of the wall clock makes a
//! delivery expire or a dead letter old.
//!
//! One row holds it, with both clocks at that moment. Each process advances it: within one start of the machine by
//! the uptime, which all processes share. After a restart only the wall clock tells the time in between. It counts for
//! the age of deliveries, and not for the deletion of expired rows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::store::clock::ClockReading;

/// A moment, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The file's age. It includes the time of restarts, by the wall clock.
    pub age: i64,
    /// The time for which the file was in use. It excludes restarts.
    pub used: i64,
    /// Milliseconds since 1970 by the wall clock, for people and for providers.
    pub wall: i64,
}

/// The file's time, as this process counts it between two reads of the row.
#[derive(Clone)]
pub struct FileTime {
    at: Moment,
    since: ClockReading,
    /// The file's id, unique to the file.
    pub file: String,
}

impl FileTime {
    /// Advances the file's time. `before` is what this process has counted so far.
    pub fn synchronise(
        db: &Connection,
        now: ClockReading,
        before: Option<&FileTime>,
    ) -> Result<Self> {
        let time = Self::read(db, now, before)?;
        db.prepare_cached(
            "INSERT OR REPLACE INTO file_clock (id, file, age, used, wall_clock, boot_id, uptime) VALUES (1, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            time.file,
            time.at.age,
            time.at.used,
            time.at.wall,
            &*time.since.boot,
            whole_millis(time.since.uptime),
        ])?;
        Ok(time)
    }

    /// Reads the file's time without a change.
    pub fn read(db: &Connection, now: ClockReading, before: Option<&FileTime>) -> Result<Self> {
        let wall = millis(now.wall);
        let stored = db
            .prepare_cached("SELECT age, used, wall_clock, boot_id, uptime, file FROM file_clock")?
            .query_row([], |row| {
                let at = Moment {
                    age: row.get(0)?,
                    used: row.get(1)?,
                    wall: row.get(2)?,
                };
                Ok((
                    at,
                    row.get::<_, String>(3)?,
                    row.get::<_, i64>(4)?,
                    row.get(5)?,
                ))
            })
            .optional()?;
        let mut at = Moment::default();
        let mut file = None;
        if let Some((then, boot, uptime, name)) = stored {
            file = Some(name);
            let by_wall = wall.saturating_sub(then.wall).max(0);
            let (aged, used) = match before {
                _ if *boot == *now.boot => {
                    let elapsed = whole_millis(now.uptime).saturating_sub(uptime).max(0);
                    (elapsed, elapsed)
                }
                // Another process advanced it, on a system without a shared uptime.
                Some(before) => {
                    let own = whole_millis(now.uptime.saturating_sub(before.since.uptime));
                    (by_wall.min(own), by_wall.min(own))
                }
                None => (by_wall, 0),
            };
            at.age = then.age.saturating_add(aged);
            at.used = then.used.saturating_add(used);
        }
        at.wall = wall;
        let unique = || uuid::Uuid::new_v4().to_string();
        Ok(Self {
            at,
            since: now,
            file: file.unwrap_or_else(unique),
        })
    }

    pub fn at(&self, now: &ClockReading) -> Moment {
        let elapsed = whole_millis(now.uptime.saturating_sub(self.since.uptime));
        Moment {
            age: self.at.age.saturating_add(elapsed),
            used: self.at.used.saturating_add(elapsed),
            wall: millis(now.wall),
        }
    }
}

impl Moment {
    /// Time since the file had this age.
    pub fn since(self, age: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.age.saturating_sub(age)).unwrap_or(0))
    }

    /// Time until the file has this age.
    pub fn until(self, age: i64) -> Duration {
        Duration::from_millis(u64::try_from(age.saturating_sub(self.age)).unwrap_or(0))
    }

    /// The wall clock at this age of the file, for people.
    pub fn wall_at(self, age: i64) -> i64 {
        self.wall.saturating_add(age.saturating_sub(self.age))
    }

    pub fn age_after(self, time: Duration) -> i64 {
        self.age.saturating_add(whole_millis(time))
    }

    pub fn used_before(self, time: Duration) -> i64 {
        self.used.saturating_sub(whole_millis(time))
    }
}

pub fn whole_millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds since 1970.
pub fn millis(time: SystemTime) -> i64 {
    whole_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A time beyond the clock's range was never written.
pub fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
