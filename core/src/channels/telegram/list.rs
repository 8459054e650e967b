//! The list of a group's alerts as HTML.

use std::iter::{once, repeat};

use super::html::{Html, TEXT_LIMIT, literal};
use crate::channels::shared::alert_list::{self, AlertLine, ListStyle};
use crate::model::group::AlertGroup;

const STYLE: ListStyle = ListStyle {
    escape: literal,
    has_emoji: true,
    ..ListStyle::plain(TEXT_LIMIT.unit)
};

/// Returns the list of a group's alerts.
pub fn list(group: &AlertGroup, room: usize) -> Html {
    let words = |text: &str| {
        let line = Html::text(&literal(text));
        let length = line.length;
        (line, length)
    };
    let alert = |alert: &AlertLine<'_>| {
        let line = Html::text(&literal(&alert.words()));
        let line = match alert.link {
            Some(link) => line.then(" ").and(Html::link(link)),
            None => line,
        };
        let length = line.length;
        (line, length)
    };
    let lines = alert_list::lines(group, room, &STYLE, words, alert);
    let lines = lines.into_iter().zip(once("").chain(repeat("\n")));
    lines.fold(Html::text(""), |list, (line, end)| list.then(end).and(line))
}
