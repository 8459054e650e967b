//! Lines below a text: fields, level and time. For channels that have a field for the title but no layout.

use super::names::NameRules;
use super::rich::{self, FittedField, Truncations};
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, shorten};

/// A limit of this crate, in the channel's unit like all lengths here.
const MAX_NAME_LENGTH: usize = 80;
const MAX_VALUE_LENGTH: usize = 300;

/// Returns two line ends and the lines, at most `room` units in total. Returns an empty string without lines.
pub fn below(
    notification: &Notification,
    room: usize,
    unit: Unit,
    cuts: &mut Truncations,
) -> String {
    let room = room.saturating_sub(unit.of("\n\n") + rich::SUMMARY);
    let names = NameRules::any(Limit::new(MAX_NAME_LENGTH, unit), "…");
    let fields = cuts.fields(notification, usize::MAX, room, &names, |name, value| {
        draw(&name, value, unit)
    });
    let lines = fields.into_iter().chain(rich::summary(notification, cuts));
    let lines: Vec<_> = lines.collect();
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n\n{}", lines.join("\n")),
    }
}

fn draw(name: &str, value: &str, unit: Unit) -> FittedField<String> {
    let mut is_cut = false;
    let value = shorten(value, Limit::new(MAX_VALUE_LENGTH, unit), "…", &mut is_cut);
    let field = format!("{name}: {value}");
    FittedField {
        length: unit.of(&field) + unit.of("\n"),
        field,
        is_cut,
    }
}
