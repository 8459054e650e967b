//! Discord's Markdown in data.

/// Puts a backslash before every character that is Markdown at its position (support article "Markdown text 101"). A
/// shortened text may end with a backslash before the `…`, which Discord does not show.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut place = LinePlace::LineStart;
    for (at, character) in text.char_indices() {
        let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
        if is_markup(character, rest, place) {
            escaped.push('\\');
        }
        escaped.push(character);
        place = place.after(character);
    }
    escaped
}

/// Position in a line: quotes, headings and lists begin a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LinePlace {
    LineStart,
    LeadingDigits,
    Inside,
}

impl LinePlace {
    const fn after(self, character: char) -> Self {
        match (self, character) {
            (_, '\n') => LinePlace::LineStart,
            (LinePlace::LineStart, ' ' | '\t') => LinePlace::LineStart,
            (LinePlace::LineStart | LinePlace::LeadingDigits, '0'..='9') => {
                LinePlace::LeadingDigits
            }
            _ => LinePlace::Inside,
        }
    }
}

fn is_markup(character: char, rest: &str, place: LinePlace) -> bool {
    match character {
        '\\' | '*' | '_' | '~' | '`' | '|' | '<' | '[' | '@' => true,
        // The colon starts `:fire:`. In an address, Discord would show the backslashes.
        ':' => rest.starts_with("//") || begins_shortcode(rest),
        '#' | '>' => place == LinePlace::LineStart,
        '-' | '+' => place == LinePlace::LineStart && rest.starts_with([' ', '#']),
        '.' => place == LinePlace::LeadingDigits && rest.starts_with(' '),
        _ => false,
    }
}

fn begins_shortcode(rest: &str) -> bool {
    let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-');
    let after = rest.trim_start_matches(is_inside);
    after.len() < rest.len() && after.starts_with(':')
}
