//! A content template that replaces the text, and its variables in Twilio's format
//! <https://www.twilio.com/docs/content/using-variables-with-content-api>.

use serde_json::{Map, Value};

use super::parameters::{CONTENT_SID, CONTENT_VARIABLES};
use crate::channels::{ComposeContext, Fields};
use crate::model::problem::Problem;
use crate::text::{Limit, Unit, cut, one_line};

const SID: &str = CONTENT_SID.name;
const VARIABLES: &str = CONTENT_VARIABLES.name;

/// "A variable key has a maximum length of 16 characters" and "can't contain spaces" (page above).
const MAX_NAME_CHARS: usize = 16;
/// "Each variable value to 1,600 characters or fewer" <https://www.twilio.com/docs/api/errors/21658>.
const MAX_VALUE_CHARS: usize = 1_600;
/// "Length of the parameters and the template text exceeds the allowed length of 1024 for WhatsApp"
/// <https://www.twilio.com/docs/api/errors/63021>. The length of the template's own text is unknown here.
const MAX_WHATSAPP_VALUES_CHARS: usize = 1_024;

pub struct Content {
    pub sid: String,
    /// The variables of a request. The configuration file's variables are rendered for each notification.
    given: Option<Map<String, Value>>,
}

impl Content {
    pub fn read(fields: &Fields<'_>) -> Result<Option<Self>, Problem> {
        let sid = fields.formed_or_none(&CONTENT_SID)?;
        let variables = fields.table(&CONTENT_VARIABLES)?;
        for (name, _) in variables.iter().flatten() {
            if name.is_empty()
                || name.chars().count() > MAX_NAME_CHARS
                || name.contains(char::is_whitespace)
            {
                let message = format!(
                    "{VARIABLES} must have names of 1 to {MAX_NAME_CHARS} characters without spaces"
                );
                return Err(fields.error(&CONTENT_VARIABLES, message));
            }
        }
        match (sid, variables) {
            (None, Some(_)) => {
                let message = format!(
                    "{SID} is required with {VARIABLES}: for example HX and 32 hexadecimal digits"
                );
                Err(fields.error(&CONTENT_SID, message))
            }
            (None, None) => Ok(None),
            (Some(sid), variables) => Ok(Some(Self {
                sid,
                given: variables
                    .filter(|_| !fields.is_rendered(&CONTENT_VARIABLES))
                    .map(|members| {
                        members
                            .into_iter()
                            .map(|(name, value)| (name, value.into()))
                            .collect()
                    }),
            })),
        }
    }

    /// Returns `ContentVariables`, with warnings about shortened values.
    pub fn variables(
        &self,
        cx: &ComposeContext,
        is_whatsapp: bool,
    ) -> (Option<String>, Vec<String>) {
        let rendered = cx
            .rendered(VARIABLES)
            .and_then(|json| serde_json::from_str(json).ok());
        let Some(variables) = rendered.as_ref().or(self.given.as_ref()) else {
            return (None, Vec::new());
        };
        let (variables, cut) = usable(variables, is_whatsapp);
        let warnings = cut
            .into_iter()
            .map(|name| format!("{VARIABLES}.{name}: too long for one message; cut"));
        let warnings = warnings.collect();
        (
            (!variables.is_empty()).then(|| Value::Object(variables).to_string()),
            warnings,
        )
    }
}

/// Replaces the parts of values that Twilio refuses <https://www.twilio.com/docs/api/errors/21656>: "a newline, a tab,
/// or more than four consecutive spaces", "null or an empty string". Also returns the names of the shortened values.
fn usable(variables: &Map<String, Value>, is_whatsapp: bool) -> (Map<String, Value>, Vec<String>) {
    let texts: Vec<_> = variables
        .iter()
        .map(|(name, value)| {
            let text = one_line(value.as_str().unwrap_or_default());
            let text = if text.is_empty() { "-".into() } else { text };
            (name, text)
        })
        .collect();
    let lengths: Vec<_> = texts.iter().map(|(_, text)| Unit::Utf16.of(text)).collect();
    let limit = Limit::utf16(longest(&lengths, is_whatsapp));
    let mut cut_short = Vec::new();
    let usable = texts
        .into_iter()
        .map(|(name, text)| {
            if Unit::Utf16.of(&text) > limit.length {
                cut_short.push(name.clone());
            }
            (name.clone(), cut(&text, limit, "…").into())
        })
        .collect();
    (usable, cut_short)
}

/// Returns the maximum length of a value. WhatsApp counts all values together, so the longest are shortened first.
fn longest(lengths: &[usize], is_whatsapp: bool) -> usize {
    if !is_whatsapp {
        return MAX_VALUE_CHARS;
    }
    let fits = |limit: &usize| {
        lengths
            .iter()
            .map(|length| *length.min(limit))
            .sum::<usize>()
            <= MAX_WHATSAPP_VALUES_CHARS
    };
    (1..=MAX_WHATSAPP_VALUES_CHARS)
        .rev()
        .find(fits)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(given: &[(&str, String)], is_whatsapp: bool) -> (Vec<String>, Vec<String>) {
        let variables = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect();
        let (made, cut) = usable(&variables, is_whatsapp);
        (
            made.values()
                .map(|value| value.as_str().unwrap().to_owned())
                .collect(),
            cut,
        )
    }

    #[test]
    fn values_are_single_lines_and_never_empty() {
        for (given, sent) in [
            ("a\nb\tc\r\nd", "a b c d"),
            (" a     b ", "a b"),
            ("a\u{2028}b\u{a0}c\u{0}d", "a b c d"),
            ("", "-"),
            (" \n ", "-"),
            ("I'm \"here\"", "I'm \"here\""),
        ] {
            let (values, cut) = made(&[("1", given.to_owned())], true);
            assert_eq!((values, cut), (vec![sent.to_owned()], vec![]), "{given:?}");
        }
    }

    #[test]
    fn the_longest_values_are_cut_until_all_fit_together() {
        let (values, cut) = made(&[("1", "short".to_owned()), ("2", "x".repeat(1_019))], true);
        assert_eq!((values[1].len(), cut), (1_019, vec![]));
        let (values, cut) = made(
            &[
                ("1", "short".to_owned()),
                ("2", "x".repeat(1_020)),
                ("3", "y".repeat(600)),
            ],
            true,
        );
        let lengths: Vec<_> = values
            .iter()
            .map(|value| value.encode_utf16().count())
            .collect();
        assert_eq!(
            (lengths, cut),
            (vec![5, 509, 509], vec!["2".to_owned(), "3".to_owned()])
        );
        assert!(values[1].ends_with("x…"));
        let (values, cut) = made(&[("1", "x".repeat(1_600)), ("2", "x".repeat(1_601))], false);
        assert_eq!(cut, ["2"]);
        assert_eq!(values[1].encode_utf16().count(), 1_600);
    }
}
