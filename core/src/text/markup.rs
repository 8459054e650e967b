//! The markup in a channel's texts that a cut between two messages could break.

/// The markup that a channel's readers see in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Markup {
    pub fences: Fences,
    /// Links: `[text](address)`.
    pub links: bool,
    /// Text in angle brackets: `<address|text>`, `<@user>`.
    pub angles: bool,
    /// Entities: `&amp;`.
    pub entities: bool,
}

/// Blocks of code between lines of three backticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fences {
    None,
    Plain,
    /// The first line may begin with a language, which colours the code.
    WithLanguage,
}

impl Markup {
    /// A text that the provider shows literally.
    pub const NONE: Self = Self {
        fences: Fences::None,
        links: false,
        angles: false,
        entities: false,
    };
}

/// The effect of a piece of markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Begins a block of code in this language. Empty without a language.
    Opening(&'a str),
    /// Ends a block of code.
    Closing,
    /// Has a meaning only as a whole.
    Whole,
}

pub const FENCE: &str = "```";

/// The maximum length of a language. A longer first line is code.
pub const MAX_LANGUAGE_CHARS: usize = 20;

/// The maximum length of a link, so that a text of brackets takes linear time.
const MAX_LINK_BYTES: usize = 4_096;

impl Markup {
    /// Returns the length in bytes and the effect of the markup at the beginning of `rest`. `in_code` means that
    /// `rest` is inside a block of code.
    pub fn at_start(self, rest: &str, in_code: bool) -> Option<(usize, Mark<'_>)> {
        let whole = |length| (length, Mark::Whole);
        match rest.as_bytes().first()? {
            b'`' if self.fences != Fences::None => self.fence(rest, in_code),
            b'[' if self.links => link(rest).map(whole),
            b'<' if self.angles => angle(rest).map(whole),
            b'&' if self.entities => entity(rest).map(whole),
            _ => None,
        }
    }

    fn fence(self, rest: &str, in_code: bool) -> Option<(usize, Mark<'_>)> {
        let code = rest.strip_prefix(FENCE)?;
        if in_code {
            return Some((FENCE.len(), Mark::Closing));
        }
        let language = match self.fences {
            Fences::WithLanguage => language(code),
            Fences::None | Fences::Plain => None,
        };
        Some(match language {
            Some(language) => (
                FENCE.len() + language.len() + "\n".len(),
                Mark::Opening(language),
            ),
            None => (FENCE.len(), Mark::Opening("")),
        })
    }
}

/// Returns the first line of a block of code, if it names a language.
fn language(code: &str) -> Option<&str> {
    // The limit makes a text of fences take linear time.
    let mut beginning = code.bytes().take(MAX_LANGUAGE_CHARS + 1);
    let line = code.get(..beginning.position(|byte| byte == b'\n')?)?;
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.#".contains(&byte);
    line.bytes().all(known).then_some(line)
}

fn link(rest: &str) -> Option<usize> {
    let text = balanced(rest, '[', ']')?;
    let address = balanced(rest.get(text..)?, '(', ')')?;
    Some(text + address)
}

/// Returns the length of a bracketed text at the beginning, including the brackets. It may contain one more pair.
fn balanced(rest: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in rest.char_indices() {
        let after = at + character.len_utf8();
        depth += usize::from(character == open);
        let is_over = depth == 0 || depth > 2 || after > MAX_LINK_BYTES;
        if is_over || (character == '`' && starts_with_fence(rest, at)) {
            return None;
        }
        if character == close {
            depth -= 1;
            if depth == 0 {
                return Some(after);
            }
        }
    }
    None
}

fn angle(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('<')?;
    let begins = |c: char| c.is_ascii_alphanumeric() || "@#!:/".contains(c);
    if !inner.starts_with(begins) {
        return None;
    }
    let end = inner.find(['<', '>', '\n'])?;
    let is_whole = inner.get(end..)?.starts_with('>') && end < MAX_LINK_BYTES;
    let has_fence = inner.get(..end)?.contains(FENCE);
    (is_whole && !has_fence).then_some("<".len() + end + ">".len())
}

fn entity(rest: &str) -> Option<usize> {
    const LONGEST: usize = 10;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
    let name = rest.bytes().skip(1).take(LONGEST);
    let name = name.take_while(|byte| is_name(byte)).count();
    let ends = rest.as_bytes().get(1 + name) == Some(&b';');
    (name > 0 && ends).then_some("&".len() + name + ";".len())
}

fn starts_with_fence(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(FENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Markup = Markup {
        fences: Fences::WithLanguage,
        links: true,
        angles: true,
        entities: true,
    };

    #[test]
    fn markup_is_found_at_the_beginning_of_a_text_and_nowhere_else() {
        for (text, found) in [
            ("[text](https://a.example) more", 25),
            ("[a](<https://a.example/b c>)", 28),
            ("[a](https://a.example/B_(c))d", 28),
            ("[a [b]](c)", 10),
            ("[text] (https://a.example)", 0),
            ("[text](https://a.example", 0),
            ("[```](a)", 0),
            ("<https://a.example|a text> more", 26),
            ("<@U123>", 7),
            ("< 3 and 4 >", 0),
            ("<a\n>", 0),
            ("<a", 0),
            ("&amp;&", 5),
            ("&#x27;", 6),
            ("& ;", 0),
            ("&;", 0),
            ("a&amp;", 0),
            ("", 0),
        ] {
            let expected = (found > 0).then_some((found, Mark::Whole));
            assert_eq!(ALL.at_start(text, false), expected, "{text}");
            assert_eq!(Markup::NONE.at_start(text, false), None, "{text}");
        }
    }

    #[test]
    fn a_fence_opens_with_a_language_or_closes() {
        let long = format!("```{}\ncode", "x".repeat(MAX_LANGUAGE_CHARS + 1));
        for (text, in_code, found) in [
            ("```rust\ncode", false, Some((8, Mark::Opening("rust")))),
            ("```\ncode", false, Some((4, Mark::Opening("")))),
            ("```let a = 5;\n", false, Some((3, Mark::Opening("")))),
            ("```code```", false, Some((3, Mark::Opening("")))),
            (&long, false, Some((3, Mark::Opening("")))),
            ("```rust\ncode", true, Some((3, Mark::Closing))),
            ("``a``", false, None),
        ] {
            assert_eq!(ALL.at_start(text, in_code), found, "{text}");
        }
        let plain = Markup {
            fences: Fences::Plain,
            ..Markup::NONE
        };
        let found = plain.at_start("```rust\n", false);
        assert_eq!(found, Some((3, Mark::Opening(""))));
    }
}
