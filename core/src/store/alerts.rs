//! Alerts and groups, which outlive the process. Their meaning is the alert state's own.

use std::time::Duration;

use super::{DeliveryId, StoreFuture};
use crate::model::outcome::Outcome;

/// Stores the alert state of each configuration file. Only the leading process writes.
pub trait AlertStore: Send + Sync {
    /// Acquires the lead, unless another live process has it. Returns the stored state. `None`: another process leads.
    fn lead_alerts(&self, config: &str) -> StoreFuture<Option<StoredAlerts>>;

    /// Writes all rows or none. The operation begins at once, in the order of the calls. `false`: this process does not
    /// lead any more, and nothing was written.
    fn write_alerts(&self, config: &str, rows: Vec<AlertRow>) -> StoreFuture<bool>;

    /// The state of a delivery. `None`: the store never had it.
    fn delivery_outcome(&self, delivery: &DeliveryId) -> StoreFuture<Option<Outcome>>;
}

/// The stored state of a configuration file.
#[derive(Clone, Debug, Default)]
pub struct StoredAlerts {
    pub rows: Vec<AlertRow>,
    /// The time since the last write. The process may not have run meanwhile.
    pub idle: Duration,
}

/// One alert, group or silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    pub kind: AlertRowKind,
    pub key: String,
    /// `None`: it is not there any more.
    pub json: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertRowKind {
    Alert,
    Group,
    Silence,
}

impl AlertRowKind {
    pub const ALL: [Self; 3] = [Self::Alert, Self::Group, Self::Silence];

    pub const fn word(self) -> &'static str {
        match self {
            AlertRowKind::Alert => "alert",
            AlertRowKind::Group => "group",
            AlertRowKind::Silence => "silence",
        }
    }
}
