//! Shortens HTML pages of proxies and firewalls, whose markup would hide the reason.

use std::borrow::Cow;

/// The beginnings of an HTML page.
const BEGINNINGS: [&str; 5] = ["<!doctype html", "<html", "<head", "<body", "<title"];

/// Replaces an HTML page in the text by the page's title.
pub fn without_page(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let beginnings = BEGINNINGS.iter().filter_map(|tag| lower.find(tag));
    let Some(begin) = beginnings.min() else {
        return text.into();
    };
    // A comment or an XML declaration may precede it.
    let before = text.get(..begin).unwrap_or_default().trim();
    let before = if before.contains('<') { "" } else { before };
    let page = match title(text, &lower) {
        Some(title) => format!("an HTML page, \"{title}\""),
        None => "an HTML page".to_owned(),
    };
    format!("{before} {page}").trim_start().to_owned().into()
}

fn title<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let tag = lower.find("<title")?;
    let begin = tag + lower.get(tag..)?.find('>')? + 1;
    let end = begin + lower.get(begin..)?.find('<')?;
    let title = text.get(begin..end)?.trim();
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_page_its_title_is_left() {
        for (text, left) in [
            (
                "<html><head><title>Access denied</title></head><body>x</body></html>",
                "an HTML page, \"Access denied\"",
            ),
            (
                "<!DOCTYPE html>\n<HTML lang=en><Title id=t> 502 Bad\nGateway </TITLE>",
                "an HTML page, \"502 Bad\nGateway\"",
            ),
            ("<?xml version=\"1.0\"?><!-- c --><html>x", "an HTML page"),
            ("\u{feff}  <!doctype html><p>x", "\u{feff} an HTML page"),
            (
                "upstream said: <html><title></title>",
                "upstream said: an HTML page",
            ),
            ("<body>\u{fc}</body>", "an HTML page"),
            ("<title>cut", "an HTML page"),
            ("<title", "an HTML page"),
            ("İ<html><title>İ</title>", "İ an HTML page, \"İ\""),
        ] {
            assert_eq!(without_page(text), left, "{text:?}");
        }
    }

    #[test]
    fn any_other_text_stays_as_it_is() {
        for text in [
            "",
            "no_service",
            "<Error><Code>x</Code></Error>",
            "a < b",
            "{\"html\": 1}",
            "<h1>Not Found</h1>",
        ] {
            assert_eq!(without_page(text), text);
        }
    }
}
