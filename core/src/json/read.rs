//! A text to a tree, in one pass; every error with the place where it is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde_json::value::RawValue;

use super::{Json, MAX_DEPTH, Path};
use crate::warnings::Warnings;

/// Why a text is no JSON that we take.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonError {
    /// From 1, in characters.
    pub line: usize,
    pub column: usize,
    /// What was found and what was expected, without quoting the text.
    pub what: String,
}

/// A tree, and what in it JSON does not have.
#[derive(Debug)]
pub struct Parsed {
    pub json: Json,
    /// Keys that stood twice in one object.
    pub duplicates: Warnings<Path>,
    /// `NaN`, `Infinity`, and numbers that a double does not hold: they are strings in the tree.
    pub not_finite: Warnings<Path>,
}

/// Parses a text, in time and memory that grow with its length alone. Lone surrogates in escapes must have been replaced
/// before.
pub fn parse(text: &str) -> Result<Parsed, JsonError> {
    // One pass over the whole text finds every syntax error, without recursion.
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        let replaced = replace_words(text).ok_or_else(|| syntax_error(text, &error))?;
        let _: &RawValue =
            serde_json::from_str(&replaced).map_err(|error| syntax_error(text, &error))?;
    }
    let mut reader = Reader {
        text,
        at: 0,
        items: Vec::new(),
        members: Vec::new(),
        duplicates: Warnings::default(),
        not_finite: Warnings::default(),
    };
    let json = reader.value(0, &Place::Root)?;
    Ok(Parsed {
        json,
        duplicates: reader.duplicates,
        not_finite: reader.not_finite,
    })
}

/// Words for numbers that JSON does not have, in any case, each with a number of the same length. Python's `json.dumps` writes
/// `NaN` and `Infinity`, <https://docs.python.org/3/library/json.html#infinite-and-nan-number-values>; C's `printf`, and so awk
/// and shells, `nan` and `inf`.
const WORDS: [(&str, &str); 3] = [("nan", "0.0"), ("infinity", "0.000000"), ("inf", "0.0")];

/// The text with a number in place of each of [`WORDS`] outside strings. `None`: it has none.
fn replace_words(text: &str) -> Option<String> {
    let mut replaced = String::with_capacity(text.len());
    let (mut copied, mut in_string) = (0, false);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'N' | b'n' | b'I' | b'i' if !in_string => {
                if let Some((word, number)) = word_at(text, at) {
                    replaced.push_str(text.get(copied..at)?);
                    replaced.push_str(number);
                    copied = at + word.len();
                }
            }
            _ => {}
        }
    }
    replaced.push_str(text.get(copied..)?);
    (copied > 0).then_some(replaced)
}

/// The one of [`WORDS`] that stands here alone, with a minus before it or without.
fn word_at(text: &str, at: usize) -> Option<&'static (&'static str, &'static str)> {
    let (before, rest) = text.split_at_checked(at)?;
    if before.ends_with(|c| is_of_number(c) && c != '-') {
        return None;
    }
    WORDS.iter().find(|(word, _)| {
        let split = rest.split_at_checked(word.len());
        split.is_some_and(|(found, after)| {
            found.eq_ignore_ascii_case(word) && !after.starts_with(is_of_number)
        })
    })
}

/// Whether it can be part of a number, or of a word that stands for one.
const fn is_of_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Reads a text whose syntax is known to be right, each byte once.
struct Reader<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// Of the arrays and objects that it is in: what is read of them so far. So each takes no more than it has.
    items: Vec<Json>,
    members: Vec<(String, Json)>,
    duplicates: Warnings<Path>,
    not_finite: Warnings<Path>,
}

