//! What stands below a text, a line each: fields, level and time. For channels that have a place for the title and know no
//! layout.

use super::names::NameRules;
use super::rich::{self, FittedField, Truncations};
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, shorten};

/// Ours, in the channel's unit, as all of this is.
const NAME: usize = 80;
const VALUE: usize = 300;

/// Two line ends, then the lines; `room` units for all of them. Empty where there is none.
pub fn below(
    notification: &Notification,
    room: usize,
    unit: Unit,
    cuts: &mut Truncations,
) -> String {
    let room = room.saturating_sub(unit.of("\n\n") + rich::SUMMARY);
    let names = NameRules::any(Limit::new(NAME, unit), "…");
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
    let value = shorten(value, Limit::new(VALUE, unit), "…", &mut is_cut);
    let field = format!("{name}: {value}");
    FittedField {
        length: unit.of(&field) + unit.of("\n"),
        field,
        is_cut,
    }
}
