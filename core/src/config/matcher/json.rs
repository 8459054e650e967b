//! Matchers as JSON, with the names and values of `match` in a configuration file.

use super::{Matcher, Name, Pattern, PatternText, Patterns};
use crate::json::{Json, Path};
use crate::model::level::LevelMap;
use crate::model::notification::{AlertStatus, Level};
use crate::text::bounded_regex;

/// The object of fields. A name inside it needs no prefix `fields.`.
const FIELDS: &str = "fields";

/// A value that is no matcher: its path and the problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchError {
    pub path: String,
    pub message: String,
}

/// Reads `{"level": ["error", "critical"], "fields.host": "~^db"}`.
pub fn from_json(json: &Json, path: &Path, levels: &LevelMap) -> Result<Matcher, MatchError> {
    let mut conditions = Vec::new();
    for (key, value) in members(json, path)? {
        let path = path.key(key);
        if key == FIELDS {
            for (field, value) in members(value, &path)? {
                let name = Name::Field(field.clone());
                let patterns = patterns(&name, value, &path.key(field), levels)?;
                conditions.push((name, patterns));
            }
            continue;
        }
        let name = Name::parse(key).map_err(|message| error(&path, message))?;
        let patterns = patterns(&name, value, &path, levels)?;
        conditions.push((name, patterns));
    }
    Ok(Matcher::new(conditions))
}

/// Writes a matcher so that [`from_json`] reads it again.
pub fn to_json(matcher: &Matcher) -> Json {
    let member = |(name, patterns): &(Name, Patterns)| {
        let texts = patterns.texts().into_iter().map(Json::String);
        (name.to_string(), Json::Array(texts.collect()))
    };
    Json::Object(matcher.conditions().iter().map(member).collect())
}

fn members<'j>(json: &'j Json, path: &Path) -> Result<&'j [(String, Json)], MatchError> {
    let expected = || {
        format!(
            "must be an object such as {{\"fields.host\": \"db1\"}}, found {}",
            json.kind()
        )
    };
    json.as_object().ok_or_else(|| error(path, expected()))
}

fn patterns(
    name: &Name,
    json: &Json,
    path: &Path,
    levels: &LevelMap,
) -> Result<Patterns, MatchError> {
    let values = match json {
        Json::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    if values.is_empty() {
        return Err(error(
            path,
            "the list is empty, and nothing fits it".to_owned(),
        ));
    }
    let mut patterns = Patterns::default();
    for value in values {
        let Some(text) = value.as_word() else {
            let message = format!(
                "must be a string, or a list of strings, found {}",
                value.kind()
            );
            return Err(error(path, message));
        };
        let text = PatternText::parse(text);
        let pattern = pattern(name, text, levels).map_err(|message| error(path, message))?;
        patterns.push(pattern, text.is_negated);
    }
    Ok(patterns)
}

fn pattern(name: &Name, text: PatternText<'_>, levels: &LevelMap) -> Result<Pattern, String> {
    if text.is_regex {
        let regex = bounded_regex(text.rest).map(Pattern::Regex);
        let message = "the regular expression after ~ cannot be read, or is too large";
        return regex.ok_or_else(|| message.to_owned());
    }
    let one_of = |words: &[&str]| format!("must be one of {}", words.join(", "));
    let word = match name {
        Name::Level => {
            let level = levels.parse(text.rest).map(Level::word);
            level.ok_or_else(|| one_of(&Level::ALL.map(Level::word)))?
        }
        Name::Status => {
            let status = AlertStatus::parse(text.rest).map(AlertStatus::word);
            status.ok_or_else(|| one_of(&AlertStatus::ALL.map(AlertStatus::word)))?
        }
        _ => text.rest,
    };
    Ok(Pattern::Equal(word.to_owned()))
}

fn error(path: &Path, message: String) -> MatchError {
    let path = path.as_str().to_owned();
    MatchError { path, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn read(text: &str) -> Result<Matcher, MatchError> {
        let json = json::parse(text).unwrap().json;
        from_json(&json, &Path::root().key("match"), &LevelMap::default())
    }

    #[test]
    fn a_matcher_is_read_and_written() {
        for (text, shown) in [
            ("{}", ""),
            (r#"{"level":"warn"}"#, r#"level = "warning""#),
            (
                r#"{"fields":{"host":"~^db","n":5},"level":["error","!critical"]}"#,
                r#"level = ["error", "!critical"], fields.host = "~^db", fields.n = "5""#,
            ),
            (
                r#"{"fields.a":"=!x","title":"!~y"}"#,
                r#"title = "!~y", fields.a = "=!x""#,
            ),
        ] {
            let matcher = read(text).unwrap();
            assert_eq!(matcher.to_string(), shown);
            let written = serde_json::to_string(&to_json(&matcher)).unwrap();
            assert_eq!(read(&written).unwrap().to_string(), shown, "{written}");
        }
    }

    #[test]
    fn what_is_no_matcher_has_a_path_and_a_reason() {
        for (text, path, words) in [
            ("[]", "match", "must be an object"),
            (
                r#"{"host":"db1"}"#,
                "match.host",
                "did you mean fields.host?",
            ),
            (r#"{"fields":"db1"}"#, "match.fields", "must be an object"),
            (
                r#"{"fields":{"host":[]}}"#,
                "match.fields.host",
                "the list is empty",
            ),
            (r#"{"title":{}}"#, "match.title", "must be a string"),
            (r#"{"title":null}"#, "match.title", "must be a string"),
            (r#"{"title":"~("}"#, "match.title", "the regular expression"),
            (r#"{"level":"loud"}"#, "match.level", "must be one of"),
            (
                r#"{"status":"on"}"#,
                "match.status",
                "must be one of firing",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.path, path);
            assert!(error.message.contains(words), "{error:?}");
        }
    }
}