/// Where the reader is. A path is made of it only where there is something to report.
enum Place<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl Place<'_> {
    fn path(&self) -> Path {
        match self {
            Place::Root => Path::root(),
            Place::Key(parent, key) => {
                let mut path = parent.path();
                path.push_key(key);
                path
            }
            Place::Index(parent, index) => {
                let mut path = parent.path();
                path.push_index(*index);
                path
            }
        }
    }
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize, place: &Place<'_>) -> Result<Json, JsonError> {
        match self.next() {
            Some(b'{') => self.object(depth, place),
            Some(b'[') => self.array(depth, place),
            Some(b'"') => self.string().map(Json::String),
            Some(b't') => Ok(self.word("true", Json::Bool(true))),
            Some(b'f') => Ok(self.word("false", Json::Bool(false))),
            Some(b'n') if self.has_null() => Ok(self.word("null", Json::Null)),
            _ => Ok(self.number(place)),
        }
    }

    fn object(&mut self, depth: usize, place: &Place<'_>) -> Result<Json, JsonError> {
        self.open(depth)?;
        let start = self.members.len();
        while self.has_more(b'}') {
            let key = self.string()?;
            self.skip(b':');
            let value = self.value(depth + 1, &Place::Key(place, &key))?;
            self.members.push((key, value));
        }
        let members = self.members.drain(start..).collect();
        Ok(Json::Object(self.unique(members, place)))
    }

    fn array(&mut self, depth: usize, place: &Place<'_>) -> Result<Json, JsonError> {
        self.open(depth)?;
        let start = self.items.len();
        while self.has_more(b']') {
            let place = Place::Index(place, self.items.len() - start);
            let item = self.value(depth + 1, &place)?;
            self.items.push(item);
        }
        Ok(Json::Array(self.items.drain(start..).collect()))
    }

    /// Each key once: at its first place, with its last value.
    fn unique(
        &mut self,
        mut members: Vec<(String, Json)>,
        place: &Place<'_>,
    ) -> Vec<(String, Json)> {
        let again = repeated_keys(&members);
        for repeated in &again {
            let later = members.get_mut(repeated.later);
            let value = later.map(|(_, value)| std::mem::take(value));
            if let (Some(value), Some((key, member))) = (value, members.get_mut(repeated.first)) {
                *member = value;
                if repeated.is_second {
                    self.duplicates.push(|| Place::Key(place, key).path());
                }
            }
        }
        let mut again = again.iter().map(|repeated| repeated.later).peekable();
        let mut index = 0;
        members.retain(|_| {
            let is_again = again.next_if_eq(&index).is_some();
            index += 1;
            !is_again
        });
        members
    }

    /// The string that begins here.
    fn string(&mut self) -> Result<String, JsonError> {
        self.next();
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        let mut is_escaped = false;
        while let Some(byte) = bytes.get(end).filter(|byte| **byte != b'"') {
            let is_escape = *byte == b'\\';
            is_escaped |= is_escape;
            end += if is_escape { 2 } else { 1 };
        }
        self.at = end + 1;
        if !is_escaped {
            return Ok(self.text.get(start + 1..end).unwrap_or_default().to_owned());
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(written)
            .map_err(|_| self.error(start, "a string with an escape that means nothing"))
    }

    /// What is no finite number of a double is a string: no channel could send it on as a number.
    fn number(&mut self, place: &Place<'_>) -> Json {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
        let text = rest.get(..end).unwrap_or_default();
        self.at += text.len();
        match text.parse::<f64>().is_ok_and(f64::is_finite) {
            true => Json::Number(text.to_owned()),
            false => {
                self.not_finite.push(|| place.path());
                Json::String(text.to_owned())
            }
        }
    }

    /// Whether what begins with n is no `nan`.
    fn has_null(&self) -> bool {
        let rest = self.text.get(self.at..);
        rest.is_some_and(|rest| rest.starts_with("null"))
    }

    const fn word(&mut self, word: &str, value: Json) -> Json {
        self.at += word.len();
        value
    }

    /// Goes into an object or an array.
    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            return Err(self.error(self.at, "objects and arrays nested more than 64 deep"));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether a further member comes before the closing bracket. Goes behind the bracket, or the comma.
    fn has_more(&mut self, closing: u8) -> bool {
        self.skip(b',');
        let next = self.next();
        if next == Some(closing) {
            self.at += 1;
        }
        next.is_some_and(|byte| byte != closing)
    }

    /// Goes behind a byte, if it is the next.
    fn skip(&mut self, expected: u8) {
        if self.next() == Some(expected) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().take_while(is_blank).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, at: usize, found: &str) -> JsonError {
        let (line, column) = line_and_column(self.text, at);
        JsonError {
            line,
            column,
            what: format!("found {found}"),
        }
    }
}

/// So few members are compared one with the other.
const FEW: usize = 16;

/// A key that stands there again, by its places.
struct Repeated {
    first: usize,
    later: usize,
    is_second: bool,
}

/// In the order of their places.
fn repeated_keys(members: &[(String, Json)]) -> Vec<Repeated> {
    let stands_before = |(index, (key, _)): (usize, &(String, Json))| {
        let mut before = members.iter().take(index);
        before.any(|(known, _)| known == key)
    };
    if members.len() <= FEW && !members.iter().enumerate().any(stands_before) {
        return Vec::new();
    }
    let mut first = HashMap::with_capacity(members.len());
    let mut again = Vec::new();
    for (index, (key, _)) in members.iter().enumerate() {
        match first.entry(key.as_str()) {
            Entry::Occupied(mut known) => {
                let (first, is_second) = *known.get();
                known.insert((first, false));
                again.push(Repeated {
                    first,
                    later: index,
                    is_second,
                });
            }
            Entry::Vacant(free) => {
                free.insert((index, true));
            }
        }
    }
    again
}

