//! What stands below a text, a line each: fields, level and time. For channels that have a place for the title and know no
//! layout.

use super::rich::{self, Cuts, Drawn, Look};
use crate::model::notification::Notification;
use crate::model::text::{Limits, Unit};

const NAME: usize = 80;
const VALUE: usize = 300;

/// Two line ends, then the lines; `room` units for all of them.
pub fn below(notification: &Notification, room: usize, unit: Unit, cuts: &mut Cuts) -> String {
    let time = notification.timestamp.map(rich::time_in_utc);
    let phase = rich::phase(notification, time.as_deref());
    let level = notification.level.is_some() || notification.status.is_none();
    let level = level.then(|| Look::of_level(notification).word.to_owned());
    let last: Vec<_> = [level, phase].into_iter().flatten().collect();
    let last = last.join(" · ");
    let taken = unit.of("\n\n") + unit.of(&last) + NOTE;
    let room = room.saturating_sub(taken);
    let fields = cuts.fields(notification, usize::MAX, room, |name, value| {
        draw(name, value, unit)
    });
    let note = cuts.note().map(|note| format!("({note})"));
    let lines = fields.into_iter().chain(note).chain([last]);
    format!("\n\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// More than the note of what is missing ever takes, with its line end.
const NOTE: usize = 60;

fn draw(name: &str, value: &str, unit: Unit) -> Drawn<String> {
    let mut is_cut = false;
    let limits = |text| Limits { text, unit };
    let name = rich::shorten(name, limits(NAME), "…", &mut is_cut);
    let value = rich::shorten(value, limits(VALUE), "…", &mut is_cut);
    let field = format!("{name}: {value}");
    Drawn {
        length: unit.of(&field) + unit.of("\n"),
        field,
        is_cut,
    }
}
