//! The file's own time. It goes as fast as the clock of the machine's uptime, so that no jump of the wall clock makes a
//! delivery expire or a dead letter old.
//!
//! One row holds it, with both clocks as they were then. Whoever uses the file moves it on: within one start of the machine by
//! the uptime, which all processes share. After another start only the wall clock can tell how long that took: that counts for
//! the age of deliveries, which may be wrong by now, and not for what is deleted by its age.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::store::clock::ClockReading;

/// A moment, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Of the file: counts restarts of the machine by the wall clock.
    pub age: i64,
    /// Of the file: does not count them.
    pub used: i64,
    /// Since 1970, by the wall clock: for people, and for providers.
    pub wall: i64,
}

/// The file's time as this process counts it between two looks at the row.
#[derive(Clone)]
pub struct FileTime {
    at: Moment,
    since: ClockReading,
    /// The file's name: another file has another one.
    pub file: String,
}

impl FileTime {
    /// Moves the file's time on. `before` is what this process counted so far.
    pub fn synchronise(
        db: &Connection,
        now: ClockReading,
        before: Option<&FileTime>,
    ) -> Result<Self> {
        let time = Self::read(db, now, before)?;
        db.prepare_cached(
            "INSERT OR REPLACE INTO time (id, file, age, used, wall, boot, uptime) VALUES (1, ?, ?, ?, ?, ?, ?)",
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

    /// What the file's time is, for somebody who does not move it.
    pub fn read(db: &Connection, now: ClockReading, before: Option<&FileTime>) -> Result<Self> {
        let wall = millis(now.wall);
        let stored = db
            .prepare_cached("SELECT age, used, wall, boot, uptime, file FROM time")?
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
                // Another process has moved it, where processes count for themselves.
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
    /// How long ago the file's age was that.
    pub fn since(self, age: i64) -> Duration {
        Duration::from_millis(u64::try_from(self.age.saturating_sub(age)).unwrap_or(0))
    }

    /// How long it is until the file's age is that.
    pub fn until(self, age: i64) -> Duration {
        Duration::from_millis(u64::try_from(age.saturating_sub(self.age)).unwrap_or(0))
    }

    /// The wall clock when the file's age is that, for people.
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

/// What is beyond the clock's end was never written.
pub fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
