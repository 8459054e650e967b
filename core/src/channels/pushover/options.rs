//! The fields of a message that the configuration sets.

use super::parameters::{DEVICE, EXPIRE, PRIORITY, RETRY, SOUND, TTL};
use crate::channels::{Fields, Parameter};
use crate::model::notification::{AlertStatus, Level, Notification};
use crate::model::problem::Problem;

/// "retry must have a value of at least 30 seconds", "expire must have a maximum value of at most 10800 seconds"
/// <https://pushover.net/api#priority>.
const LEAST_RETRY: i64 = 30;
const MOST_EXPIRE: i64 = 10_800;
/// A limit of this crate for a message's life: a year, in seconds.
const MOST_TTL: i64 = 31_536_000;
pub const EMERGENCY: &str = "2";

#[derive(Debug)]
pub struct PushoverOptions {
    priority: Option<&'static str>,
    /// Of every message: device and sound.
    of_each_part: Vec<(&'static str, String)>,
    ttl: Option<String>,
    /// The interval of an emergency's sound and its duration. An acknowledgement ends it.
    emergency: [(&'static str, String); 2],
}

impl PushoverOptions {
    pub fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        let number = |field: &Parameter, least, most| {
            let number = fields.number(field, least..=most)?;
            Ok::<_, Problem>(number.map(|number| number.to_string()))
        };
        let or_example = |field: &Parameter, given: Option<String>| {
            given.unwrap_or_else(|| field.example.to_owned())
        };
        let device = fields
            .formed_or_none(&DEVICE)?
            .map(|device| ("device", device));
        let sound = fields.formed_or_none(&SOUND)?.map(|sound| ("sound", sound));
        let retry = number(&RETRY, LEAST_RETRY, MOST_EXPIRE)?;
        let expire = number(&EXPIRE, 1, MOST_EXPIRE)?;
        Ok(Self {
            priority: fields.number(&PRIORITY, -2..=2)?.map(word),
            of_each_part: device.into_iter().chain(sound).collect(),
            ttl: number(&TTL, 1, MOST_TTL)?,
            emergency: [
                ("retry", or_example(&RETRY, retry)),
                ("expire", or_example(&EXPIRE, expire)),
            ],
        })
    }

    /// Returns the fields of every message.
    pub fn of_each_part(&self) -> impl Iterator<Item = (&str, &str)> {
        self.of_each_part
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    /// Returns the priority's field, if it is not the default.
    pub fn priority_field(priority: &str) -> Option<(&'static str, &str)> {
        (priority != "0").then_some(("priority", priority))
    }

    /// Returns further fields of a message with this priority. An emergency has no lifetime: Pushover ignores it
    /// <https://pushover.net/api#ttl>.
    pub fn of_priority(&self, priority: &str) -> impl Iterator<Item = (&str, &str)> {
        let is_emergency = priority == EMERGENCY;
        let emergency = self.emergency.iter().filter(move |_| is_emergency);
        let emergency = emergency.map(|(name, value)| (*name, value.as_str()));
        let ttl = self.ttl.as_deref().filter(move |_| !is_emergency);
        emergency.chain(ttl.map(|seconds| ("ttl", seconds)))
    }

    /// Returns the priority. 1 ignores quiet hours. 2, an emergency, repeats until somebody acknowledges it. Without a
    /// configured priority, a critical notification without a key gets 1, because nothing could end its emergency.
    pub fn priority(&self, notification: &Notification) -> &'static str {
        match (notification.status, self.priority, notification.level) {
            (Some(AlertStatus::Acknowledged | AlertStatus::Resolved), _, _) => "0",
            (_, Some(priority), _) => priority,
            (_, None, Some(Level::Critical)) if notification.dedup_key.is_some() => EMERGENCY,
            (_, None, Some(Level::Critical | Level::Error)) => "1",
            _ => "0",
        }
    }
}

const fn word(priority: i64) -> &'static str {
    match priority {
        ..=-2 => "-2",
        -1 => "-1",
        0 => "0",
        1 => "1",
        2.. => EMERGENCY,
    }
}