/// Line and column, from 1, of a byte offset.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let head = text.get(..offset).unwrap_or(text);
    let line = head.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = head.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// The library's message quotes the text, which holds secrets: only its place is used.
fn syntax_error(text: &str, error: &serde_json::Error) -> JsonError {
    if error.is_eof() {
        let (line, column) = line_and_column(text, text.len());
        return JsonError {
            line,
            column,
            what: "found the end of the body in the middle of a value; is something missing?"
                .to_owned(),
        };
    }
    let line = error.line().max(1);
    let text_of_line = text.split('\n').nth(line - 1).unwrap_or_default();
    let message = error.to_string();
    // The column counts bytes and points at, or just behind, what was not expected; before a control character.
    let is_control = message.starts_with("control character");
    let byte = error.column().max(1) - usize::from(!is_control);
    let mut before = text_of_line.as_bytes().get(..byte).unwrap_or_default();
    let is_escape = ["invalid escape", "invalid unicode", "unexpected end of hex"]
        .iter()
        .any(|start| message.starts_with(start));
    let what = if is_control {
        describe(Some(b'\0'))
    } else if is_escape {
        let backslash = before.iter().rposition(|byte| *byte == b'\\');
        before = before.get(..backslash.unwrap_or(byte)).unwrap_or_default();
        "an escape that JSON does not know; a backslash itself is written \\\\"
    } else {
        describe(text_of_line.as_bytes().get(byte).copied())
    };
    JsonError {
        line,
        column: String::from_utf8_lossy(before).chars().count() + 1,
        what: format!("found {what}"),
    }
}

