//! The list of a group's alerts in a card.

use super::card::{CardAction, Element, TextRun};
use crate::channels::shared::alert_list::{self, AlertLine, ListStyle};
use crate::channels::shared::{body, rich};
use crate::model::group::AlertGroup;
use crate::text::Unit;

const STYLE: ListStyle = ListStyle {
    has_emoji: true,
    ..ListStyle::plain(Unit::JsonBytes)
};

/// Returns an element for each line, at most `room` bytes of JSON together.
pub fn elements(group: &AlertGroup, room: usize) -> Vec<Element> {
    let words = |text: &str| element(vec![TextRun::new(text.to_owned())]);
    let alert = |alert: &AlertLine<'_>| {
        let mut runs = vec![TextRun::new(alert.words())];
        runs.extend(alert.link.map(|link| {
            let words = rich::link_words(link);
            TextRun {
                select_action: Some(CardAction::open_url(words.clone(), link)),
                ..TextRun::new(format!(" {words}"))
            }
        }));
        element(runs)
    };
    alert_list::lines(group, room, &STYLE, words, alert)
}

fn element(inlines: Vec<TextRun>) -> (Element, usize) {
    let element = Element::RichTextBlock {
        inlines,
        spacing: Some("Small"),
    };
    let length = body::json(&element).len();
    (element, length)
}
