//! The table of a group's alerts in a mail.

use std::fmt::Write as _;

use super::style::{FONT, escape};
use crate::channels::shared::alert_list::{self, AlertLine, ListStyle};
use crate::channels::shared::rich;
use crate::model::group::AlertGroup;
use crate::text::Unit;

/// The rows have no limit: the notification itself limits its alerts.
const STYLE: ListStyle = ListStyle {
    escape: str::to_owned,
    link: None,
    has_emoji: true,
    unit: Unit::Bytes,
};
const CELL: &str = "padding:2px 16px 2px 0;vertical-align:top";

/// Returns the counts and a table with a row for each alert.
pub fn of(group: &AlertGroup) -> String {
    let mut html = String::new();
    for line in alert_list::overview(group) {
        let _ = writeln!(html, "{}<br>", escape(&line));
    }
    let _ = writeln!(
        html,
        "<table style=\"border-collapse:collapse;margin:8px 0 12px;{FONT}\">"
    );
    for line in alert_list::all(group, &STYLE) {
        html.push_str(&row(&line));
    }
    html.push_str("</table>\n");
    if group.left_out() > 0 {
        let _ = writeln!(html, "and {} more", group.left_out());
    }
    html
}

fn row(line: &AlertLine<'_>) -> String {
    let what = escape(&line.what);
    let what = match line.link {
        Some(link) => format!(
            "<a href=\"{}\" title=\"{}\">{what}</a>",
            escape(link),
            escape(&rich::link_words(link))
        ),
        None => what,
    };
    let cells = [
        line.mark.clone().into_owned(),
        what,
        escape(&line.labels),
        line.age.clone(),
    ];
    let cells = cells.map(|cell| format!("<td style=\"{CELL}\">{cell}</td>"));
    format!("<tr>{}</tr>\n", cells.concat())
}
