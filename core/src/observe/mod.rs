//! Events. A [`Sink`] passes each to the log, the metrics, the last errors and the history.

mod event;
mod history;
mod limiter;
mod line;
mod log;
mod metrics;
mod recent;
mod sink;

pub use self::event::{Event, LogLevel};
pub use self::history::{History, OnWritten, Recorder, StoreRow};
pub use self::limiter::{LineLimiter, MAX_LINES};
pub use self::line::{KEPT, LogLine};
pub use self::log::{LogPort, LogReceiver, TaskLog};
pub use self::metrics::{AlertGauges, Gauges, Metrics};
pub use self::recent::{RecentError, RecentErrors};
pub use self::sink::{Outputs, Sink};
