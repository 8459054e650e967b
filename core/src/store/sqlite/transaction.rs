//! What every statement on the file's rows works with.

use std::time::Duration;

use rusqlite::Connection;

use super::owners::{Observer, Owner};
use super::time::Moment;
use crate::model::report::DeliveryReport;
use crate::store::Running;
use crate::store::record::Record;

/// A transaction of one owner, and what is done in it needs besides.
pub struct Transaction<'a> {
    pub db: &'a Connection,
    pub owner: &'a Owner,
    pub observer: &'a mut Observer,
    pub running: &'a Running,
    /// Whether this process worked with another file before, which somebody has moved away.
    pub is_another_file: bool,
    pub now: Moment,
    pub uptime: Duration,
}

/// A column of a delivery's report, as [`Record::json`] wrote it.
pub fn report(place: usize, json: &str) -> DeliveryReport {
    Record::read(json).unwrap_or_default().report(place)
}

pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub fn parse<T: serde::de::DeserializeOwned + Default>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}
