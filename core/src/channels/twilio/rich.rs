//! The compact text of an SMS or WhatsApp message.

use super::TEXT_LIMIT;
use crate::channels::shared::compact::compact;
use crate::channels::shared::rich::{LevelStyle, Truncations};
use crate::model::notification::Notification;
use crate::text::{Markup, Split, split_after};

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
        lines.head = literal(&lines.head);
        lines.fields = lines.fields.as_deref().map(literal);
    }
    let tail = lines.tail();
    let room = TEXT_LIMIT.length.saturating_sub(TEXT_LIMIT.unit.of(&tail));
    let mut split = split_after(&format!("{}{text}", lines.head), room, TEXT_LIMIT, markup);
    if let Some(first) = split.parts.first_mut() {
        first.push_str(&tail);
    }
    (split, cuts)
}

/// Replaces WhatsApp's markup characters by similar ones at places where they would format text. WhatsApp formats
/// `*b*`, `_i_`, `~s~`, backticks and a leading `>`, and it has no escape.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 16);
    let mut before = '\n';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        // Inside a word, as in `my_host_1`, and before a space, they format nothing.
        let begins = !before.is_alphanumeric()
            && characters.peek().is_some_and(|next| !next.is_whitespace());
        literal.push(match character {
            '*' if begins => '∗',
            '_' if begins => 'ˍ',
            '~' if begins => '∼',
            '`' if begins => 'ˋ',
            '>' if before == '\n' => '›',
            other => other,
        });
        before = character;
    }
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatsapp_gets_look_alikes_where_it_would_format() {
        for (text, shown) in [
            ("my_host_1, 2*3, 2 * 3", "my_host_1, 2*3, 2 * 3"),
            ("*b* _i_ ~s~ `c`", "∗b* ˍi_ ∼s~ ˋc`"),
            ("```c```", "ˋˋˋc`ˋ`"),
            ("> q\n> r > s", "› q\n› r > s"),
            ("a: _x_", "a: ˍx_"),
        ] {
            assert_eq!(literal(text), shown);
        }
    }
}
