//! Acknowledgement: somebody works on an alert, so nothing more is sent until it ends or the level rises.

use jiff::Timestamp;

use crate::model::notification::Level;

/// The rule in answers and log lines.
pub const RULE: &str = "acknowledged";

/// An acknowledgement of an alert, or of a group with its later alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertAcknowledgement {
    /// Who acknowledged it, as the caller says.
    pub by: String,
    pub comment: Option<String>,
    pub at: Timestamp,
    /// When it ends, on the steady clock. `None`: when the alert resolves.
    pub until: Option<Timestamp>,
    /// Alerts at higher levels are not acknowledged.
    pub level: Option<Level>,
}

impl AlertAcknowledgement {
    pub fn covers(&self, level: Option<Level>, steady: Timestamp) -> bool {
        let is_over = self.until.is_some_and(|until| until <= steady);
        !is_over && level <= self.level
    }
}

/// Returns when an alert at a level stops being acknowledged by any of these; `Some(None)`: that is not known.
pub fn acknowledged_until<'a>(
    acknowledgements: impl IntoIterator<Item = &'a AlertAcknowledgement>,
    level: Option<Level>,
    steady: Timestamp,
) -> Option<Option<Timestamp>> {
    let covering = acknowledgements.into_iter();
    let mut ends = covering
        .filter(|acknowledgement| acknowledgement.covers(level, steady))
        .map(|acknowledgement| acknowledgement.until)
        .peekable();
    ends.peek()?;
    let ends: Option<Vec<_>> = ends.collect();
    Some(ends.and_then(|ends| ends.into_iter().max()))
}
