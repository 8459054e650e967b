//! The compact text of an SMS or WhatsApp message.

use super::TEXT_LIMIT;
use crate::channels::shared::alert_list::{self, ListStyle};
use crate::channels::shared::compact::compact;
use crate::channels::shared::look_alikes::without_formatting;
use crate::channels::shared::rich::{LevelStyle, Truncations};
use crate::model::notification::Notification;
use crate::text::{Markup, Split, split_after};

/// The maximum length of a group's list: each segment costs money.
const LIST: usize = 600;

/// Composes the first message with all parts, and numbered messages for the rest of a long text.
pub fn compose(
    notification: &Notification,
    text: &str,
    is_whatsapp: bool,
    markup: Markup,
) -> (Split, Truncations) {
    let mut cuts = Truncations::default();
    let level = LevelStyle::of(notification).word.to_ascii_uppercase();
    let mut lines = compact(notification, &level, &mut cuts);
    if is_whatsapp {
        lines.head = without_formatting(&lines.head);
        lines.fields = lines.fields.as_deref().map(without_formatting);
    }
    let tail = lines.tail();
    let room = TEXT_LIMIT.length.saturating_sub(TEXT_LIMIT.unit.of(&tail));
    let mut split = match notification.listed_group() {
        Some(group) => {
            let style = ListStyle {
                escape: if is_whatsapp {
                    without_formatting
                } else {
                    str::to_owned
                },
                link: None,
                ..ListStyle::plain(TEXT_LIMIT.unit)
            };
            let room = room
                .saturating_sub(TEXT_LIMIT.unit.of(&lines.head))
                .min(LIST);
            Split {
                parts: vec![lines.head + &alert_list::text(group, room, &style)],
                missing: 0,
            }
        }
        None => split_after(&format!("{}{text}", lines.head), room, TEXT_LIMIT, markup),
    };
    if let Some(first) = split.parts.first_mut() {
        first.push_str(&tail);
    }
    (split, cuts)
}
