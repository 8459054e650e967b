//! The clocks that a store reads.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// What a store asks for the time. Tests bring one that they move.
pub trait Clock: Send + Sync {
    fn read(&self) -> ClockReading;
}

/// Both clocks at one moment.
#[derive(Clone, Debug)]
pub struct ClockReading {
    /// The wall clock: somebody may set it, forward and back.
    pub wall: SystemTime,
    /// Since the machine was started. Nobody sets it, and it goes on while the machine sleeps.
    pub uptime: Duration,
    /// Which start that was: an `uptime` compares only with those of the same start.
    pub boot: Arc<str>,
}

/// The machine's clocks.
pub struct SystemClock;

impl Clock for SystemClock {
    fn read(&self) -> ClockReading {
        ClockReading {
            wall: SystemTime::now(),
            uptime: uptime(),
            boot: Arc::clone(boot()),
        }
    }
}

#[cfg(target_os = "linux")]
fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

/// Linux gives each start of the machine a name: random(4).
#[cfg(target_os = "linux")]
fn boot() -> &'static Arc<str> {
    static BOOT: OnceLock<Arc<str>> = OnceLock::new();
    BOOT.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let name = name.map(|name| name.trim().to_owned());
        name.unwrap_or_else(unique).into()
    })
}

/// Since the first look: elsewhere each process counts for itself.
#[cfg(not(target_os = "linux"))]
fn uptime() -> Duration {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(not(target_os = "linux"))]
fn boot() -> &'static Arc<str> {
    static BOOT: OnceLock<Arc<str>> = OnceLock::new();
    BOOT.get_or_init(|| unique().into())
}

fn unique() -> String {
    uuid::Uuid::new_v4().to_string()
}
