//! The clocks that a store reads.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// The clocks that a store reads. Tests set them by hand.
pub trait Clock: Send + Sync {
    fn read(&self) -> ClockReading;
}

/// Both clocks at one moment.
#[derive(Clone, Debug)]
pub struct ClockReading {
    /// The wall clock, which may be set forward or back.
    pub wall: SystemTime,
    /// Time since the machine started. It cannot be set, and it includes sleep.
    pub uptime: Duration,
    /// The id of the machine's boot. Compare two `uptime`s only if it is equal.
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

/// Time since this process first asked: other systems have no uptime that all processes share.
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
