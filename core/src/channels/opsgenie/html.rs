//! Texts that Opsgenie may show as HTML.

/// Escapes a text for HTML: "HTML formatting for the message values is also supported"
/// <https://docs.opsgenie.com/docs/alerts-and-alert-fields>. Descriptions support it too. Phones and mails show the
/// text unescaped, so this escapes only the start of a tag or a character reference.
pub fn without_markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        let rest = text.get(at + character.len_utf8()..).unwrap_or_default();
        match character {
            '<' if rest.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) => {
                escaped.push_str("&lt;")
            }
            '&' if is_reference(rest) => escaped.push_str("&amp;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Whether the text after an ampersand is a reference, such as `amp;` or `#38;`.
fn is_reference(rest: &str) -> bool {
    let name = rest.strip_prefix('#').unwrap_or(rest);
    let end = name.find(|c: char| !c.is_ascii_alphanumeric());
    end.is_some_and(|end| end > 0 && name.get(end..).is_some_and(|rest| rest.starts_with(';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_html_would_take_for_markup_is_escaped() {
        for (text, sent) in [
            (
                "CPU > 95 & rising, a < b, x<5, R&D",
                "CPU > 95 & rising, a < b, x<5, R&D",
            ),
            (
                "<b>h</b> <!-- x --> <?x?>",
                "&lt;b>h&lt;/b> &lt;!-- x --> &lt;?x?>",
            ),
            (
                "&lt;b&gt; &amp; &#60; &#x3c;",
                "&amp;lt;b&amp;gt; &amp;amp; &amp;#60; &amp;#x3c;",
            ),
            (
                "https://a.example/?a=1&b=2&;&#;",
                "https://a.example/?a=1&b=2&;&#;",
            ),
            ("<", "<"),
            ("&", "&"),
        ] {
            assert_eq!(without_markup(text), sent);
        }
    }
}
