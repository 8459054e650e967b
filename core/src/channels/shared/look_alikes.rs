//! Texts without formatting, for clients that format `*b*`, `_i_`, `~s~`, backticks and a leading `>`, and have no escape:
//! WhatsApp, Slack, Google Chat.

/// Replaces characters by similar ones at places where they would format text.
pub fn without_formatting(text: &str) -> String {
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
    fn characters_become_look_alikes_where_they_would_format() {
        for (text, shown) in [
            ("my_host_1, 2*3, 2 * 3", "my_host_1, 2*3, 2 * 3"),
            ("*b* _i_ ~s~ `c`", "∗b* ˍi_ ∼s~ ˋc`"),
            ("```c```", "ˋˋˋc`ˋ`"),
            ("> q\n> r > s", "› q\n› r > s"),
            ("a: _x_", "a: ˍx_"),
        ] {
            assert_eq!(without_formatting(text), shown);
        }
    }
}
