//! A string as it stands in the file: where each of its characters is.

use std::fmt;

use crate::model::problem::Place;

/// A string's token, with its quotes and escapes.
#[derive(Clone)]
pub struct Written {
    place: Place,
    token: Box<str>,
}

impl fmt::Debug for Written {
    /// The string may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.place, f)
    }
}

impl Written {
    pub fn new(place: Place, token: &str) -> Self {
        Self {
            place,
            token: token.into(),
        }
    }

    /// Where the string begins, with its quote.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// Where in the file the byte at `offset` of the string's value stands; behind its end the end.
    pub fn place_of(&self, offset: usize) -> Place {
        let mut steps = Steps::of(&self.token);
        let mut value = 0;
        while value < offset
            && let Some(bytes) = steps.next()
        {
            value += bytes;
        }
        steps.skip_nothing();
        let before = self.token.get(..steps.at).unwrap_or(&self.token);
        after(self.place, before)
    }
}

/// Where one stands behind `text`, which begins at `place`.
fn after(place: Place, text: &str) -> Place {
    match text.rsplit_once('\n') {
        Some((above, line)) => Place {
            line: place.line + above.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        },
        None => Place {
            line: place.line,
            column: place.column + text.chars().count(),
        },
    }
}

/// Goes through a token one character of its value at a time.
struct Steps<'a> {
    token: &'a str,
    at: usize,
    end: usize,
    escapes: bool,
}

impl<'a> Steps<'a> {
    fn of(token: &'a str) -> Self {
        let quotes = ["\"\"\"", "'''", "\"", "'"];
        let quote = quotes.into_iter().find(|quote| token.starts_with(quote));
        let quote = quote.unwrap_or("");
        let mut at = quote.len();
        if quote.len() == 3 {
            // A line break right behind the quotes is not of the string.
            let inside = token.get(at..).unwrap_or("");
            at += ["\r\n", "\n"]
                .into_iter()
                .find(|newline| inside.starts_with(newline))
                .map_or(0, str::len);
        }
        Self {
            token,
            at,
            end: token.len().saturating_sub(quote.len()).max(at),
            escapes: quote.starts_with('"'),
        }
    }

    fn rest(&self) -> &'a str {
        self.token.get(self.at..self.end).unwrap_or("")
    }

    /// Passes a line break that a backslash has taken out of the value.
    fn skip_nothing(&mut self) {
        while self.escapes
            && let Some(rest) = self.rest().strip_prefix('\\')
            && let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()
            && rest.get(..blank).is_some_and(|blank| blank.contains('\n'))
        {
            self.at += 1 + blank;
        }
    }

    /// Passes one character of the value; gives its bytes there.
    fn next(&mut self) -> Option<usize> {
        self.skip_nothing();
        let rest = self.rest();
        if rest.starts_with("\r\n") {
            self.at += 2;
            return Some(1);
        }
        if self.escapes && rest.starts_with('\\') {
            let (token, value) = escape(rest);
            self.at += token;
            return Some(value);
        }
        let bytes = rest.chars().next()?.len_utf8();
        self.at += bytes;
        Some(bytes)
    }
}

/// The bytes of an escape at the beginning of `text`, in the token and in the value.
fn escape(text: &str) -> (usize, usize) {
    let digits = match text.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        _ => return (2, 1),
    };
    let code = text.get(2..2 + digits);
    let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let character = code.and_then(char::from_u32);
    (2 + digits, character.map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::file::tree;
    use crate::settings::report::Report;

    /// The value of the key `t`, and how it is written.
    fn string(text: &str) -> (String, Written) {
        let table = tree::parse(text, &mut Report::default()).unwrap();
        let node = table.get("t").unwrap();
        let written = Written::new(node.place, text.get(node.span.clone()).unwrap());
        (node.as_str().unwrap().to_owned(), written)
    }

    /// The place of every `X` in the value is that of an `X` in the text, and of the same one.
    #[test]
    fn every_character_of_a_string_is_found_where_it_stands() {
        for text in [
            "t = \"aXbX\"",
            "t = 'aXb\\X'",
            "  t = \"ü\\u00e9\\U0001F6A8\\n\\tX🚨X\"",
            "t = \"\"\"\nX\nbX\n\"\"\"",
            "t = \"\"\"\r\nX\r\nbX\r\n\"\"\"",
            "t = \"\"\"X\n\n  X\"\"\"",
            "t = '''\n\"X\"\n\\X'''",
            "t = \"\"\"a \\\n   X \\  \n\n  X\"\"\"",
            "# é\nt = \"\\\"X\\\\X\\x41X\"",
            "t = \"\"\"\"X\"\"\"\"",
        ] {
            let (value, written) = string(text);
            let places = text
                .split_inclusive('\n')
                .enumerate()
                .flat_map(|(n, line)| {
                    let columns = line.chars().enumerate().filter(|(_, c)| *c == 'X');
                    columns.map(move |(column, _)| Place {
                        line: n + 1,
                        column: column + 1,
                    })
                });
            let offsets = value.match_indices('X').map(|(offset, _)| offset);
            let found: Vec<_> = offsets.map(|offset| written.place_of(offset)).collect();
            assert!(!found.is_empty());
            assert_eq!(found, places.collect::<Vec<_>>(), "{text:?}");
        }
    }

    #[test]
    fn behind_the_end_is_the_end() {
        let (value, written) = string("t = \"abc\"\n");
        let end = Place { line: 1, column: 9 };
        assert_eq!(written.place_of(value.len()), end);
        assert_eq!(written.place_of(1_000), end);
        assert_eq!(written.place(), Place { line: 1, column: 5 });
    }
}
