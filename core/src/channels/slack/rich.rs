//! Slack's rich form: blocks, and one attachment for the colour bar beside time and fields
//! <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! Heading, text and link are blocks of the message itself: Slack may hide an attachment behind "Show more". Values are
//! `plain_text` objects, without markup. Only the text and our own words use `mrkdwn`.

use super::blocks::{Block, BlockText, Payload, SlackAttachment, UNIT};
use super::{MARKUP, escape};
use crate::channels::shared::compact::compact;
use crate::channels::shared::names::NameRules;
use crate::channels::shared::rich::{self, FittedField, LevelStyle, RichMessage, Truncations};
use crate::channels::shared::texts::missing_warning;
use crate::model::channel::ComposeContext;
use crate::model::notification::Notification;
use crate::text::{Limit, Unit, cut, cut_markup, shorten, split_after};

/// "Characters" by Slack's node SDK, types of blocks. Slack documents neither the unit nor whether `&`, `<` and `>`
/// count as escaped, so we count the larger number.
const HEADER: Limit = units(150);
/// These two are counted so as well.
const SECTION: usize = 3_000;
const FIELD: usize = 2_000;
const FIELDS_OF_A_SECTION: usize = 10;
/// Of a message; we count those of the attachment as well.
const BLOCKS: usize = 50;
/// Heading, text, link, context.
const OTHER_BLOCKS: usize = 4;
/// Over about 13,000 in all blocks Slack answers `msg_blocks_too_long`, which is documented nowhere (bolt-js, issue 2509).
const ALL_BLOCKS: usize = 12_500;
/// So that a long name leaves its value some room.
const NAMES: NameRules = NameRules::any(units(200), "…");
/// Of the text in what notifications show; all of that together stays below the 4,000 of a text.
const PREVIEW: usize = 1_800;
/// Of fields, time and link below a text. Only entities of a hostile link make them that long.
const TAIL: Limit = units(1_400);
/// The context's words of ours, for which nobody has to count.
const CONTEXT: usize = 300;

const fn units(length: usize) -> Limit {
    Limit::new(length, UNIT)
}

/// `text` is the notification's, `limit` that of a message that has only a text.
pub fn compose(
    notification: &Notification,
    text: &str,
    cx: &ComposeContext,
    limit: Limit,
) -> RichMessage<Payload> {
    let mut cuts = Truncations::default();
    let heading = cuts.title(&rich::heading(notification), HEADER, "…");
    let heading = BlockText::plain(heading);
    let split = split_after(text, SECTION, limit, MARKUP);
    let mut parts = split.parts.into_iter();
    let text_block = BlockText::Mrkdwn {
        text: as_allowed(parts.next().unwrap_or_default(), cx),
        verbatim: !cx.allow_mentions,
    };
    let link = notification
        .link
        .as_deref()
        .map(link)
        .map(BlockText::verbatim);
    let link = cuts.link(link, |link| link.units() <= SECTION);

    let taken = [Some(&heading), Some(&text_block), link.as_ref()];
    let taken: usize = taken.into_iter().flatten().map(BlockText::units).sum();
    let most = (BLOCKS - OTHER_BLOCKS) * FIELDS_OF_A_SECTION;
    let room = ALL_BLOCKS.saturating_sub(taken + CONTEXT);
    let fields = cuts.fields(notification, most, room, &NAMES, draw);

    let blocks = [Block::Header { text: heading }, Block::section(text_block)];
    let context = context(notification, &cuts).into_iter();
    let beside: Vec<_> = context.chain(sections(fields)).collect();
    let attachment = (!beside.is_empty()).then(|| SlackAttachment {
        color: format!("#{:06X}", LevelStyle::of(notification).colour),
        blocks: beside,
    });
    RichMessage::new(
        Payload {
            text: preview(notification, text, cx),
            blocks: blocks.into_iter().chain(link.map(Block::section)).collect(),
            attachments: attachment.map(|attachment| [attachment]),
        },
        parts,
        split.missing,
        cuts,
    )
}

/// The caller's text: mrkdwn with mentions, unless the operator forbids them.
pub fn as_allowed(text: String, cx: &ComposeContext) -> String {
    if cx.allow_mentions {
        text
    } else {
        escape(&text)
    }
}

/// Not a button: those ask the app for an answer.
fn link(link: &str) -> String {
    // A bar would end the address.
    let url = escape(&link.replace('|', "%7C"));
    format!("<{url}|{}>", rich::link_words(link))
}

/// Level, phase, start and missing parts. All words are ours.
fn context(notification: &Notification, cuts: &Truncations) -> Option<Block> {
    let level = rich::level_below_heading(notification).map(|level| format!("*{level}*"));
    let time = notification.timestamp.map(|time| {
        let utc = rich::time_in_utc(time);
        match rich::unix_seconds(time) {
            // In the reader's own time zone.
            Some(seconds) => format!("<!date^{seconds}^{{date_short_pretty}} at {{time}}|{utc}>"),
            None => utc,
        }
    });
    let phase = rich::phase(notification, time.as_deref());
    let line = rich::joined([level, phase, cuts.note()])?;
    Some(Block::Context {
        elements: [BlockText::verbatim(line)],
    })
}

fn draw(name: String, value: &str) -> FittedField<BlockText> {
    let mut is_cut = false;
    let room = units(FIELD.saturating_sub(": ".len() + UNIT.of(&name)));
    let value = shorten(value, room, "…", &mut is_cut);
    let field = BlockText::plain(format!("{name}: {value}"));
    FittedField {
        length: field.units(),
        field,
        is_cut,
    }
}

/// Two columns, in as many sections as that takes.
fn sections(fields: Vec<BlockText>) -> impl Iterator<Item = Block> {
    let mut fields = fields.into_iter().peekable();
    std::iter::from_fn(move || {
        fields.peek()?;
        Some(Block::Section {
            text: None,
            fields: fields.by_ref().take(FIELDS_OF_A_SECTION).collect(),
        })
    })
}

/// The lines around the text, where there are no blocks.
fn around(notification: &Notification, cuts: &mut Truncations) -> (String, String) {
    let look = LevelStyle::of(notification);
    let level = format!("{} {}", look.emoji, look.word);
    let lines = compact(notification, &level, cuts);
    let tail = lines.tail();
    (escape(&lines.head), escape(&cut(&tail, TAIL, "…")))
}

fn preview(notification: &Notification, text: &str, cx: &ComposeContext) -> String {
    // The blocks note missing parts; this text does not have to be complete.
    let (head, tail) = around(notification, &mut Truncations::default());
    let text = cut_markup(text, units(PREVIEW), "…", MARKUP).into_owned();
    format!("{head}{}{tail}", as_allowed(text, cx))
}

/// The notification as a text alone, in parts, for workflows, which know no blocks; with its warnings.
pub fn lines(
    notification: &Notification,
    text: &str,
    cx: &ComposeContext,
    limit: Limit,
) -> (Vec<String>, Vec<String>) {
    let mut cuts = Truncations::default();
    let (head, tail) = around(notification, &mut cuts);
    let room = limit.length - Unit::Utf16.of(&head) - Unit::Utf16.of(&tail);
    let split = split_after(text, room, limit, MARKUP);
    let parts = split.parts.into_iter();
    let mut parts: Vec<_> = parts.map(|part| as_allowed(part, cx)).collect();
    if let Some(first) = parts.first_mut() {
        *first = format!("{head}{first}{tail}");
    }
    let mut warnings = cuts.warnings();
    warnings.extend(missing_warning(split.missing));
    (parts, warnings)
}
