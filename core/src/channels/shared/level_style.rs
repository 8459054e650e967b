//! The look of levels in the channels' rich forms.

use crate::model::notification::{AlertStatus, Level, Notification};

/// The emoji, word and colour of a notification's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelStyle {
    pub emoji: &'static str,
    /// The level's word, such as `Critical`, or `Resolved` for a resolved notification.
    pub word: &'static str,
    /// The colour as `0xRRGGBB`.
    pub colour: u32,
}

impl LevelStyle {
    /// Returns the style of a notification. A resolved notification has its own style at every level.
    pub const fn of(notification: &Notification) -> Self {
        Self::of_alert(notification.level, notification.status)
    }

    /// Returns the style of an alert with this level and status.
    pub const fn of_alert(level: Option<Level>, status: Option<AlertStatus>) -> Self {
        match (status, level) {
            (Some(AlertStatus::Resolved), _) => Self::new("✅", "Resolved", 0x2E_B6_7D),
            (_, Some(Level::Ok)) => Self::new("🟢", "OK", 0x2E_B6_7D),
            (_, None | Some(Level::Info)) => Self::new("🔵", "Info", 0x36_8B_D6),
            (_, Some(Level::Warning)) => Self::new("🟡", "Warning", 0xEC_B2_2E),
            (_, Some(Level::Error)) => Self::new("🟠", "Error", 0xE8_73_1F),
            (_, Some(Level::Critical)) => Self::new("🔴", "Critical", 0xD7_26_3D),
        }
    }

    /// Returns the style of the level. A notification without a level looks like `info`.
    pub const fn of_level(notification: &Notification) -> Self {
        Self::of_alert(notification.level, None)
    }

    const fn new(emoji: &'static str, word: &'static str, colour: u32) -> Self {
        Self {
            emoji,
            word,
            colour,
        }
    }
}
