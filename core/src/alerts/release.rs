//! The notification of an alert that was muted says so.

use super::alert::AlertKey;
use crate::json::Json;
use crate::model::notification::Notification;

/// Adds to the text of a notification about one alert why it was not sent before.
pub fn with_mutes<'a>(
    mut notification: Notification,
    mut released: impl Iterator<Item = (&'a AlertKey, &'a String)>,
) -> Notification {
    if let (None, Some((_, rule)), Json::String(text)) =
        (&notification.group, released.next(), &mut notification.text)
    {
        text.push_str(&format!("\nMuted until now by {rule}."));
    }
    notification
}
