//! Extracts fields from a notification's text with named groups of regular expressions.

use std::sync::Arc;

use regex::Regex;

use super::notification::Notification;
use crate::json::Json;
use crate::text::{Limit, Unit, cut, head};

/// The maximum length of text that regular expressions search.
pub const MAX_SEARCHED_BYTES: usize = 16 * 1024;
/// The maximum number of named groups in one expression.
pub const MAX_GROUPS: usize = 16;
/// The maximum number of extracted fields of one notification.
pub const MAX_FIELDS: usize = 64;
/// The maximum length of a value. Longer values are shortened.
pub const MAX_VALUE_BYTES: usize = 1024;

/// An expression that makes a field of each named group.
#[derive(Clone, Debug)]
pub struct Extraction(Regex);

impl Extraction {
    /// Returns `None` if the expression has no named group or too many.
    pub fn new(regex: Regex) -> Option<Self> {
        let groups = regex.capture_names().flatten().count();
        (1..=MAX_GROUPS).contains(&groups).then_some(Self(regex))
    }
}

/// Adds the fields of all matching expressions, which search the first bytes of the text. An existing field with the
/// same name takes precedence. Returns whether there are new fields. Other owners of the notification keep the old
/// version.
pub fn extract(
    extractions: &[Extraction],
    notification: &mut Arc<Notification>,
    searched_bytes: usize,
    left: &mut usize,
) -> bool {
    let before = *left;
    for Extraction(regex) in extractions {
        let text = notification.text.as_word();
        let Some(found) = text.and_then(|text| regex.captures(head(text, searched_bytes))) else {
            continue;
        };
        let mut fields = Vec::new();
        for name in regex.capture_names().flatten() {
            let is_new = notification.fields.iter().all(|(known, _)| known != name);
            let value = found.name(name).map(|value| value.as_str());
            let value = value.filter(|value| is_new && !value.is_empty());
            if let Some(value) = value
                && *left > 0
            {
                let value = cut(value, Limit::new(MAX_VALUE_BYTES, Unit::Bytes), "…");
                fields.push((name.to_owned(), Json::String(value.into_owned())));
                *left -= 1;
            }
        }
        if !fields.is_empty() {
            Arc::make_mut(notification).fields.append(&mut fields);
        }
    }
    *left < before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extraction(expression: &str) -> Extraction {
        Extraction::new(Regex::new(expression).unwrap()).unwrap()
    }

    /// Returns the fields of a text in a notification that already has a field `rack`.
    fn fields(expressions: &[&str], text: Json, left: usize) -> Vec<String> {
        let mut notification = Notification::plain(text);
        notification.fields = vec![("rack".to_owned(), Json::Number("7".to_owned()))];
        let mut notification = Arc::new(notification);
        let shared = Arc::clone(&notification);
        let extractions: Vec<_> = expressions.iter().map(|text| extraction(text)).collect();
        let mut rest = left;
        let is_new = extract(&extractions, &mut notification, 100, &mut rest);
        assert_eq!(shared.fields.len(), 1);
        let new = notification.fields.iter().skip(1);
        let new: Vec<_> = new
            .map(|(name, value)| format!("{name}={}", value.as_word().unwrap()))
            .collect();
        assert_eq!((is_new, left - rest), (!new.is_empty(), new.len()));
        new
    }

    #[test]
    fn named_groups_of_the_text_become_fields_and_fields_that_are_there_win() {
        let text = |text: &str| Json::String(text.to_owned());
        let host = r"host=(?<host>\w+)";
        for (expressions, value, expected) in [
            (&[host][..], text("host=db1, host=db2"), &["host=db1"][..]),
            (&[host], text("no such thing"), &[]),
            (&[host], text(""), &[]),
            (&[host], Json::Null, &[]),
            (&[r"(?<n>\d+)"], Json::Number("97".to_owned()), &["n=97"]),
            (&[r"rack=(?<rack>\d+)"], text("rack=9"), &[]),
            (
                &[host, r"(?<host>db\d)", "(?<word>such)"],
                text("such db2 host=db1"),
                &["host=db1", "word=such"],
            ),
            (&[r"(?<a>x)?(?<b>y*)(?<c>z)"], text("z"), &["c=z"]),
            (&[r"(\w+)=(?P<value>\w+)"], text("ä=ö"), &["value=ö"]),
            (
                &["(?<late>end)"],
                text(&format!("{}end", "x".repeat(98))),
                &[],
            ),
            (
                &["(?<late>end)"],
                text(&format!("{}end", "x".repeat(97))),
                &["late=end"],
            ),
        ] {
            assert_eq!(
                fields(expressions, value.clone(), 64),
                expected,
                "{expressions:?} {value:?}"
            );
        }
    }

    #[test]
    fn groups_fields_and_values_are_bounded() {
        let groups = |count: usize| {
            (0..count)
                .map(|n| format!("(?<g{n}>x)"))
                .collect::<String>()
        };
        for (count, is_usable) in [(0, false), (1, true), (16, true), (17, false)] {
            let extraction = Extraction::new(Regex::new(&groups(count)).unwrap());
            assert_eq!(extraction.is_some(), is_usable, "{count}");
        }
        let text = Json::String("x".repeat(16));
        assert_eq!(
            fields(&[&groups(16)], text.clone(), 3),
            ["g0=x", "g1=x", "g2=x"]
        );
        assert_eq!(fields(&[&groups(16)], text, 0), [""; 0]);
        let mut notification = Arc::new(Notification::plain(Json::String("é".repeat(5_000))));
        extract(
            &[extraction("(?<all>.+)")],
            &mut notification,
            MAX_SEARCHED_BYTES,
            &mut 64,
        );
        let value = notification.fields[0].1.as_word().unwrap();
        assert!(
            value.len() <= MAX_VALUE_BYTES && value.ends_with('…'),
            "{}",
            value.len()
        );
    }
}
