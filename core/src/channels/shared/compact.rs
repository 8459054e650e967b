//! Formats a notification as a few lines of text: title, level, fields, time and one link. For channels without
//! layout, and for the preview that a phone shows.
//!
//! The words that this module adds are ASCII, so that an SMS keeps its cheap alphabet.

use super::names::NameRules;
use super::rich::{self, FittedField, Truncations};
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, one_line, shorten};

/// The lines before and after the text. The limits are for a reader: a text message is not a table.
pub struct Compact<'a> {
    /// The first line, such as `CRITICAL: CPU of db1 above 95 %`, with its line end. Without a title, the text follows
    /// directly.
    pub head: String,
    /// The line of fields: `host: db1, cpu: 97.3, and 3 more fields`.
    pub fields: Option<String>,
    phase: Option<String>,
    link: Option<&'a str>,
}

impl Compact<'_> {
    /// Returns fields, time and link, each after a line end.
    pub fn tail(&self) -> String {
        let lines = [self.fields.as_deref(), self.phase.as_deref(), self.link];
        let lines = lines.into_iter().flatten();
        lines.flat_map(|line| ["\n", line]).collect()
    }
}

const TITLE_LIMIT: Limit = Limit::utf16(150);
const FIELD_NAMES: NameRules = NameRules::any(Limit::utf16(40), CUT_MARK);
const VALUE_LIMIT: Limit = Limit::utf16(120);
/// The limit of all fields together, with names and commas, in UTF-16 code units.
const MAX_FIELDS_CODE_UNITS: usize = 400;
/// The rest of an SMS after title, fields and time, minus some room for the text; in bytes.
const MAX_LINK_BYTES: usize = 800;
const CUT_MARK: &str = "...";

/// Formats a notification. `level` is this channel's word for the level, such as `CRITICAL`.
pub fn compact<'a>(
    notification: &'a Notification,
    level: &str,
    cuts: &mut Truncations,
) -> Compact<'a> {
    let head = match rich::title(notification) {
        Some(title) => format!("{level}: {}\n", cuts.title(&title, TITLE_LIMIT, CUT_MARK)),
        None => format!("{level}: "),
    };
    let mut fields = cuts.fields(
        notification,
        usize::MAX,
        MAX_FIELDS_CODE_UNITS,
        &FIELD_NAMES,
        draw,
    );
    let link = cuts.link(notification.link.as_deref(), |link| {
        link.len() <= MAX_LINK_BYTES
    });
    fields.extend(cuts.note());
    let time = notification.timestamp.map(rich::time_in_utc);
    Compact {
        head,
        fields: (!fields.is_empty()).then(|| fields.join(", ")),
        // Without a time, the phase would only repeat the head.
        phase: time.and_then(|time| rich::phase(notification, Some(&time))),
        link,
    }
}

fn draw(name: String, value: &str) -> FittedField<String> {
    let mut is_cut = false;
    let value = shorten(&one_line(value), VALUE_LIMIT, CUT_MARK, &mut is_cut);
    let field = format!("{name}: {value}");
    FittedField {
        length: Unit::Utf16.of(&field) + ", ".len(),
        field,
        is_cut,
    }
}
