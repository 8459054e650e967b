//! Parses a text into a tree in one pass. Every error contains its position.

use std::collections::{BTreeSet, HashMap};

use serde_json::value::RawValue;

use super::{Json, MAX_DEPTH, Path};
use crate::warnings::Warnings;

/// The reason why a text cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The line and column, both from 1. The column counts characters.
    pub line: usize,
    pub column: usize,
    /// The message, which quotes nothing of the text.
    pub message: String,
}

impl JsonError {
    /// Returns an error at a byte of the text.
    fn at(text: &str, offset: usize, message: String) -> Self {
        let head = text.get(..offset).unwrap_or(text);
        let line = head.rsplit('\n').next().unwrap_or_default();
        Self {
            line: head.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            message,
        }
    }

    /// Converts serde_json's error for the part of the text from `start` on. Its syntax errors quote nothing, unlike
    /// its type errors. Its columns count bytes.
    fn of_syntax(text: &str, start: usize, error: &serde_json::Error) -> Self {
        let part = text.get(start..).unwrap_or_default();
        let lines = part.split_inclusive('\n').map(str::len);
        let above: usize = lines.take(error.line().saturating_sub(1)).sum();
        let offset = start + above + error.column().saturating_sub(1);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Self::at(text, offset, message.to_owned())
    }
}

/// A tree and the parts of the text that are not valid JSON.
#[derive(Debug)]
pub struct Parsed {
    pub json: Json,
    /// The paths of keys that occur more than once in an object.
    pub duplicates: Warnings<Path>,
    /// The paths of `NaN`, `Infinity`, and numbers beyond a double. The tree contains them as strings.
    pub not_finite: Warnings<Path>,
}

/// Parses a text in linear time and memory. The caller must first replace lone surrogates in escapes.
pub fn parse(text: &str) -> Result<Parsed, JsonError> {
    // One pass over the whole text finds every syntax error without recursion.
    if let Err(error) = serde_json::from_str::<&RawValue>(text) {
        let syntax_error = |error| JsonError::of_syntax(text, 0, &error);
        let replaced = replace_words(text).ok_or_else(|| syntax_error(error))?;
        let _: &RawValue = serde_json::from_str(&replaced).map_err(syntax_error)?;
    }
    let mut reader = JsonReader {
        text,
        at: 0,
        duplicates: Warnings::default(),
        not_finite: Warnings::default(),
    };
    let json = reader.value(0, &ReadPath::Root)?;
    Ok(Parsed {
        json,
        duplicates: reader.duplicates,
        not_finite: reader.not_finite,
    })
}

/// Words for numbers that JSON does not have, in upper or lower case, each with a number of the same length. Python's
/// `json.dumps` writes `NaN` and `Infinity`,
/// <https://docs.python.org/3/library/json.html#infinite-and-nan-number-values>. C's `printf`, and therefore awk and
/// shells, write `nan` and `inf`.
const WORDS: [(&str, &str); 3] = [("nan", "0.0"), ("infinity", "0.000000"), ("inf", "0.0")];

/// Replaces each of [`WORDS`] outside strings by a number. Returns `None` if there is none.
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

/// Returns the one of [`WORDS`] that is the whole word here, with or without a minus.
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

/// Whether the character may be part of a number or a literal.
const fn is_of_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

/// Reads a text with valid syntax, each byte once.
struct JsonReader<'a> {
    text: &'a str,
    /// The index of the next byte.
    at: usize,
    duplicates: Warnings<Path>,
    not_finite: Warnings<Path>,
}

/// The reader's position. An error or a warning converts it to a path.
enum ReadPath<'a> {
    Root,
    Key(&'a ReadPath<'a>, &'a str),
    Index(&'a ReadPath<'a>, usize),
}

impl ReadPath<'_> {
    fn path(&self) -> Path {
        match self {
            ReadPath::Root => Path::root(),
            ReadPath::Key(parent, key) => parent.path().key(key),
            ReadPath::Index(parent, index) => parent.path().index(*index),
        }
    }
}