fn describe(found: Option<u8>) -> &'static str {
    match found {
        None => "the end of the line where a value, a comma or a bracket was expected",
        Some(b'\'') => "a single quote; JSON strings stand in double quotes",
        Some(b'"') => {
            "a double quote where none was expected; is a comma, colon or backslash missing?"
        }
        Some(b'}' | b']') => {
            "a closing bracket where none was expected; is there a comma before it?"
        }
        Some(b'{' | b'[') => "an opening bracket where none was expected",
        Some(b',') => "a comma where none was expected",
        Some(b':') => "a colon where none was expected",
        Some(b'\\') => "a backslash where none was expected",
        Some(b'0'..=b'9' | b'.' | b'+' | b'-') => {
            "a number that is not written as JSON writes numbers"
        }
        Some(byte) if byte.is_ascii_alphabetic() => {
            "a word that JSON does not know; strings stand in double quotes"
        }
        Some(byte) if byte.is_ascii_control() => {
            "a control character; inside a string a line break is written \\n"
        }
        Some(_) => "a character that JSON does not expect here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> JsonError {
        parse(text).map(|parsed| parsed.json).unwrap_err()
    }

    #[test]
    fn a_tree_keeps_order_numbers_and_the_last_of_equal_keys() {
        let text = r#"{"b":1.50,"a":[true,null,"x\u00e9"],"b":12345678901234567890123}"#;
        let parsed = parse(text).unwrap();
        assert_eq!(
            serde_json::to_string(&parsed.json).unwrap(),
            r#"{"b":12345678901234567890123,"a":[true,null,"xé"]}"#
        );
        let duplicates: Vec<_> = parsed.duplicates.iter().collect();
        assert_eq!(duplicates, [&Path::root().key("b")]);
    }

    #[test]
    fn duplicates_are_found_at_every_depth_and_among_any_number_of_keys() {
        let many: String = (0..300)
            .map(|n| format!(r#""k{}":{n},"#, n % 200))
            .collect();
        let text = format!(r#"{{"a":[{{"b":1,"b":2,"c":3,"b":4}}],{many}"z":null}}"#);
        let parsed = parse(&text).unwrap();
        let Json::Object(members) = &parsed.json else {
            panic!("no object");
        };
        assert_eq!(members.len(), 202);
        assert_eq!(parsed.json.get("k0"), Some(&Json::Number("200".to_owned())));
        assert_eq!(
            serde_json::to_string(&members[0].1).unwrap(),
            r#"[{"b":4,"c":3}]"#
        );
        let duplicates: Vec<_> = parsed.duplicates.iter().map(Path::as_str).collect();
        assert_eq!(duplicates.len(), crate::warnings::MAX_WARNINGS);
        assert_eq!(duplicates[..2], ["a[0].b", "k0"]);
    }

    #[test]
    fn white_space_and_escapes_stand_anywhere() {
        let text =
            " \r\n\t{ \"a\\\"\\\\\" : [ ] , \"\" : [ { } , \"\\u00e9\\\\\" , -1.5E+3 , true ] } \n";
        assert_eq!(
            serde_json::to_string(&parse(text).unwrap().json).unwrap(),
            r#"{"a\"\\":[],"":[{},"é\\",-1.5E+3,true]}"#
        );
    }

    #[test]
    fn a_number_that_no_double_holds_is_a_string_wherever_it_stands() {
        let text = r#"{"a": NaN, "b": [ -Infinity,1e400 ,{"c":-NaN}], "NaN \" Infinity": "Infinity \\", "d": INFINITY,
            "e": [1e308, 1e-400, -0, NaN], "f": -1E+309}"#;
        let parsed = parse(text).unwrap();
        assert_eq!(
            serde_json::to_string(&parsed.json).unwrap(),
            concat!(
                r#"{"a":"NaN","b":["-Infinity","1e400",{"c":"-NaN"}],"NaN \" Infinity":"Infinity \\","d":"INFINITY","#,
                r#""e":[1e308,1e-400,-0,"NaN"],"f":"-1E+309"}"#
            )
        );
        let places: Vec<_> = parsed.not_finite.iter().map(Path::as_str).collect();
        assert_eq!(places, ["a", "b[0]", "b[1]", "b[2].c", "d", "e[3]", "f"]);
        let digits = "9".repeat(400);
        for text in [
            " NaN ",
            "-Infinity",
            "1e999",
            "nan",
            "-inf",
            digits.as_str(),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!(parsed.json, Json::String(text.trim().to_owned()));
        }
    }

    #[test]
    fn errors_name_the_place_and_what_was_found() {
        for (text, line, column, what) in [
            ("", 1, 1, "the end of the body"),
            ("{", 1, 2, "the end of the body"),
            ("{'a':1}", 1, 2, "a single quote"),
            ("{\n \"a\": 1,\n}", 3, 1, "a closing bracket"),
            ("{\"a\": nano}", 1, 8, "a word"),
            ("[NaN, Nil]", 1, 7, "a word"),
            ("[Infinit]", 1, 2, "a word"),
            ("[NaN5]", 1, 2, "a word"),
            ("[5NaN]", 1, 3, "a word"),
            ("[NaNe5]", 1, 2, "a word"),
            ("[+Infinity]", 1, 2, "a number"),
            ("[--NaN]", 1, 3, "a number"),
            ("[NaN-1]", 1, 2, "a word"),
            ("[NaN NaN]", 1, 6, "a word"),
            ("[NaN", 1, 5, "the end of the body"),
            ("{NaN: 1}", 1, 2, "a word"),
            ("\"NaN", 1, 5, "the end of the body"),
            ("{\"a\":1} x", 1, 9, "a word"),
            ("[01]", 1, 3, "a number"),
            ("\"a\nb\"", 1, 3, "a control character"),
            ("{\"ä😀\": Info}", 1, 8, "a word"),
            (r#"["\x41"]"#, 1, 3, "an escape"),
            (r#"["\u12"]"#, 1, 3, "an escape"),
            (r#"["a\u12x4"]"#, 1, 4, "an escape"),
        ] {
            let error = error(text);
            assert!(error.what.contains(what), "{text:?}: {error:?}");
            assert_eq!(
                (error.line, error.column),
                (line, column),
                "{text:?}: {error:?}"
            );
        }
    }

    #[test]
    fn words_that_are_no_numbers_are_found_in_one_pass() {
        let long = format!("[NaN, {}]", "-n-i".repeat(250_000));
        assert_eq!(error(&long).column, 8);
    }

    #[test]
    fn depth_is_bounded_without_using_up_the_stack() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(&nested(MAX_DEPTH)).is_ok());
        assert!(error(&nested(MAX_DEPTH + 1)).what.contains("nested"));
        assert!(error(&nested(100_000)).what.contains("nested"));
        assert!(error(&"[".repeat(100_000)).what.contains("end of the body"));
    }

    #[test]
    fn equal_meanings_have_one_canonical_form() {
        let canonical = |text: &str| {
            let mut bytes = Vec::new();
            parse(text)
                .unwrap()
                .json
                .canonical(&mut |part| bytes.extend_from_slice(part));
            bytes
        };
        assert_eq!(
            canonical(r#"{"a":1,"b":["x"]}"#),
            canonical(r#" {"b" : ["x"], "a": 1}"#)
        );
        assert_ne!(canonical(r#"{"a":"1"}"#), canonical(r#"{"a":1}"#));
        assert_ne!(canonical(r#"["ab","c"]"#), canonical(r#"["a","bc"]"#));
    }
}
