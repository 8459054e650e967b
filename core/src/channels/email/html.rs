//! The HTML part of a mail: a table for the fields, with inline styles, because mail programs support no others.

use super::style::{FONT, escape};
use super::table;
use crate::channels::shared::rich::{self, LevelStyle, Truncations};
use crate::json::Json;
use crate::model::notification::Notification;
use crate::text::{one_line, without_controls};

/// Returns the HTML page. It has the same fields as the plain text, whose truncations are `cuts`.
pub fn page(notification: &Notification, text: &str, cuts: &Truncations) -> String {
    let colour = LevelStyle::of(notification).colour;
    let heading = escape(&rich::heading(notification));
    let group = notification.listed_group();
    let text = match group {
        Some(group) => table::of(group),
        None => escape(text).replace("\r\n", "\n").replace('\n', "<br>\n"),
    };
    let width = if group.is_some() { 960 } else { 640 };
    let summary = rich::summary(notification, cuts);
    let summary = summary.as_deref().map(below_heading).unwrap_or_default();
    let fields = fields(notification, cuts.shown());
    let link = notification.link.as_deref().map(link).unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head>\
         <body style=\"margin:0;padding:16px;{FONT}\">\n\
         <div style=\"max-width:{width}px;border-left:4px solid #{colour:06X};padding:4px 0 4px 16px\">\n\
         <div style=\"font-size:19px;font-weight:bold;margin:0 0 8px\">{heading}</div>\n\
         <div style=\"margin:0 0 12px\">{text}</div>\n\
         {fields}{summary}{link}</div>\n</body></html>\n"
    )
}

/// Returns the first `shown` fields, as in the plain text.
fn fields(notification: &Notification, shown: usize) -> String {
    let rows = notification.fields.iter().take(shown).map(|(name, value)| {
        let value = match value {
            Json::String(text) => escape(&without_controls(text)).replace('\n', "<br>"),
            Json::Number(text) => escape(text),
            Json::Bool(value) => value.to_string(),
            _ => String::new(),
        };
        let name = escape(&one_line(name));
        format!(
            "<tr><td style=\"padding:2px 16px 2px 0;color:#616061;vertical-align:top\">{name}</td>\
             <td style=\"padding:2px 0\">{value}</td></tr>\n"
        )
    });
    let rows: String = rows.collect();
    match rows.is_empty() {
        true => rows,
        false => format!(
            "<table style=\"border-collapse:collapse;margin:0 0 12px;{FONT}\">\n{rows}</table>\n"
        ),
    }
}

fn below_heading(summary: &str) -> String {
    let summary = escape(summary);
    format!("<div style=\"color:#616061;font-size:13px\">{summary}</div>\n")
}

fn link(link: &str) -> String {
    format!(
        "<div style=\"margin:12px 0 0\"><a href=\"{}\">{}</a></div>\n",
        escape(link),
        escape(&rich::link_words(link))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_notification_becomes_markup() {
        let hostile = "<b onclick=\"x\">&amp;</b>\u{0}";
        let mut notification = Notification::plain(Json::String(hostile.to_owned()));
        notification.title = Some(hostile.to_owned());
        notification.link = Some(format!("https://a.example/\"{hostile}"));
        notification.fields = vec![(hostile.to_owned(), Json::String(hostile.to_owned()))];
        let mut cuts = Truncations::default();
        crate::channels::shared::lines::below(
            &notification,
            10_000,
            crate::text::Unit::Bytes,
            &mut cuts,
        );
        let page = page(&notification, hostile, &cuts);
        assert!(
            !page.contains("<b ") && !page.contains("</b>") && !page.contains('\u{0}'),
            "{page}"
        );
        assert_eq!(
            page.matches("&lt;b onclick=&quot;x&quot;&gt;&amp;amp;&lt;/b&gt;")
                .count(),
            5
        );
    }
}
