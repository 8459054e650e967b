//! The transaction that every operation on rows gets.

use std::time::Duration;

use rusqlite::Connection;

use super::owners::{Observer, Owner};
use super::time::Moment;
use crate::model::report::DeliveryReport;
use crate::store::Running;
use crate::store::record::Record;

/// A transaction of one owner, with the state that operations need.
pub struct Transaction<'a> {
    pub db: &'a Connection,
    pub owner: &'a Owner,
    pub observer: &'a mut Observer,
    pub running: &'a Running,
    /// Whether this process used another file before, which was moved away.
    pub is_another_file: bool,
    pub now: Moment,
    pub uptime: Duration,
}

/// A column of a delivery's report, as [`Record::json`] wrote it.
pub fn report(index: usize, json: &str) -> DeliveryReport {
    Record::read(json).unwrap_or_default().report(index)
}

pub fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub fn parse<T: serde::de::DeserializeOwned + Default>(json: &str) -> T {
    serde_json::from_str(json).unwrap_or_default()
}