impl JsonReader<'_> {
    fn value(&mut self, depth: usize, path: &ReadPath<'_>) -> Result<Json, JsonError> {
        match self.next() {
            Some(b'{') => self.object(depth, path),
            Some(b'[') => self.array(depth, path),
            Some(b'"') => self.string().map(Json::String),
            _ => Ok(self.word(path)),
        }
    }

    fn object(&mut self, depth: usize, path: &ReadPath<'_>) -> Result<Json, JsonError> {
        self.open(depth)?;
        let mut members = Vec::new();
        while self.has_more(b'}') {
            let key = self.string()?;
            self.skip(b':');
            let value = self.value(depth + 1, &ReadPath::Key(path, &key))?;
            members.push((key, value));
        }
        if has_repeated_key(&members) {
            members = self.unique(members, path);
        }
        members.shrink_to_fit();
        Ok(Json::Object(members))
    }

    fn array(&mut self, depth: usize, path: &ReadPath<'_>) -> Result<Json, JsonError> {
        self.open(depth)?;
        let mut items = Vec::new();
        while self.has_more(b']') {
            let item = self.value(depth + 1, &ReadPath::Index(path, items.len()))?;
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Json::Array(items))
    }

    /// Removes repeated keys: each key has its first position and its last value.
    fn unique(&mut self, members: Vec<(String, Json)>, path: &ReadPath<'_>) -> Vec<(String, Json)> {
        let mut unique: Vec<(String, Json)> = Vec::new();
        let mut indices = HashMap::new();
        let mut repeated = BTreeSet::new();
        for (key, value) in members {
            let index = *indices.entry(key.clone()).or_insert(unique.len());
            match unique.get_mut(index) {
                Some((_, last)) => {
                    *last = value;
                    repeated.insert(index);
                }
                None => unique.push((key, value)),
            }
        }
        for (key, _) in repeated.iter().filter_map(|index| unique.get(*index)) {
            self.duplicates.push(|| ReadPath::Key(path, key).path());
        }
        unique
    }

    /// Reads the string that begins here.
    fn string(&mut self) -> Result<String, JsonError> {
        self.next();
        let start = self.at;
        let rest = self.text.get(start..).unwrap_or_default();
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter();
        let string = strings.next().unwrap_or_else(|| Ok(String::new()));
        self.at += strings.byte_offset();
        string.map_err(|error| JsonError::of_syntax(self.text, start, &error))
    }

    /// Reads a number or a literal. A number beyond a finite double becomes a string, because no channel could send it
    /// as a number.
    fn word(&mut self, path: &ReadPath<'_>) -> Json {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c| !is_of_number(c)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        self.at += word.len();
        match word {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            number if number.parse::<f64>().is_ok_and(f64::is_finite) => {
                Json::Number(number.to_owned())
            }
            other => {
                self.not_finite.push(|| path.path());
                Json::String(other.to_owned())
            }
        }
    }

    /// Enters an object or an array.
    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            let message = format!("objects and arrays are nested more than {MAX_DEPTH} deep");
            return Err(JsonError::at(self.text, self.at, message));
        }
        self.at += 1;
        Ok(())
    }

    /// Whether another member precedes the closing bracket. Skips the bracket or the comma.
    fn has_more(&mut self, closing: u8) -> bool {
        self.skip(b',');
        let next = self.next();
        if next == Some(closing) {
            self.at += 1;
        }
        next.is_some_and(|byte| byte != closing)
    }

    /// Skips the next byte if it is `expected`.
    fn skip(&mut self, expected: u8) {
        if self.next() == Some(expected) {
            self.at += 1;
        }
    }

    /// Returns the next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.at += rest.iter().take_while(is_blank).count();
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Whether a key is repeated. Sorts the keys: this compares few keys directly, and for many it is as fast as hashing
/// each.
fn has_repeated_key(members: &[(String, Json)]) -> bool {
    let mut keys: Vec<_> = members.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
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
        let indices: Vec<_> = parsed.not_finite.iter().map(Path::as_str).collect();
        assert_eq!(indices, ["a", "b[0]", "b[1]", "b[2].c", "d", "e[3]", "f"]);
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
    fn errors_have_position_and_reason_without_quotes() {
        for (text, line, column, message) in [
            ("", 1, 1, "EOF while parsing a value"),
            ("{", 1, 1, "EOF while parsing an object"),
            ("{'a':1}", 1, 2, "key must be a string"),
            ("{\n \"a\": 1,\n}", 3, 1, "key must be a string"),
            ("{\"a\": nano}", 1, 8, "expected ident"),
            ("[NaN, Nil]", 1, 7, "expected value"),
            ("[5NaN]", 1, 3, "expected `,` or `]`"),
            ("[+Infinity]", 1, 2, "expected value"),
            ("[--NaN]", 1, 3, "invalid number"),
            ("[NaN-1]", 1, 2, "expected value"),
            ("[NaN", 1, 4, "EOF while parsing a list"),
            ("\"NaN", 1, 4, "EOF while parsing a string"),
            ("{\"a\":1} x", 1, 9, "trailing characters"),
            ("[01]", 1, 3, "invalid number"),
            ("{\"ä😀\": Info}", 1, 8, "expected value"),
            (r#"["\x41"]"#, 1, 4, "invalid escape"),
            (
                "[1,\n \"a\", \"\\ud800\"]",
                2,
                14,
                "unexpected end of hex escape",
            ),
        ] {
            let error = error(text);
            assert_eq!(
                (error.line, error.column, error.message.as_str()),
                (line, column, message),
                "{text:?}"
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
        assert!(error(&nested(MAX_DEPTH + 1)).message.contains("nested"));
        assert!(error(&nested(100_000)).message.contains("nested"));
        assert!(error(&"[".repeat(100_000)).message.contains("EOF"));
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
