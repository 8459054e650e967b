//! What happens, as one stream of events that feeds log lines, and beside it metrics and history.

mod event;
mod history;
mod line;
mod log;
mod metrics;
mod recent;
mod sink;

pub use self::event::{Event, LogLevel};
pub use self::history::{History, OnWritten, Recorder, StoreRow};
pub use self::line::{KEPT, LogLine};
pub use self::log::{LateLog, LineLimiter, LogPort, MAX_LINES, TaskLog};
pub use self::metrics::{Gauges, Metrics};
pub use self::recent::{RecentError, RecentErrors};
pub use self::sink::Sink;
